"""``tt.panel`` in a real kernel: it is shown as a widget, and ends when its page lets go of it."""

from __future__ import annotations

from typing import Any

import pytest

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def shown(notebook: Any) -> dict[str, Any]:
    """What the front end is told to show."""
    notebook.run(
        "import os; os.environ['TENSORTRIGGER_URL'] = 'http://127.0.0.1:9'\nimport tensortrigger_lab as tt"
    )
    cell = notebook.begin("box = tt.panel()\nbox")
    assert notebook.end(cell)["status"] == "ok"
    (result,) = [m for m in notebook._published(cell) if m["msg_type"] == "execute_result"]
    return dict(result["content"]["data"])


def test_it_is_shown_as_a_widget_and_as_text_says_what_is_missing(shown: dict[str, Any]) -> None:
    assert VIEW in shown
    assert "shows no ipywidgets" in shown["text/plain"]


def test_it_ends_when_the_page_lets_go_of_it(notebook: Any, shown: dict[str, Any]) -> None:
    notebook.run("assert box.ticking.running")
    message = notebook.client.session.msg("comm_close", {"comm_id": shown[VIEW]["model_id"], "data": {}})
    notebook.client.shell_channel.send(message)
    notebook.run("for _ in range(100):\n    if not box.ticking.running: break\n    time.sleep(0.05)")
    notebook.run("assert not box.ticking.running")


def test_it_writes_nothing_into_the_notebook(notebook: Any, shown: dict[str, Any]) -> None:
    cell = notebook.begin("other = tt.panel(); other.selected_index = 3; time.sleep(1.5); other.close()")
    assert notebook.end(cell)["status"] == "ok"
    kinds = {message["msg_type"] for message in notebook._published(cell)}
    assert kinds <= {"execute_input", "comm_open", "comm_msg", "comm_close"}
