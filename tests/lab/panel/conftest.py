"""``tt.panel`` without a front end; each that a test opens is closed after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from panels import until

import tensortrigger_lab as tt
from tensortrigger_lab.client import Client
from tensortrigger_lab.panels import csv_tab


@pytest.fixture
def open_panel(client: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Any]]:
    opened: list[Any] = []
    monkeypatch.setattr(csv_tab, "INTERVAL", 0.05)

    def open_panel() -> Any:
        opened.append(tt.panel(client=client))
        return opened[-1]

    yield open_panel
    for box in opened:
        box.close()
        until(lambda box=box: not box.ticking.running)
