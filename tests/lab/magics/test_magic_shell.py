"""``%tt`` comes to a shell, completes what is typed there, and leaves it as it was."""

from __future__ import annotations

from typing import Any

import pandas as pd
from IPython.core.interactiveshell import InteractiveShell

from tensortrigger_lab import magics
from tensortrigger_lab.client import Client


def test_loading_the_extension_asks_the_network_nothing(shell: InteractiveShell, api: Any) -> None:
    assert "tt" in shell.magics_manager.magics["line"]
    assert "tt" in shell.magics_manager.magics["cell"]
    assert api.requests == []


def test_the_completer_offers_what_is_in_memory_and_asks_the_network_nothing(
    shell: InteractiveShell, endpoint: Any, shared_client: Client, typed: Any, completed: Any
) -> None:
    typed("%tt models")
    shell.user_ns["frame"] = pd.DataFrame({"age": [1]})
    asked = len(endpoint.requests)
    assert completed("%tt pu") == ["%tt publish"]
    assert completed("%tt run ch") == ["%tt run churn"]
    assert completed("x = %tt run churn fr") == ["x = %tt run churn frame"]
    assert "%tt publish net --name" in completed("%tt publish net --")
    assert len(endpoint.requests) == asked


def test_the_completer_offers_the_jobs_that_were_seen(
    endpoint: Any, shapes: Any, typed: Any, completed: Any
) -> None:
    typed(f"%tt job {shapes.job_id}")
    for verb in ("job", "cancel"):
        assert completed(f"%tt {verb} ") == [f"%tt {verb} {shapes.job_id}"]


def test_the_completer_leaves_other_lines_alone(shell: InteractiveShell, completed: Any) -> None:
    shell.user_ns["published"] = 1
    assert "print(published" in completed("print(publ")


def test_unloading_takes_the_magic_away(shell: InteractiveShell, endpoint: Any, typed: Any) -> None:
    typed("%unload_ext tensortrigger_lab")
    assert not any("tt" in known for known in shell.magics_manager.magics.values())
    assert "not found" in typed("%tt models")[1]
    typed("%unload_ext tensortrigger_lab")
    typed("%load_ext tensortrigger_lab")
    assert "tt" in shell.magics_manager.magics["line"]


def test_unloading_takes_the_completer_away(shell: InteractiveShell) -> None:
    assert shell.Completer is not None
    before = len(shell.Completer.custom_matchers)
    magics.load_ipython_extension(shell)
    assert len(shell.Completer.custom_matchers) == before
    magics.unload_ipython_extension(shell)
    assert len(shell.Completer.custom_matchers) == before - 1
