"""The panel's form sends one row to a model, and shows the endpoint's own answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.browser.conftest import Jupyter, Lab


def test_the_form_in_the_panel_answers_as_the_endpoint_does(lab: Lab, jupyter: Jupyter, houses: str) -> None:
    panel = lab.open().open_panel("models")
    panel.get_by_role("button", name="houses").first.click()
    panel.get_by_label("area").fill("120.5")
    panel.get_by_role("button", name="Run", exact=True).click()
    # One field is still empty: it says so where it is, and nothing is sent.
    assert panel.get_by_label("rooms").get_attribute("aria-invalid") == "true"
    panel.get_by_label("rooms").fill("4")
    panel.get_by_role("button", name="Run", exact=True).click()
    shown = panel.locator(".tt-Answer td").get_attribute("title")
    said = jupyter.backend(
        "POST", "tensor/run", {"model": "houses", "input_vector": {"area": 120.5, "rooms": 4}}
    )
    assert float(shown or "nan") == pytest.approx(said["output"][0], rel=1e-6)


def test_the_panel_lists_what_was_published_and_finds_it_by_its_name(lab: Lab, houses: str) -> None:
    panel = lab.open().open_panel("models")
    panel.get_by_role("searchbox", name="Search models").fill("no such model")
    panel.get_by_text("No loaded model matches “no such model”.").wait_for()
    panel.get_by_role("searchbox", name="Search models").fill("hous")
    panel.get_by_role("listitem").filter(has_text="houses").first.wait_for()
