"""A backend that goes away is told of at once, and its return needs nobody's help."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from tests.browser.conftest import Jupyter, Lab


def test_a_backend_that_died_answers_again_before_anybody_has_to_do_something(
    lab: Lab, jupyter: Jupyter, houses: str
) -> None:
    panel = lab.open().open_panel("models")
    panel.get_by_role("listitem").filter(has_text="houses").get_by_role("button").first.click()
    panel.get_by_label("area").fill("100")
    panel.get_by_label("rooms").fill("3")
    before = jupyter.wait_for_backend()
    backend = psutil.Process(before["pid"])
    backend.kill()
    # Gone with its connections: what is sent on one of them while they still close is answered by an error.
    backend.wait(60)
    panel.get_by_role("button", name="Run", exact=True).click()
    # The request waits at the door while the next child starts.
    panel.get_by_role("heading", name="Answer").wait_for()
    after = jupyter.wait_for_backend()
    assert after["pid"] != before["pid"]
    assert after["restarts"] == before.get("restarts", 0) + 1


def test_the_panel_says_that_the_backend_is_away_and_is_fresh_again_when_it_is_back(
    lab: Lab, jupyter: Jupyter, houses: str
) -> None:
    panel = lab.open().open_panel("training")
    status = jupyter.wait_for_backend()
    os.kill(status["pid"], signal.SIGSTOP)
    try:
        lab.page.evaluate(
            "() => window.jupyterapp.commands.execute('tensortrigger:open-panel', {tab: 'models'})"
        )
        panel.locator(".tt-Banner").wait_for()
    finally:
        os.kill(status["pid"], signal.SIGCONT)
    panel.locator(".tt-Banner").wait_for(state="detached")
    panel.get_by_role("listitem").filter(has_text="houses").first.wait_for()
    jupyter.wait_for_backend()
