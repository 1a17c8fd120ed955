"""The panel's jobs can be watched and stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.browser.conftest import Jupyter, Lab


def test_a_job_is_cancelled_from_the_panel(lab: Lab, jupyter: Jupyter, houses: str) -> None:
    lab.open().open_panel("jobs")
    begun = jupyter.backend(
        "PATCH",
        "tensor/train",
        {
            "model": "houses",
            "epochs": 100_000,
            "input_vectors": [[row, 3.0] for row in range(64)],
            "output_vectors": [[3.0 * row] for row in range(64)],
        },
    )
    row = lab.panel.get_by_role("listitem").first
    row.get_by_text("running").wait_for()
    row.get_by_role("button", name="Cancel the job on houses/1").click()
    row.get_by_text("cancelled").wait_for()
    assert jupyter.backend("GET", f"jobs/{begun['job_id']}")["job"]["state"] == "cancelled"
    # What is over offers what can be done with it now.
    row.get_by_role("button", name="Show the curves of the training of houses/1").click()
    lab.panel.locator("#tt-tabpanel-training").wait_for()
