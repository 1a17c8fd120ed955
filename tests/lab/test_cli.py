"""The ``tt`` command."""

from __future__ import annotations

import argparse
import io
import json
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import httpx
import pytest

from tensortrigger_lab import background, cli, commands
from tensortrigger_lab.client import Client


@pytest.fixture(autouse=True)
def wired(api: Any, shapes: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The commands' client speaks to the answering end of these tests."""

    def connect(patience: float, in_shell: bool) -> Client:
        assert patience <= 2
        return Client(shapes.url, transport=httpx.MockTransport(api), patience=0.0, in_shell=in_shell)

    monkeypatch.setattr(commands, "Client", connect)
    monkeypatch.setattr(background, "FIRST_POLL", 0.0)
    api.on("GET", "/models", {"models": [shapes.model()], "next_cursor": None})
    api.on("GET", "/jobs", {"jobs": [shapes.job()], "next_cursor": None})
    api.on("GET", f"/jobs/{shapes.job_id}", {"job": shapes.job(rows_rejected=1)})
    api.on("POST", f"/jobs/{shapes.job_id}/cancel", {"message": "Job cancelled"})
    api.on("GET", "/health", {"status": "ok", "version": "0.1.0"})
    api.on("POST", "/tensor/run", {"output": [0.25]})
    api.on("POST", "/jobs", {"job_id": shapes.job_id})
    api.on("GET", f"/jobs/{shapes.job_id}/results", httpx.Response(200, text="row,score\n0,0.25\n"))
    reject = {"row": 1, "line": 3, "field": "age", "code": "null", "message": "Line 3: field 'age' is empty."}
    api.on("GET", f"/jobs/{shapes.job_id}/rejects", {"rejects": [reject], "next_cursor": None})
    return api


@pytest.fixture
def csv_path(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("age,income\n1,0.5\n,0.5\n")
    return path


def test_models_and_jobs_are_tables(capsys: pytest.CaptureFixture[str], shapes: Any) -> None:
    assert cli.main(["models"]) == 0
    assert cli.main(["jobs"]) == 0
    assert cli.main(["job", shapes.job_id]) == 0
    out = capsys.readouterr().out
    assert "churn" in out
    assert out.count(shapes.job_id) == 2


def test_run_prints_json(capsys: pytest.CaptureFixture[str], api: Any) -> None:
    assert cli.main(["run", "churn", '{"age": 41, "income": 0.5}']) == 0
    assert json.loads(capsys.readouterr().out) == [0.25]
    assert api.body("/tensor/run") == {"model": "churn", "input_vector": {"age": 41, "income": 0.5}}


def test_run_reads_standard_input(
    capsys: pytest.CaptureFixture[str], api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("[41, 0.5]"))
    assert cli.main(["run", "churn", "-"]) == 0
    assert api.body("/tensor/run")["input_vector"] == [41, 0.5]


def test_score_writes_the_results_and_tells_of_rejects(
    capsys: pytest.CaptureFixture[str], csv_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    assert cli.main(["score", "churn", str(csv_path), "-o", str(out)]) == 0
    assert out.read_text() == "row,score\n0,0.25\n"
    assert list(tmp_path.glob("*.part")) == []
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "1 rejected (first: Line 3: field 'age' is empty.)" in captured.err


def test_score_without_a_file_writes_to_standard_output(
    capfdbinary: pytest.CaptureFixture[bytes], csv_path: Path
) -> None:
    assert cli.main(["score", "churn", str(csv_path)]) == 0
    assert capfdbinary.readouterr().out == b"row,score\n0,0.25\n"


def test_score_fails_where_every_row_was_rejected(
    api: Any, capfd: pytest.CaptureFixture[str], csv_path: Path, shapes: Any
) -> None:
    api.on("GET", f"/jobs/{shapes.job_id}", {"job": shapes.job(rows_rejected=3)})
    api.on("GET", f"/jobs/{shapes.job_id}/results", httpx.Response(200, text="row,score\n"))
    assert cli.main(["score", "churn", str(csv_path)]) == 1
    captured = capfd.readouterr()
    assert captured.out == "row,score\n"
    assert "0 rows scored, 3 rejected (first: Line 3: field 'age' is empty.)" in captured.err


def test_a_result_that_breaks_off_leaves_no_file(
    api: Any, csv_path: Path, tmp_path: Path, shapes: Any
) -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        def chunks() -> Any:
            yield b"row,score\n"
            raise httpx.ReadError("reset")

        return httpx.Response(200, content=chunks())

    api.on("GET", f"/jobs/{shapes.job_id}/results", broken)
    assert cli.main(["score", "churn", str(csv_path), "-o", str(tmp_path / "out.csv")]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.csv"]


def test_cancel_stops_a_job(api: Any, capsys: pytest.CaptureFixture[str], shapes: Any) -> None:
    assert cli.main(["cancel", shapes.job_id]) == 0
    assert len(api.asked(f"/jobs/{shapes.job_id}/cancel")) == 1


def test_publish_takes_a_file_and_a_schema(
    api: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path, shapes: Any
) -> None:
    schema = {"age": {"var_type": "INT", "index": 0}, "income": {"var_type": "FLOAT", "index": 1}}
    (tmp_path / "m.keras").write_bytes(b"PK\x03\x04")
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    api.on("POST", "/models/new", {"model": shapes.model()})
    line = [
        "publish",
        str(tmp_path / "m.keras"),
        "--name",
        "churn",
        "--schema",
        str(tmp_path / "schema.json"),
    ]
    assert cli.main(line) == 0
    assert api.body("/models/new")["model_schema"] == schema
    assert "curl -s" in capsys.readouterr().out


def test_status_names_the_backend(capsys: pytest.CaptureFixture[str], shapes: Any) -> None:
    assert cli.main(["status"]) == 0
    assert shapes.url in capsys.readouterr().out


@pytest.mark.parametrize(("key", "told"), [("tt_wrong", "the key is refused"), (None, "it asks for a key")])
def test_status_fails_where_the_key_is_refused(
    api: Any,
    capsys: pytest.CaptureFixture[str],
    shapes: Any,
    monkeypatch: pytest.MonkeyPatch,
    key: str | None,
    told: str,
) -> None:
    def connect(patience: float, in_shell: bool) -> Client:
        return Client(shapes.url, key, transport=httpx.MockTransport(api), in_shell=in_shell)

    monkeypatch.setattr(commands, "Client", connect)
    api.on("GET", "/models", shapes.problem(401, "The API key is unknown."))
    assert cli.main(["status"]) == 1
    captured = capsys.readouterr()
    assert told in captured.err
    assert "tt_wrong" not in captured.err


def test_a_key_that_may_not_list_models_is_still_in_use(
    api: Any, capsys: pytest.CaptureFixture[str], shapes: Any
) -> None:
    api.on("GET", "/models", shapes.problem(403, "The key lacks the scope."))
    assert cli.main(["status"]) == 0
    assert "in use; it may not list models" in capsys.readouterr().out


def unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


@pytest.mark.parametrize(
    "reply", [unreachable, lambda request: httpx.Response(401, json={})], ids=["no backend", "no key"]
)
def test_errors_advise_what_a_shell_can_do(api: Any, capsys: pytest.CaptureFixture[str], reply: Any) -> None:
    for path in ("/models", "/health"):
        api.on("GET", path, reply)
    for line in (["models"], ["status"]):
        assert cli.main(line) == 1
        told = capsys.readouterr().err
        assert "set TENSORTRIGGER_URL and TENSORTRIGGER_API_KEY" in told
        assert "login" not in told


@pytest.mark.parametrize("line", [["models", "churn"], ["models", "--name", "churn"]])
def test_models_takes_a_name(api: Any, line: list[str]) -> None:
    assert cli.main(line) == 0
    assert api.asked("/models")[0].url.params["name"] == "churn"


def test_delete_removes_one_version_and_says_which(
    api: Any, capsys: pytest.CaptureFixture[str], shapes: Any
) -> None:
    api.on("GET", "/models/by-name/churn/versions/1", {"model": shapes.model()})
    api.on("DELETE", f"/models/{shapes.model_id}", {"message": "Model deleted"})
    assert cli.main(["delete", "churn/1"]) == 0
    assert capsys.readouterr().out == f"deleted churn/1 ({shapes.model_id})\n"
    assert api.requests[-1].method == "DELETE"


def test_delete_wants_to_know_which_version(
    api: Any, capsys: pytest.CaptureFixture[str], shapes: Any
) -> None:
    api.on("GET", "/models/by-name/churn", {"model": shapes.model(version=4)})
    assert cli.main(["delete", "churn"]) == 1
    assert "expected an id or churn/4" in capsys.readouterr().err
    assert {request.method for request in api.requests} == {"GET"}


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("tt ")


@pytest.mark.parametrize(
    "line",
    [
        ["run", "gone", "{"],
        ["run", "churn", '{"age": null}'],
        ["run", "churn", '{"age": NaN}'],
        ["job", "nothing"],
        ["score", "churn", "no/such.csv"],
        ["publish", "no/such.keras", "--name", "churn"],
        ["publish", "no/such.keras", "--name", "No Name"],
        ["publish", __file__, "--name", "churn", "--schema", "no/such.json"],
    ],
)
def test_an_error_is_short_on_standard_error_and_exits_1(
    capsys: pytest.CaptureFixture[str], line: list[str]
) -> None:
    assert cli.main(line) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("tt: ")
    assert len(captured.err.splitlines()) <= 2
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("line", [["run"], ["nonsense"], ["models", "--nonsense"], ["publish", "m.keras"]])
def test_a_wrong_command_line_exits_2(capsys: pytest.CaptureFixture[str], line: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(line)
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_no_command_prints_the_help_and_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    told = capsys.readouterr().err
    assert all(verb in told for verb in (*cli.CLIENT_VERBS, "serve", "migrate", "keys"))


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(commands.BadInput):
        cli.main(["--debug", "run", "churn", "{"])


def test_an_interrupt_exits_130(capsys: pytest.CaptureFixture[str], api: Any) -> None:
    def interrupted(request: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    api.on("GET", "/models", interrupted)
    assert cli.main(["models"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def installed(monkeypatch: pytest.MonkeyPatch, **entries: str) -> list[str]:
    """Pretend that just these server commands are installed; the names of those that get loaded."""
    loaded: list[str] = []
    found = [EntryPoint(name, value, cli.GROUP) for name, value in entries.items()]
    monkeypatch.setattr(cli, "entry_points", lambda group: found)
    original = EntryPoint.load
    monkeypatch.setattr(EntryPoint, "load", lambda entry: loaded.append(entry.name) or original(entry))
    return loaded


def register_hello(subparsers: Any) -> None:
    parser = subparsers.add_parser("hello")
    parser.add_argument("--status", type=int, default=0)
    parser.set_defaults(run=lambda arguments: arguments.status)


def register_broken(subparsers: Any) -> None:
    def run(arguments: argparse.Namespace) -> int:
        raise ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")

    subparsers.add_parser("serve").set_defaults(run=run)


def test_only_the_wanted_server_command_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    sys.modules.setdefault("here", sys.modules[__name__])
    loaded = installed(monkeypatch, hello="here:register_hello", serve="no_such_module:register")
    assert cli.main(["hello", "--status", "7"]) == 7
    assert loaded == ["hello"]


@pytest.mark.parametrize(
    "entries", [{}, {"serve": "no_such_module:register"}, {"serve": "here:register_broken"}]
)
def test_a_server_command_that_is_not_installed_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], entries: dict[str, str]
) -> None:
    sys.modules.setdefault("here", sys.modules[__name__])
    installed(monkeypatch, **entries)
    assert cli.main(["serve"]) == 1
    told = capsys.readouterr().err
    assert 'pip install "tensortrigger-lab[backend]"' in told
    assert "Traceback" not in told


def test_the_help_survives_a_server_command_that_cannot_be_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installed(monkeypatch, serve="no_such_module:register")
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "needs the backend" in capsys.readouterr().out


def test_versions_are_promoted_and_rolled_back_at_a_shell(
    api: Any, capsys: pytest.CaptureFixture[str], shapes: Any
) -> None:
    place = "/models/by-name/churn/aliases/production"
    api.on("GET", f"/models/{shapes.model_id}", {"model": shapes.model()})
    api.on("GET", f"/models/{shapes.model_id}/receipt", {"receipt": shapes.receipt()})
    api.on("GET", "/models/by-name/churn/aliases", {"aliases": [shapes.alias()]})
    api.on("GET", place, {"alias": shapes.alias()})
    api.on("PUT", place, {"alias": shapes.alias()})
    api.on("POST", f"{place}/rollback", {"alias": shapes.alias()})
    api.on("DELETE", place, {"message": "Alias removed"})
    api.on("GET", f"{place}/history", {"history": [], "next_cursor": None})
    for words in (
        ["alias", "churn", "production", "1"],
        ["aliases", "churn"],
        ["rollback", "churn", "production"],
        ["history", "churn", "production"],
        ["receipt", "churn@production"],
        ["alias", "churn", "production", "--remove"],
    ):
        assert cli.main(words) == 0, words
    out = capsys.readouterr().out
    assert f"churn@production means version 1 ({shapes.model_id})" in out
    assert "means version 1 again" in out
    assert "Receipt of churn/1" in out
    assert "removed churn@production" in out


def test_a_receipt_that_no_longer_holds_is_an_error_at_a_shell(api: Any, shapes: Any) -> None:
    members = shapes.receipt()
    members["checks"][-1]["passed"] = False
    api.on("GET", f"/models/{shapes.model_id}", {"model": shapes.model()})
    api.on("GET", f"/models/{shapes.model_id}/receipt", {"receipt": members})
    assert cli.main(["receipt", shapes.model_id]) == 1
