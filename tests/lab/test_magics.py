"""``%tt`` in a real InteractiveShell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from tensortrigger_lab import magics
from tensortrigger_lab.client import Client
from tensortrigger_lab.display import Listing
from tensortrigger_lab.endpoint import Model
from tensortrigger_lab.session import session


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


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("%tt run churn nothing", "There is no variable 'nothing'"),
        ("%tt run churn {'age': 1}", "neither a variable's name nor JSON"),
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
def test_errors_are_short_and_without_a_traceback(shell: InteractiveShell, line: str, told: str) -> None:
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


def test_the_completer_leaves_other_lines_alone(shell: InteractiveShell) -> None:
    shell.user_ns["published"] = 1
    assert "print(published" in completed(shell, "print(publ")


def test_unloading_takes_the_completer_away(shell: InteractiveShell) -> None:
    assert shell.Completer is not None
    before = len(shell.Completer.custom_matchers)
    magics.load_ipython_extension(shell)
    assert len(shell.Completer.custom_matchers) == before
    magics.unload_ipython_extension(shell)
    assert len(shell.Completer.custom_matchers) == before - 1
