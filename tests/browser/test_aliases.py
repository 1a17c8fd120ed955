"""Versions are labelled, promoted and rolled back from the page, and the page shows the proof of what they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.browser.conftest import Findings, Jupyter, Kernel, Lab

ROW = {"area": 100, "rooms": 3}


@pytest.fixture
def meaning(jupyter: Jupyter) -> Any:
    """What an alias of ``labelled`` means in the backend; None for nothing."""

    def asked(alias: str) -> int | None:
        found = jupyter.backend("GET", "models/by-name/labelled/aliases")["aliases"]
        return {entry["alias"]: entry["version"] for entry in found}.get(alias)

    return asked


def confirm(lab: Lab, label: str) -> None:
    lab.page.locator(".jp-Dialog").get_by_role("button", name=label, exact=True).click()
    lab.page.locator(".jp-Dialog").wait_for(state="detached")


def test_a_version_is_published_under_an_alias_promoted_and_rolled_back(
    lab: Lab, jupyter: Jupyter, houses: str, houses_kernel: Kernel, meaning: Any, findings: Findings
) -> None:
    houses_kernel.run("tt.publish(model, 'labelled', houses, alias='production', progress=False)")
    lab.open(houses)
    lab.publish_button.click()
    lab.dialog.get_by_label("Name", exact=True).fill("labelled")
    lab.dialog.get_by_text("labelled exists: this will be version 2.").wait_for()
    alias = lab.dialog.get_by_label("Alias")
    alias.fill("Production!")
    lab.dialog.get_by_text("can stand in an alias").wait_for()
    alias.fill("production")
    lab.dialog.get_by_text("It means version 1 now, and this one as soon as it is ready.").wait_for()
    alias.fill("candidate")
    lab.dialog.get_by_label("Tags").fill("team=risk, tier=1")
    lab.dialog.get_by_role("button", name="Rules of rooms").click()
    lab.dialog.get_by_label("Least value of rooms").fill("1")
    lab.dialog.get_by_text("May be missing").click()
    lab.dialog.get_by_text("Say what stands for a missing value.").wait_for()
    lab.dialog.get_by_label("What stands for a missing rooms").fill("3")
    assert findings(lab, ".tt-PublishDialog") == []
    lab.button("Publish").click()
    lab.wait_until_published("labelled version 2")
    lab.dialog.get_by_text("own outputs, largest difference").wait_for()
    lab.dialog.get_by_text("labelled@candidate").wait_for()
    assert (meaning("production"), meaning("candidate")) == (1, 2)
    answer = jupyter.backend(
        "POST", "tensor/run", {"model": "labelled@candidate", "input_vector": {"area": 100}}
    )
    assert answer == jupyter.backend("POST", "tensor/run", {"model": "labelled/1", "input_vector": ROW}) | {
        "model_id": answer["model_id"]
    }

    lab.button("Open in panel").click()
    lab.panel.get_by_role("heading", name="labelled/2").wait_for()
    lab.panel.get_by_text("team=risk, tier=1").wait_for()
    lab.panel.get_by_label("Also call it").fill("production")
    lab.panel.get_by_role("button", name="Let this alias mean labelled/2").click()
    lab.page.locator(".jp-Dialog").get_by_text("labelled@production means version 1 now.").wait_for()
    confirm(lab, "Move @production")
    lab.panel.get_by_text("@production means version 2 now.").wait_for()
    assert meaning("production") == 2

    lab.panel.get_by_role("button", name="Roll @production back").click()
    confirm(lab, "Roll back")
    lab.panel.get_by_text("@production means version 1 again.").wait_for()
    assert meaning("production") == 1

    lab.panel.get_by_role("button", name="History of @candidate").click()
    lab.panel.get_by_role("cell", name="published as 2").wait_for()
    lab.panel.get_by_text("Receipt: reproduces").click()
    stored = jupyter.backend("GET", f"models/{answer['model_id']}/receipt")["receipt"]
    lab.panel.get_by_text(stored["outputs_sha256"]).wait_for()
    assert findings(lab, ".tt-PanelBody") == []

    lab.panel.get_by_label("Ask for").select_option("labelled@candidate")
    lab.panel.get_by_label("area").fill("100")
    lab.panel.get_by_role("button", name="Run", exact=True).click()
    lab.panel.get_by_role("heading", name="Answer").wait_for()


def test_what_an_alias_means_goes_only_with_its_alias(
    lab: Lab, houses: str, houses_kernel: Kernel, jupyter: Jupyter
) -> None:
    houses_kernel.run("tt.publish(model, 'leaving', houses, alias='production', progress=False)")
    panel = lab.open().open_panel("models")
    panel.get_by_role("searchbox", name="Search models").fill("leaving@production")
    panel.get_by_role("listitem").filter(has_text="@production").get_by_role("button").first.click()
    panel.get_by_role("button", name="Delete leaving/1").click()
    lab.page.locator(".jp-Dialog").get_by_text("too: leaving@production.").wait_for()
    confirm(lab, "Delete leaving/1 and its aliases")
    panel.get_by_role("searchbox", name="Search models").wait_for()
    assert jupyter.backend("GET", "models?name=leaving")["models"] == []
