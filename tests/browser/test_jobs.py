"""The panel's jobs can be watched, stopped and deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.browser.conftest import Findings, Jupyter, Lab


def test_a_job_is_cancelled_from_the_panel(lab: Lab, jupyter: Jupyter, houses: str) -> None:
    lab.open().open_panel("jobs")
    order = {
        "model": "houses",
        "epochs": 100_000,
        "input_vectors": [[row, 3.0] for row in range(64)],
        "output_vectors": [[3.0 * row] for row in range(64)],
    }
    with jupyter.kernel_client(houses) as kernel:
        begun = kernel.patch("/tensor/train", json=order).raise_for_status().json()
    row = lab.panel.get_by_role("listitem").first
    row.get_by_text("running").wait_for()
    row.get_by_role("button", name="Cancel the job on houses/1").click()
    row.get_by_text("cancelled").wait_for()
    assert jupyter.backend("GET", f"jobs/{begun['job_id']}")["job"]["state"] == "cancelled"
    # What is over offers what can be done with it now.
    row.get_by_role("button", name="Show the curves of the training of houses/1").click()
    lab.panel.locator("#tt-tabpanel-training").wait_for()


def test_a_scoring_shows_its_partitions_and_is_deleted_once_somebody_says_so(
    lab: Lab, jupyter: Jupyter, houses: str, findings: Findings
) -> None:
    table = "area,rooms\n" + "100,3\n" * 120_000
    with jupyter.kernel_client(houses) as kernel:
        answer = kernel.post(
            "/jobs", params={"model": "houses"}, content=table, headers={"Content-Type": "text/csv"}
        )
    job_id = answer.raise_for_status().json()["job_id"]
    lab.open().open_panel("jobs")
    row = lab.panel.get_by_role("listitem").first
    row.get_by_text("succeeded").wait_for()
    row.get_by_role("button", name="Scoring houses/1").press("Enter")
    lab.panel.get_by_text("Partitions: 3 of 3 done").press("Enter")
    parts = lab.panel.get_by_role("region", name="Partitions of the job")
    for number, rows in enumerate(("50,000", "50,000", "20,000")):
        parts.get_by_role("row", name=f"{number} {rows} done 1").wait_for()
    assert findings(lab, ".tt-PanelBody") == []

    lab.panel.get_by_role("button", name="Delete the job on houses/1").click()
    question = lab.page.locator(".jp-Dialog")
    question.get_by_role("button", name="Keep it").click()
    question.wait_for(state="detached")
    assert jupyter.backend("GET", f"jobs/{job_id}")["job"]["state"] == "succeeded"
    lab.panel.get_by_role("button", name="Delete the job on houses/1").click()
    question.get_by_role("button", name="Delete the job").click()
    lab.panel.get_by_role("button", name="All jobs").wait_for(state="detached")
    assert job_id not in [job["job_id"] for job in jupyter.backend("GET", "jobs")["jobs"]]
