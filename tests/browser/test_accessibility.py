"""Our own pages pass the checks of axe, by day and by night."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.browser.conftest import Findings, Jupyter, Lab

THEMES = ["JupyterLab Light", "JupyterLab Dark"]


@pytest.fixture(params=THEMES)
def themed(request: pytest.FixtureRequest, lab: Lab, houses: str, jupyter: Jupyter) -> Lab:
    lab.open(houses)
    lab.set_theme(request.param)
    return lab


def test_nothing_serious_is_found_in_the_panel(
    themed: Lab, jupyter: Jupyter, a_run: str, findings: Findings
) -> None:
    lab = themed
    lab.open_panel("models")
    lab.panel.get_by_role("listitem").first.wait_for()
    found = findings(lab, ".tt-PanelBody")
    lab.panel.get_by_role("listitem").filter(has_text="houses").get_by_role("button").first.click()
    lab.panel.get_by_label("area").fill("100")
    lab.panel.get_by_role("button", name="Run", exact=True).click()
    lab.panel.get_by_label("rooms").fill("3")
    lab.panel.get_by_role("button", name="Run", exact=True).click()
    lab.panel.get_by_role("heading", name="Answer").wait_for()
    found += findings(lab, ".tt-PanelBody")
    lab.open_panel("jobs")
    lab.panel.get_by_role("listitem").or_(
        lab.panel.get_by_role("heading", name="No jobs yet")
    ).first.wait_for()
    found += findings(lab, ".tt-PanelBody")
    lab.open_panel("training", id=a_run)
    lab.panel.get_by_role("figure").first.wait_for()
    lab.panel.get_by_label("As table").check()
    lab.panel.get_by_role("table").first.wait_for()
    found += findings(lab, ".tt-PanelBody")
    assert found == []


def test_nothing_serious_is_found_in_the_dialogs(themed: Lab, jupyter: Jupyter, findings: Findings) -> None:
    lab = themed
    lab.publish_button.click()
    lab.dialog.get_by_label("Name of field 1").wait_for()
    found = findings(lab, ".tt-PublishDialog")
    lab.dialog.get_by_label("Name", exact=True).fill("Not A Name")
    found += findings(lab, ".tt-PublishDialog")
    lab.dialog.get_by_label("Name", exact=True).fill("accessible")
    lab.button("Publish").click()
    lab.button("Open in panel").wait_for()
    found += findings(lab, ".tt-PublishDialog")
    lab.button("Close").click()

    (jupyter.files / "accessible.csv").write_text("area,number_of_rooms\n100,3\n")
    lab.command("tensortrigger:score-csv", path="accessible.csv")
    lab.page.locator(".tt-CsvDialog").get_by_label("rooms").wait_for()
    found += findings(lab, ".tt-CsvDialog")
    assert found == []


def test_the_panel_is_dark_where_the_theme_is_and_the_charts_as_well(
    lab: Lab, a_run: str, new_lab: Callable[..., Lab]
) -> None:
    lab.open()
    lab.set_theme("JupyterLab Light")
    lab.open_panel("training", id=a_run)
    canvas = lab.panel.locator("canvas").first
    canvas.wait_for()
    background = "node => getComputedStyle(node).backgroundColor"
    bright, drawn = lab.panel.evaluate(background), canvas.screenshot()
    lab.set_theme("JupyterLab Dark")
    dark = lab.panel.evaluate(background)
    assert (
        sum(int(part) for part in dark[4:-1].split(",")[:3])
        < 200
        < sum(int(part) for part in bright[4:-1].split(",")[:3])
    )
    lab.page.wait_for_timeout(200)
    assert canvas.screenshot() != drawn
