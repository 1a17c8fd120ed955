"""``tt.panel`` as a whole: it opens, closes, and says what went wrong."""

from __future__ import annotations

import builtins
import time
from typing import Any

import pytest
from panels import EVIL, seen, until

import tensortrigger_lab as tt
from tensortrigger_lab.client import Client


def test_it_has_four_tabs(open_panel: Any) -> None:
    box = open_panel()
    assert box.titles == ("Publish", "Run", "CSV job", "Training")
    assert len(box.children) == 4
    assert box.ticking.running


def test_closing_it_ends_its_thread(open_panel: Any) -> None:
    box = open_panel()
    box.close()
    until(lambda: not box.ticking.running)


def test_a_new_panel_ends_the_one_before(open_panel: Any) -> None:
    first = open_panel()
    second = open_panel()
    until(lambda: not first.ticking.running)
    assert second.ticking.running


def test_without_ipywidgets_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def blocked(name: str, *rest: Any) -> Any:
        if name == "ipywidgets":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", blocked)
    with pytest.raises(tt.BadInput, match="pip install ipywidgets"):
        tt.panel()


def test_what_the_backend_says_is_escaped_everywhere(open_panel: Any, api: Any, shapes: Any) -> None:
    api.on("GET", "/models", shapes.problem(500, EVIL))
    api.on("GET", "/runs", shapes.problem(500, EVIL))
    box = open_panel()
    for number, status in ((1, "models.status"), (2, "models.status"), (3, "status")):
        tab = seen(box, number)
        found = tab.models.status if "." in status else tab.status
        until(lambda found=found: "Error:" in found.value)
        assert "<img" not in found.value


def test_a_backend_that_is_away_is_told_with_what_to_do() -> None:
    with Client("http://127.0.0.1:9", patience=0.0) as client:
        began = time.monotonic()
        box = tt.panel(client=client)
        assert time.monotonic() - began < 1.0
        tab = seen(box, 3)
        until(lambda: "tt serve" in tab.status.value)
        box.close()
