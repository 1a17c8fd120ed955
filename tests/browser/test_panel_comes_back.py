"""The panel stands after a reload where it stood before."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.browser.conftest import Lab


def test_a_reload_brings_the_panel_back_where_it_was_open(lab: Lab, houses: str) -> None:
    lab.open(workspace="of-the-tests").open_panel("models")
    lab.panel.get_by_role("listitem").filter(has_text="houses").first.wait_for()
    # The layout is saved a while after it changed; the page asks whether all is saved before it goes.
    with lab.page.expect_response(lambda response: "/api/workspaces/" in response.url and response.ok):
        pass
    lab.open(workspace="of-the-tests")
    lab.panel.get_by_role("listitem").filter(has_text="houses").first.wait_for()
