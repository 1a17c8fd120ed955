"""Everything can be done without a mouse."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.browser.conftest import Jupyter, Lab


def focused(lab: Lab) -> str:
    """What a screen reader would call the control that has the focus."""
    said: str = lab.page.evaluate(
        """() => {
            const node = document.activeElement;
            return node.getAttribute('aria-label') ?? node.labels?.[0]?.textContent ?? node.textContent ?? '';
        }"""
    )
    return said


def tab_to(lab: Lab, name: str) -> None:
    for _ in range(40):
        if focused(lab) == name:
            return
        lab.page.keyboard.press("Tab")
    raise AssertionError(f"Tab never came to {name!r}")


def test_a_model_is_published_with_the_keyboard_alone(lab: Lab, jupyter: Jupyter, houses: str) -> None:
    lab.open(houses)
    keyboard = lab.page.keyboard
    keyboard.press("Control+Shift+C")
    lab.page.locator(".lm-CommandPalette-input").wait_for()
    keyboard.type("Publish a Keras Model")
    lab.page.locator(".lm-CommandPalette-item.lm-mod-active", has_text="Publish a Keras Model").wait_for()
    keyboard.press("Enter")
    # The name is what people change, so it has the focus, and the rest is one Tab away.
    lab.dialog.get_by_label("Name", exact=True).wait_for()
    lab.page.wait_for_function("() => document.activeElement.id === 'tt-publish-name'")
    keyboard.press("Control+A")
    keyboard.type("by-keyboard")
    tab_to(lab, "Name of field 2")
    keyboard.press("Control+A")
    keyboard.type("chambers")
    lab.dialog.get_by_text("A new name: this will be version 1.").wait_for()
    tab_to(lab, "Publish")
    keyboard.press("Enter")
    lab.wait_until_published("by-keyboard version 1")
    assert focused(lab) == "Open in panel"
    # The focus goes round inside of the dialog, in both directions.
    for key in ("Tab", "Shift+Tab"):
        for _ in range(8):
            keyboard.press(key)
            assert lab.dialog.evaluate("node => node.contains(document.activeElement)")
    tab_to(lab, "Open in panel")
    keyboard.press("Enter")
    lab.panel.get_by_role("heading", name="by-keyboard/1").wait_for()
    schema = jupyter.backend("GET", "models?name=by-keyboard")["models"][0]["model_schema"]["input_schema"]
    assert list(schema) == ["area", "chambers"]


def test_escape_closes_the_dialog_and_gives_the_focus_back(lab: Lab, houses: str) -> None:
    lab.open(houses)
    lab.publish_button.focus()
    lab.page.keyboard.press("Enter")
    lab.dialog.get_by_label("Name", exact=True).wait_for()
    lab.page.keyboard.press("Escape")
    lab.dialog.wait_for(state="detached")
    assert lab.publish_button.evaluate("node => node.contains(document.activeElement)")


def test_the_panels_tabs_and_lists_follow_the_arrow_keys(lab: Lab, houses: str) -> None:
    lab.open().open_panel("models")
    keyboard = lab.page.keyboard
    lab.panel.get_by_role("listitem").first.wait_for()
    lab.panel.get_by_role("tab", name="Models").focus()
    for key, name in (("ArrowRight", "Jobs"), ("End", "Training"), ("ArrowRight", "Models")):
        keyboard.press(key)
        assert focused(lab) == name
        assert lab.panel.get_by_role("tab", name=name).get_attribute("aria-selected") == "true"
    tab_to(lab, "Search models")
    keyboard.press("Tab")
    # One stop for the list; the arrows go through it.
    first = lab.panel.locator("[data-row='0'] [data-main]")
    first.focus()
    keyboard.press("End")
    last = lab.panel.get_by_role("listitem").last.locator("[data-main]")
    assert last.evaluate("node => node === document.activeElement")
    keyboard.press("Enter")
    lab.panel.get_by_role("button", name="All models").wait_for()
