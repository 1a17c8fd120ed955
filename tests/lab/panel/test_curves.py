"""The panel's curves: asked for while they are seen and grow, and no longer."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from panels import EVIL, seen, until

from tensortrigger_lab.panels import ticking

RUN_ID = "c" * 32


def run_members(state: str, points: int) -> dict[str, Any]:
    return {
        "run_id": RUN_ID,
        "name": EVIL,
        "state": state,
        "source": "notebook",
        "epoch": 1,
        "step": points,
        "metrics": {"loss": 0.5, EVIL: 0.1},
        "last_seq": points,
        "points": points,
        "error": EVIL if state == "failed" else None,
    }


def test_curves_grow_until_the_run_ends_and_then_nothing_is_asked(
    open_panel: Any, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def news(request: httpx.Request) -> httpx.Response:
        after = int(request.url.params["after"])
        asked.append(after)
        state = "failed" if len(asked) >= 3 else "running"
        metrics = {"loss": 1 / (after + 1), EVIL: 0.2}
        point = {
            "seq": after + 1,
            "kind": "batch",
            "step": after + 1,
            "epoch": 1,
            "t": 0.0,
            "metrics": metrics,
        }
        body = {
            "run": run_members(state, after + 1),
            "points": [point],
            "last_seq": after + 1,
            "next_after": None,
        }
        return httpx.Response(200, json=body)

    api.on("GET", "/runs", {"runs": [run_members("running", 0)], "next_cursor": None})
    api.on("GET", f"/runs/{RUN_ID}/metrics", news)
    # As quick as is promised, then quicker, so that the rest of the test need not be slow.
    assert ticking.INTERVAL >= 0.5
    monkeypatch.setattr(ticking, "INTERVAL", 0.2)
    monkeypatch.setattr(ticking, "RESTING", 0.2)
    began = time.monotonic()
    tab = seen(open_panel(), 3)
    until(lambda: "failed" in tab.status.value)
    assert time.monotonic() - began > 0.35
    assert asked == [0, 1, 2]
    time.sleep(0.5)
    assert asked == [0, 1, 2]
    assert "<svg" in tab.chart.value
    assert "<img" not in tab.chart.value + tab.status.value


def test_a_tab_out_of_view_asks_nothing(open_panel: Any, api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticking, "INTERVAL", 0.05)
    monkeypatch.setattr(ticking, "RESTING", 0.05)
    box = open_panel()
    seen(box, 0)
    time.sleep(0.4)
    assert api.requests == []
