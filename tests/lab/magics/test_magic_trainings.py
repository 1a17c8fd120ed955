"""``%tt train``, ``runs``, ``watch``, ``metrics`` and what a cell may hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from tensortrigger_lab import background
from tensortrigger_lab.display import Listing

TABLE = pd.DataFrame({"age": [41, 23], "income": [0.5, 1.5], "paid": [1, 0]})
RESULTS = "row,score\n0,0.1\n1,0.2\n2,0.3\n"


@pytest.fixture(autouse=True)
def trainer(endpoint: Any, shapes: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(background, "FIRST_POLL", 0.0)
    for method in ("PATCH", "POST"):
        endpoint.on(method, "/tensor/train", {"job_id": shapes.job_id})
    endpoint.on("GET", f"/models/{shapes.model_id}", {"model": shapes.model(version=2)})
    endpoint.on("GET", f"/jobs/{shapes.job_id}", {"job": shapes.training("succeeded")})
    for run_id in (shapes.run_id, shapes.job_id):
        run = shapes.run("succeeded", run_id=run_id)
        endpoint.on("GET", f"/runs/{run_id}", {"run": run})
        points = [shapes.point(seq) for seq in (1, 2, 3)]
        endpoint.on("GET", f"/runs/{run_id}/metrics", {"run": run, "points": points, "next_after": None})
    endpoint.on("GET", "/runs", {"runs": [shapes.run("succeeded")], "next_cursor": None})
    return endpoint


@pytest.fixture
def scorer(endpoint: Any, shapes: Any) -> Any:
    endpoint.on("POST", "/jobs", {"job_id": shapes.job_id})
    endpoint.on("GET", f"/jobs/{shapes.job_id}", {"job": shapes.job()})
    endpoint.on("GET", f"/jobs/{shapes.job_id}/results", lambda _: httpx.Response(200, text=RESULTS))
    return endpoint


def test_train_takes_two_variables_and_options(shell: InteractiveShell, trainer: Any, typed: Any) -> None:
    shell.user_ns.update(X=TABLE[["income", "age"]], y=TABLE["paid"])
    line = "%tt train churn X y --epochs 2 --batch-size 8 --validation-split .5 --optimizer sgd --no-shuffle"
    result, _ = typed(line)
    assert result.result.model.version == 2
    sent = trainer.body("/tensor/train")
    assert sent["input_vectors"] == [[41, 0.5], [23, 1.5]]
    assert sent["output_vectors"] == [1, 0]
    assert (sent["epochs"], sent["batch_size"], sent["validation_split"]) == (2, 8, 0.5)
    assert (sent["optimizer"], sent["shuffle"]) == ("sgd", False)


def test_train_takes_a_table_or_a_file_with_a_label(
    shell: InteractiveShell, trainer: Any, tmp_path: Path, typed: Any
) -> None:
    shell.user_ns["table"] = TABLE
    path = tmp_path / "rows.csv"
    TABLE.to_csv(path, index=False)
    for source in ("table", path):
        result, _ = typed(f"%tt train churn {source} --label paid --no-wait")
        assert result.result.state == "succeeded"
    table, file = trainer.asked("/tensor/train")
    assert json.loads(table.content)["output_vectors"] == [1, 0]
    assert (file.content, file.url.params["labels"]) == (path.read_bytes(), "paid")


def test_runs_are_a_table_or_a_dataframe(shell: InteractiveShell, typed: Any) -> None:
    assert isinstance(typed("%tt runs churn --state succeeded")[0].result, Listing)
    for verb in ("runs", "models", "jobs"):
        assert isinstance(typed(f"%tt {verb} --frame")[0].result, pd.DataFrame)


@pytest.mark.parametrize("target", ["--latest", "run", "training", "id"])
def test_watch_takes_an_id_a_variable_or_the_latest(
    shell: InteractiveShell, shapes: Any, typed: Any, target: str
) -> None:
    typed("run = %tt runs\nrun = run[0]")
    typed(f"training = %tt job {shapes.job_id}")
    result, printed = typed(f"%tt watch {shapes.run_id if target == 'id' else target}")
    assert result.success
    assert "first try: succeeded" in printed


def test_metrics_are_a_dataframe(shell: InteractiveShell, shapes: Any, typed: Any) -> None:
    for target in ("", shapes.run_id):
        assert typed(f"%tt metrics {target}")[0].result["loss"].tolist() == [1.0, 1 / 2, 1 / 3]


def test_run_scores_a_file(scorer: Any, tmp_path: Path, typed: Any) -> None:
    path, out = tmp_path / "my rows.csv", tmp_path / "out.csv"
    TABLE.to_csv(path, index=False)
    assert typed(f"%tt run churn --csv '{path}'")[0].result["score"].tolist() == [0.1, 0.2, 0.3]
    _, printed = typed(f"%tt run churn --csv '{path}' -o {out}")
    assert out.read_text() == RESULTS
    assert "3 rows scored" in printed
    assert [request.content for request in scorer.asked("/jobs")] == [path.read_bytes()] * 2


def test_results_of_a_job_come_as_a_table_or_a_file(
    scorer: Any, tmp_path: Path, shapes: Any, typed: Any
) -> None:
    assert len(typed(f"%tt results {shapes.job_id}")[0].result) == 3
    typed(f"%tt results {shapes.job_id} -o {tmp_path / 'out.csv'}")
    assert (tmp_path / "out.csv").read_text() == RESULTS


def test_a_training_has_metrics_and_no_results(shapes: Any, typed: Any) -> None:
    assert "see its metrics instead" in typed(f"%tt results {shapes.job_id}")[1]


def test_a_cell_of_csv_is_scored(scorer: Any, typed: Any) -> None:
    result, _ = typed("%%tt score churn\nage,income\n1,0.5\n2,0.5\n3,0.5\n")
    assert result.result["score"].tolist() == [0.1, 0.2, 0.3]
    assert scorer.asked("/jobs")[-1].content == b"age,income\n1,0.5\n2,0.5\n3,0.5\n"


def test_a_cell_without_a_verb_holds_one_on_each_line(endpoint: Any, shapes: Any, typed: Any) -> None:
    result, printed = typed("%%tt\n# what there is\nmodels\n%tt runs\n\nstatus\n")
    assert result.success
    assert all(told in printed for told in (shapes.model_id, shapes.run_id, "version 0.1.0"))
    result, printed = typed("%%tt\nfrobnicate\nstatus\n")
    assert "invalid choice" in printed
    assert shapes.url not in printed


@pytest.mark.parametrize("verb", ["publish", "run", "score", "train", "models", "runs", "watch", "metrics"])
def test_every_verb_explains_itself(verb: str, typed: Any, api: Any) -> None:
    result, printed = typed(f"%tt {verb} --help")
    assert f"usage: %tt {verb}" in printed
    assert (result.success, api.requests) == (True, [])
