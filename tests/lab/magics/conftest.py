"""A real InteractiveShell with ``%tt`` in it, and an endpoint that answers."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from tensortrigger_lab.client import Client


@pytest.fixture(scope="module")
def one_shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InteractiveShell]:
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        # IPython warns of an environment that is active in the terminal but not the one that runs.
        patch.delenv("VIRTUAL_ENV", raising=False)
        shell = InteractiveShell(config=config)
        # Every reset goes through all garbage: not through what Keras and others have left in this process as well.
        gc.collect()
        gc.freeze()
        yield shell
        gc.unfreeze()
        shell.restore_sys_module_state()


@pytest.fixture
def shell(one_shell: InteractiveShell, shared_client: Client) -> Iterator[InteractiveShell]:
    one_shell.reset(new_session=False)
    # A setting outlives the extension: IPython keeps it for the shell.
    one_shell.config.pop("TensorTrigger", None)
    one_shell.extension_manager.load_extension("tensortrigger_lab")
    yield one_shell
    one_shell.extension_manager.unload_extension("tensortrigger_lab")


@pytest.fixture
def typed(shell: InteractiveShell) -> Callable[[str], tuple[Any, str]]:
    """What a cell gives, and everything it prints."""

    def run(code: str) -> tuple[Any, str]:
        with capture_output() as captured:
            result = shell.run_cell(code)
        return result, captured.stdout + captured.stderr

    return run


@pytest.fixture
def completed(shell: InteractiveShell) -> Callable[[str], list[str]]:
    """What a line could become."""

    def complete(line: str) -> list[str]:
        assert shell.Completer is not None
        with provisionalcompleter():
            found = list(shell.Completer.completions(line, len(line)))
        return [line[: completion.start] + completion.text for completion in found]

    return complete


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
