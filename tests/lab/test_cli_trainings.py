"""The ``tt`` command's verbs about trainings, runs and results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tensortrigger_lab import background, cli, commands
from tensortrigger_lab.client import Client

Printed = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def wired(api: Any, shapes: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The commands' client speaks to the answering end of these tests."""

    def connect(patience: float, in_shell: bool) -> Client:
        return Client(shapes.url, transport=httpx.MockTransport(api), patience=0.0, in_shell=in_shell)

    monkeypatch.setattr(commands, "Client", connect)
    monkeypatch.setattr(background, "FIRST_POLL", 0.0)
    run = shapes.run("succeeded")
    api.on("GET", "/models/by-name/churn", {"model": shapes.model()})
    api.on("GET", f"/models/{shapes.model_id}", {"model": shapes.model(version=2)})
    api.on("POST", "/tensor/train", {"job_id": shapes.job_id})
    api.on("GET", f"/jobs/{shapes.job_id}", {"job": shapes.training("succeeded")})
    api.on("GET", f"/runs/{shapes.run_id}", {"run": run})
    api.on("GET", "/runs", {"runs": [run], "next_cursor": None})
    points = {"run": run, "points": [shapes.point(1)], "next_after": None}
    api.on("GET", f"/runs/{shapes.run_id}/metrics", points)
    api.on("GET", f"/jobs/{shapes.job_id}/results", httpx.Response(200, text="row,score\n0,0.25\n"))
    return api


def test_train_learns_from_a_file(api: Any, tmp_path: Path, capsys: Printed) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("paid,income,age\n1,0.5,41\n0,1.5,23\n")
    chosen = {
        "priority": "8",
        "webhook": "https://x.org",
        "rejects": "skip",
        "delimiter": ",",
        "encoding": "utf-8",
    }
    options = [word for name, value in chosen.items() for word in (f"--{name}", value)]
    assert cli.main(["train", "churn", str(path), "--label", "paid", "--epochs", "2", *options]) == 0
    assert "made     churn/2" in capsys.readouterr().out
    (sent,) = api.asked("/tensor/train")
    assert sent.content == path.read_bytes()
    assert (sent.url.params["labels"], sent.url.params["epochs"]) == ("paid", "2")
    assert {name: sent.url.params[name] for name in chosen} == chosen


def test_runs_are_a_table(capsys: Printed, shapes: Any, api: Any) -> None:
    assert cli.main(["runs", "churn", "--state", "succeeded"]) == 0
    assert shapes.run_id in capsys.readouterr().out
    assert api.requests[-1].url.params["model"] == "churn"


@pytest.mark.parametrize("which", ["--latest", None])
def test_watch_follows_to_the_end(capsys: Printed, shapes: Any, which: str | None) -> None:
    assert cli.main(["watch", which or shapes.run_id]) == 0
    assert "first try: succeeded" in capsys.readouterr().err


def test_watch_fails_with_the_run(capsys: Printed, shapes: Any, api: Any) -> None:
    run = shapes.run("failed", error="The loss is not finite.")
    api.on("GET", f"/runs/{shapes.run_id}/metrics", {"run": run, "points": [], "next_after": None})
    assert cli.main(["watch", shapes.run_id]) == 1
    assert "The loss is not finite." in capsys.readouterr().err


def test_watch_wants_to_know_what(capsys: Printed) -> None:
    assert cli.main(["watch"]) == 1
    assert "--latest" in capsys.readouterr().err


def test_metrics_are_csv(capsys: Printed, shapes: Any) -> None:
    assert cli.main(["metrics", shapes.run_id]) == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert heading == "seq,kind,step,epoch,time,loss"
    assert row.startswith("1,batch,1,1,2023-11-14")


def test_results_are_streamed(capsys: Printed, shapes: Any, api: Any, tmp_path: Path) -> None:
    assert cli.main(["results", shapes.job_id]) == 1
    assert "is a training" in capsys.readouterr().err
    api.on("GET", f"/jobs/{shapes.job_id}", {"job": shapes.job()})
    assert cli.main(["results", shapes.job_id]) == 0
    assert capsys.readouterr().out == "row,score\n0,0.25\n"
    assert cli.main(["results", shapes.job_id, "-o", str(tmp_path / "out.csv")]) == 0
    assert (tmp_path / "out.csv").read_text() == "row,score\n0,0.25\n"


def test_run_scores_a_file_too(capsys: Printed, shapes: Any, api: Any, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("age,income\n1,0.5\n")
    api.on("POST", "/jobs", {"job_id": shapes.job_id})
    api.on("GET", f"/jobs/{shapes.job_id}", {"job": shapes.job()})
    assert cli.main(["run", "churn", "--csv", str(path)]) == 0
    assert capsys.readouterr().out == "row,score\n0,0.25\n"
    assert cli.main(["run", "churn"]) == 1
    assert "with --csv" in capsys.readouterr().err
