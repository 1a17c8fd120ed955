"""A training can be watched while it runs: in the panel, in a second tab, in a notebook or in the backend."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from tests.browser.conftest import Jupyter, Lab

FIT = """
import pathlib, time

class Slowly(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        time.sleep(0.2)  # as long as an epoch of a network of some size
        self.model.stop_training = pathlib.Path("enough").exists()

# A copy: the model itself has to stay as it was published.
learner = keras.models.clone_model(model)
learner.compile("adam", "mse")
print("fit begins")
history = learner.fit(houses.to_numpy("float32"), price.to_numpy("float32"), epochs=5000, batch_size=16, verbose=0,
    validation_split=0.25, callbacks=[tt.callback("live"), Slowly()])
del learner
"""


def points(panel: Locator, run: str) -> int:
    """How many points of a training's loss the chart says that it shows."""
    said = panel.get_by_role("figure").first.get_attribute("aria-label") or ""
    found = re.search(rf"training \({run}\): ([\d,]+) values", said)
    return int(found[1].replace(",", "")) if found else 0


def growing_counts(lab: Lab, run: str, goes_on: Callable[[], bool], wanted: int) -> list[int]:
    counts: list[int] = []
    until = time.monotonic() + 180
    while goes_on() and len(counts) < wanted and time.monotonic() < until:
        count = points(lab.panel, run)
        if count > (counts[-1] if counts else 0):
            counts.append(count)
        lab.page.wait_for_timeout(50)
    return counts


def test_the_curves_grow_while_fit_runs_and_in_a_second_tab_as_well(
    lab: Lab, new_lab: Callable[..., Lab], houses: str, jupyter: Jupyter
) -> None:
    other = new_lab()
    other.open().open_panel("training")
    lab.open(houses)
    lab.open_panel("training")
    lab.add_cell(FIT)
    lab.wait_for_output("fit begins")
    for each in (lab, other):
        each.panel.get_by_role("checkbox", name=re.compile("^live, running")).check()
        each.panel.get_by_role("figure").first.wait_for()

    def fit_runs() -> bool:
        return lab.cell_runs()

    assert len(growing_counts(lab, "live", fit_runs, 4)) == 4
    assert len(growing_counts(other, "live", fit_runs, 3)) == 3
    assert fit_runs()

    (jupyter.files / "enough").touch()
    lab.wait_for_cells()
    for each in (lab, other):
        each.panel.get_by_text("live has finished.").wait_for()
    run = jupyter.backend("GET", "runs")["runs"][0]
    assert (run["name"], run["state"], run["source"]) == ("live", "succeeded", "notebook")
    assert points(lab.panel, "live") == points(other.panel, "live") == run["step"]


def test_a_training_in_the_backend_is_watched_in_the_same_way(
    lab: Lab, jupyter: Jupyter, houses: str
) -> None:
    lab.open().open_panel("training")
    rows = [[50.0 + row, 1.0 + row % 7] for row in range(64)]
    order = {
        "model": "houses",
        "epochs": 100_000,  # it is stopped long before
        "batch_size": 4,
        "input_vectors": rows,
        "output_vectors": [[3 * area + 20 * rooms] for area, rooms in rows],
        "name": "in the backend",
    }
    with jupyter.kernel_client(houses) as kernel:
        begun = kernel.patch("/tensor/train", json=order).raise_for_status().json()
    lab.panel.get_by_role("checkbox", name=re.compile("^in the backend, running")).check()

    def runs() -> bool:
        return bool(
            jupyter.backend("GET", f"jobs/{begun['job_id']}")["job"]["state"] in ("queued", "running")
        )

    lab.panel.get_by_role("figure").first.wait_for()
    assert len(growing_counts(lab, "in the backend", runs, 3)) == 3
    lab.panel.get_by_role("button", name="Stop the training “in the backend”").click()
    lab.panel.get_by_text("in the backend was stopped.").wait_for()
    assert jupyter.backend("GET", f"jobs/{begun['job_id']}")["job"]["state"] == "cancelled"
