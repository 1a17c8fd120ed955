"""``%tt`` in a real InteractiveShell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import StdinNotImplementedError
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from tensortrigger_lab import magics
from tensortrigger_lab.client import Client
from tensortrigger_lab.display import Listing
from tensortrigger_lab.endpoint import Model
from tensortrigger_lab.session import session

RESULTS = "row,score\n0,0.1\n1,0.2\n2,0.3\n"


@pytest.fixture(scope="module")
def one_shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InteractiveShell]:
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        shell = InteractiveShell(config=config)
        yield shell
        shell.restore_sys_module_state()


@pytest.fixture
def shell(one_shell: InteractiveShell, shared_client: Client) -> Iterator[InteractiveShell]:
    one_shell.reset(new_session=False)
    one_shell.extension_manager.load_extension("tensortrigger_lab")
    yield one_shell
    one_shell.extension_manager.unload_extension("tensortrigger_lab")


@pytest.fixture
def endpoint(api: Any, shapes: Any) -> Any:
    api.on("POST", "/tensor/run", {"output": [0.25], "model_id": shapes.model_id})
    api.on("POST", "/tensor/run/batch", {"output": [[0.25], [0.75]], "model_id": shapes.model_id})
    api.on("GET", "/models/by-name/churn", {"model": shapes.model()})
    api.on("GET", "/models", {"models": [shapes.model()], "next_cursor": None})
    api.on("GET", "/jobs", {"jobs": [shapes.job()], "next_cursor": None})
    api.on("GET", f"/jobs/{shapes.job_id}", {"job": shapes.job()})
    api.on("GET", "/health", {"status": "ok", "version": "0.1.0"})
    return api


def typed(shell: InteractiveShell, code: str) -> tuple[Any, str]:
    """What a cell gives, and everything it prints."""
    with capture_output() as captured:
        result = shell.run_cell(code)
    return result, captured.stdout + captured.stderr


def completed(shell: InteractiveShell, line: str) -> list[str]:
    """What the line could become."""
    assert shell.Completer is not None
    with provisionalcompleter():
        found = list(shell.Completer.completions(line, len(line)))
    return [line[: completion.start] + completion.text for completion in found]


def test_loading_the_extension_asks_the_network_nothing(shell: InteractiveShell, api: Any) -> None:
    assert "tt" in shell.magics_manager.magics["line"]
    assert "tt" in shell.magics_manager.magics["cell"]
    assert api.requests == []


def test_run_takes_json_with_its_quotes_and_blanks(shell: InteractiveShell, endpoint: Any) -> None:
    result, _ = typed(shell, '%tt run churn {"age":41, "income": 0.5}')
    assert result.result == [0.25]
    assert endpoint.body("/tensor/run") == {"model": "churn", "input_vector": {"age": 41, "income": 0.5}}


@pytest.mark.parametrize(
    "line", ["%tt run churn {'age': 41, 'income': .5}", "%%tt run churn\n{'age': 41,\n 'income': .5}"]
)
def test_run_takes_a_python_literal(shell: InteractiveShell, endpoint: Any, line: str) -> None:
    assert typed(shell, line)[0].result == [0.25]
    assert endpoint.body("/tensor/run")["input_vector"] == {"age": 41, "income": 0.5}


def test_models_takes_a_name(shell: InteractiveShell, endpoint: Any) -> None:
    for line in ("%tt models churn", "%tt models --name churn"):
        assert len(typed(shell, line)[0].result) == 1
        assert endpoint.requests[-1].url.params["name"] == "churn"


@pytest.fixture
def scoring(endpoint: Any, shapes: Any) -> Any:
    endpoint.on("POST", "/jobs", {"job_id": shapes.job_id})
    endpoint.on("GET", f"/jobs/{shapes.job_id}/results", lambda _: httpx.Response(200, text=RESULTS))
    endpoint.on("POST", f"/jobs/{shapes.job_id}/cancel", {"message": "Job cancelled"})
    return endpoint


def test_score_takes_a_file_or_a_table_and_gives_a_table(
    shell: InteractiveShell, scoring: Any, tmp_path: Path
) -> None:
    table = pd.DataFrame({"age": [1, 2, 3], "income": [0.5, 0.5, 0.5]}, index=["x", "y", "z"])
    path = tmp_path / "my rows.csv"
    table.to_csv(path, index=False)
    shell.user_ns["table"] = table
    assert typed(shell, f"%tt score churn '{path}'")[0].result["score"].tolist() == [0.1, 0.2, 0.3]
    assert typed(shell, "%tt score churn table")[0].result.index.tolist() == ["x", "y", "z"]
    sent = [request.content for request in scoring.asked("/jobs")]
    assert sent == [path.read_bytes()] * 2


def test_score_writes_a_file_where_one_is_named(
    shell: InteractiveShell, scoring: Any, shared_client: Client, tmp_path: Path, shapes: Any
) -> None:
    path, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    path.write_text("age,income\n1,0.5\n2,0.5\n3,0.5\n")
    shell.user_ns["mine"] = Model(shared_client.model("churn"), shared_client)
    for model in ("churn", "mine"):
        result, printed = typed(shell, f"%tt score {model} {path} -o {out}")
        assert (result.result, out.read_text()) == (None, RESULTS)
        assert "3 rows scored" in printed
        out.unlink()
    assert [dict(request.url.params) for request in scoring.asked("/jobs")] == [
        {"model": "churn"},
        {"model_id": shapes.model_id},
    ]


def test_cancel_stops_a_job(shell: InteractiveShell, scoring: Any, shapes: Any) -> None:
    assert typed(shell, f"%tt cancel {shapes.job_id}")[0].result.job_id == shapes.job_id
    assert len(scoring.asked(f"/jobs/{shapes.job_id}/cancel")) == 1


def test_delete_removes_one_version_and_says_which(
    shell: InteractiveShell, endpoint: Any, shared_client: Client, shapes: Any
) -> None:
    endpoint.on("GET", "/models/by-name/churn/versions/1", {"model": shapes.model()})
    endpoint.on("GET", f"/models/{shapes.model_id}", {"model": shapes.model()})
    endpoint.on("DELETE", f"/models/{shapes.model_id}", {"message": "Model deleted"})
    shell.user_ns["mine"] = Model(shared_client.model("churn"), shared_client)
    for model in ("churn/1", shapes.model_id, "mine"):
        assert typed(shell, f"%tt delete {model}")[1] == f"deleted churn/1 ({shapes.model_id})\n"
    assert [request.method for request in endpoint.requests].count("DELETE") == 3


def test_run_takes_the_name_of_a_variable_and_can_be_assigned(shell: InteractiveShell, endpoint: Any) -> None:
    shell.user_ns["frame"] = pd.DataFrame({"age": [1, 2], "income": [0.5, 0.5]})
    typed(shell, "answer = %tt run churn frame")
    assert shell.user_ns["answer"]["score"].tolist() == [0.25, 0.75]


@pytest.mark.parametrize("cell", ['{"age": 41,\n "income": 0.5}\n', "row\n"])
def test_the_cell_holds_json_or_a_variables_name(shell: InteractiveShell, endpoint: Any, cell: str) -> None:
    shell.user_ns["row"] = {"age": 41, "income": 0.5}
    result, _ = typed(shell, f"%%tt run churn\n{cell}")
    assert result.result == [0.25]
    assert endpoint.body("/tensor/run")["input_vector"] == {"age": 41, "income": 0.5}


def test_run_takes_a_variable_that_holds_a_published_model(
    shell: InteractiveShell, endpoint: Any, shared_client: Client, shapes: Any
) -> None:
    shell.user_ns["mine"] = Model(shared_client.model("churn"), shared_client)
    typed(shell, "%tt run mine [41, 0.5]")
    assert endpoint.body("/tensor/run")["model_id"] == shapes.model_id


def test_publish_takes_variables(
    shell: InteractiveShell, endpoint: Any, shapes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Constant:
        built, input_shape = True, (None, 2)

        def save(self, path: Path) -> None:
            path.write_bytes(b"PK\x03\x04")

        def predict(self, x: Any, verbose: int) -> Any:
            return np.array([[0.25], [0.75]])

    monkeypatch.setitem(__import__("sys").modules, "keras", SimpleNamespace(Model=Constant))
    endpoint.on("POST", "/models/new", {"model": shapes.model()})
    shell.user_ns.update(net=Constant(), table=pd.DataFrame({"age": [1, 2], "income": [0.5, 1.5]}))
    result, _ = typed(
        shell, "%tt publish net --name churn --example table --description who leaves for $table"
    )
    assert result.result.check.equal
    sent = endpoint.body("/models/new")
    assert (sent["name"], sent["model_description"]) == ("churn", "who leaves for $table")


def test_the_lists_show_themselves(shell: InteractiveShell, endpoint: Any, shapes: Any) -> None:
    for verb in ("models", "jobs"):
        assert isinstance(typed(shell, f"%tt {verb}")[0].result, Listing)
    assert typed(shell, f"%tt job {shapes.job_id}")[0].result.state == "succeeded"


def test_status_tells_url_and_version(shell: InteractiveShell, endpoint: Any, shapes: Any) -> None:
    _, printed = typed(shell, "%tt status")
    assert shapes.url in printed
    assert "version 0.1.0" in printed


def test_status_says_that_the_key_is_refused(shell: InteractiveShell, endpoint: Any, shapes: Any) -> None:
    endpoint.on("GET", "/models", shapes.problem(401, "The API key is unknown."))
    session().use(Client(shapes.url, "tt_wrong", transport=httpx.MockTransport(endpoint)))
    result, printed = typed(shell, "%tt status")
    assert "the key is refused" in printed
    assert "tt_wrong" not in printed
    assert not result.success


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("%tt run churn nothing", "There is no variable 'nothing'"),
        ("%tt run churn {'age': open}", "neither a variable's name nor JSON"),
        ("%tt run churn __import__('os').getcwd()", "neither a variable's name nor JSON"),
        ("%tt delete churn", "expected an id or churn/1"),
        ("%tt run churn", "give one vector or batch"),
        ("%tt run churn [NaN]", "neither a variable's name nor JSON"),
        ('%tt run churn {"age": null}', "Field 'age' is not a number"),
        ("%tt run gone [1]", "There is nothing at /tensor/run"),
        ("%tt publish net", "--name"),
        ("%tt publish net --name churn", "There is no variable 'net'"),
        ("%tt frobnicate", "invalid choice"),
        ("%tt job", "ID"),
        ("%tt models 'open", "close the quotation"),
        ("%%tt models\nx", "only 'run' takes a cell"),
    ],
)
def test_errors_are_short_and_without_a_traceback(
    shell: InteractiveShell, api: Any, shapes: Any, line: str, told: str
) -> None:
    api.on("GET", "/models/by-name/churn", {"model": shapes.model()})
    result, printed = typed(shell, line)
    assert told in printed
    assert "Traceback" not in printed
    assert "UsageError" in printed
    assert len(printed.splitlines()) <= 3
    assert not result.success


def test_debug_shows_the_traceback(shell: InteractiveShell) -> None:
    for line in ("%tt run --debug gone [1]", "%tt run gone [1] --debug"):
        _, printed = typed(shell, line)
        assert "Traceback" in printed
        assert "NotFound" in printed


def test_an_unforeseen_error_is_short_too(
    shell: InteractiveShell, endpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(magics.verbs, "models", lambda name: 1 / 0)
    _, printed = typed(shell, "%tt models")
    assert "ZeroDivisionError" in printed
    assert "--debug" in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    "line", ["%tt", "%tt --help", "%tt run --help", "%tt publish -h", "%tt login --help"]
)
def test_help_is_printed_and_nothing_else_happens(shell: InteractiveShell, api: Any, line: str) -> None:
    result, printed = typed(shell, line)
    assert "usage: %tt" in printed
    assert result.success
    assert result.result is None
    assert api.requests == []


def test_login_asks_for_the_key_and_shows_it_nowhere(
    shell: InteractiveShell, endpoint: Any, shapes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(magics, "getpass", lambda prompt: "tt_a_secret")
    used: list[Client] = []

    def use(url: str | None, key: str | None) -> Client:
        import httpx

        client = Client(url, key, transport=httpx.MockTransport(endpoint))
        used.append(client)
        session().use(client)
        return client

    monkeypatch.setattr(magics, "login", use)
    _, printed = typed(shell, f"%tt login {shapes.url}")
    assert "in use" in printed
    assert "secret" not in printed
    assert endpoint.requests[-1].headers["Authorization"] == "Bearer tt_a_secret"


@pytest.mark.parametrize("error", [EOFError(), StdinNotImplementedError("no input requests")])
def test_login_where_nobody_can_be_asked_is_short(
    shell: InteractiveShell, api: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def nobody(prompt: str) -> str:
        raise error

    monkeypatch.setattr(magics, "getpass", nobody)
    _, printed = typed(shell, "%tt login")
    assert "nobody can be asked for the key here" in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("line", ["%tt login tt_a_secret", "%tt login http://h tt_a_secret", "%tt login a b"])
def test_a_key_on_the_line_is_refused(
    shell: InteractiveShell, api: Any, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setattr(magics, "getpass", lambda prompt: pytest.fail("asked for the key"))
    _, printed = typed(shell, line)
    assert "takes only a URL" in printed
    assert "secret" not in printed
    assert api.requests == []


def test_the_completer_offers_what_is_in_memory_and_asks_the_network_nothing(
    shell: InteractiveShell, endpoint: Any, shared_client: Client
) -> None:
    typed(shell, "%tt models")
    shell.user_ns["frame"] = pd.DataFrame({"age": [1]})
    asked = len(endpoint.requests)
    assert completed(shell, "%tt pu") == ["%tt publish"]
    assert completed(shell, "%tt run ch") == ["%tt run churn"]
    assert completed(shell, "x = %tt run churn fr") == ["x = %tt run churn frame"]
    assert "%tt publish net --name" in completed(shell, "%tt publish net --")
    assert len(endpoint.requests) == asked


def test_the_completer_offers_the_jobs_that_were_seen(
    shell: InteractiveShell, endpoint: Any, shapes: Any
) -> None:
    typed(shell, f"%tt job {shapes.job_id}")
    for verb in ("job", "cancel"):
        assert completed(shell, f"%tt {verb} ") == [f"%tt {verb} {shapes.job_id}"]


def test_the_completer_leaves_other_lines_alone(shell: InteractiveShell) -> None:
    shell.user_ns["published"] = 1
    assert "print(published" in completed(shell, "print(publ")


def test_unloading_takes_the_magic_away(shell: InteractiveShell, endpoint: Any) -> None:
    typed(shell, "%unload_ext tensortrigger_lab")
    assert not any("tt" in known for known in shell.magics_manager.magics.values())
    assert "not found" in typed(shell, "%tt models")[1]
    typed(shell, "%unload_ext tensortrigger_lab")
    typed(shell, "%load_ext tensortrigger_lab")
    assert "tt" in shell.magics_manager.magics["line"]


def test_unloading_takes_the_completer_away(shell: InteractiveShell) -> None:
    assert shell.Completer is not None
    before = len(shell.Completer.custom_matchers)
    magics.load_ipython_extension(shell)
    assert len(shell.Completer.custom_matchers) == before
    magics.unload_ipython_extension(shell)
    assert len(shell.Completer.custom_matchers) == before - 1
