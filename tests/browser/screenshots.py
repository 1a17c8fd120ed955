"""Takes the pictures of the documentation anew: ``python -m pytest tests/browser/screenshots.py``.

Its name keeps it out of an ordinary test run, which must not rewrite them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.browser.conftest import Jupyter, Lab

IMAGES = Path(__file__).parents[2] / "docs" / "images"
LARGEST = 200_000
"""Bytes of one picture."""

DATA = """\
import keras
from sklearn.datasets import load_breast_cancer

import tensortrigger_lab as tt

patients = load_breast_cancer(as_frame=True)
X, y = patients.data.iloc[:, :8], patients.target == 0
rows, malignant = X.to_numpy("float32"), y.to_numpy()
normalize = keras.layers.Normalization()
normalize.adapt(rows)"""
MODEL = """\
network = keras.Sequential([
    keras.Input((8,)),
    normalize,
    keras.layers.Dense(32, activation="relu"),
    keras.layers.Dense(1, activation="sigmoid"),
])
network.compile(
    keras.optimizers.Adam(0.01),
    loss="binary_crossentropy",
    metrics=["accuracy"],
)"""
FIT = """\
history = network.fit(
    rows, malignant, validation_split=0.2,
    epochs=30, batch_size=64, verbose=0,
    callbacks=[tt.callback("rate 0.01")],
)"""
OTHERS = """
for rate in (0.0005, 0.1):
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Dense(32, activation="relu"), keras.layers.Dense(1, activation="sigmoid")]
    other = keras.Sequential([keras.Input((8,)), normalize, *layers])
    other.compile(keras.optimizers.Adam(rate), loss="binary_crossentropy", metrics=["accuracy"])
    other.fit(rows, malignant, validation_split=0.2, epochs=30, batch_size=64, verbose=0,
        callbacks=[tt.callback(f"rate {rate}")])
layers = [keras.layers.Dense(64, activation="relu"), keras.layers.Dense(1, activation="sigmoid")]
network = keras.Sequential([keras.Input((8,)), normalize, *layers])
network.compile(keras.optimizers.Adam(0.002), loss="binary_crossentropy", metrics=["accuracy"])
"""


@pytest.fixture(scope="module")
def notebook(jupyter: Jupyter) -> str:
    path = jupyter.notebook("tumours.ipynb", DATA, MODEL, FIT)
    IMAGES.mkdir(parents=True, exist_ok=True)
    return path


def keep(lab: Lab, name: str) -> None:
    # The pointer leaves no hover behind.
    lab.page.mouse.move(700, 880)
    lab.page.wait_for_timeout(400)
    lab.page.screenshot(path=IMAGES / name)
    assert (IMAGES / name).stat().st_size < LARGEST


def test_pictures(lab: Lab, jupyter: Jupyter, notebook: str) -> None:
    lab.open(notebook)
    lab.run_all()
    lab.publish_button.click()
    lab.dialog.get_by_label("Name of field 1").wait_for()
    lab.dialog.get_by_label("Name", exact=True).fill("tumours")
    lab.dialog.get_by_label("Description").fill("Is a breast tumour malignant?")
    lab.dialog.get_by_text("A new name: this will be version 1.").wait_for()
    lab.dialog.get_by_label("Alias").fill("production")
    lab.dialog.get_by_label("Tags").fill("clinic=north, stage=1")
    lab.dialog.get_by_role("button", name="Rules of mean radius").click()
    lab.dialog.get_by_label("Least value of mean radius").fill("0")
    lab.dialog.get_by_label("Name", exact=True).focus()
    keep(lab, "publish-dialog.png")
    lab.button("Publish").click()
    lab.wait_until_published("tumours version 1")
    keep(lab, "published.png")
    lab.button("Open in panel").click()
    lab.panel.get_by_role("heading", name="tumours/1").wait_for()
    lab.widen_panel(430)
    row = eval(jupyter.kernel(notebook).run("print(X.iloc[0].to_dict())"))
    for name, value in row.items():
        lab.panel.get_by_label(name, exact=True).fill(str(value))
    lab.panel.get_by_role("button", name="Run", exact=True).click()
    lab.panel.get_by_role("heading", name="Answer").wait_for()
    lab.panel.get_by_role("heading", name="Answer").scroll_into_view_if_needed()
    keep(lab, "panel-models.png")
    lab.panel.get_by_text("Receipt: reproduces").click()
    lab.panel.get_by_role("button", name="History of @production").click()
    lab.panel.get_by_role("cell", name="published as 1").wait_for()
    lab.panel.get_by_text("Receipt: reproduces").scroll_into_view_if_needed()
    keep(lab, "panel-aliases.png")

    kernel = jupyter.kernel(notebook)
    kernel.run(OTHERS)
    lab.open_panel("training")
    for box in lab.panel.get_by_role("list", name="Trainings").get_by_role("checkbox").all():
        box.check()
    lab.add_cell(FIT.replace("epochs=30", "epochs=400").replace("rate 0.01", "wider layers"))
    lab.panel.get_by_role("checkbox", name="wider layers, running").check()
    lab.page.get_by_text("wider layers runs: epoch 2").wait_for()
    keep(lab, "panel-training.png")
    lab.command("notebook:interrupt-kernel")
    lab.wait_for_cells()
    lab.command("notebook:delete-cell")

    kernel.run("X.rename(columns=str.title).round(2).head(40).to_csv('clinic.csv', index_label='Patient')")
    lab.open_panel("jobs")
    lab.command("tensortrigger:score-csv", path="clinic.csv")
    lab.page.locator(".tt-CsvDialog").get_by_label("mean radius").wait_for()
    keep(lab, "csv-dialog.png")
    lab.page.locator(".jp-Dialog").get_by_role("button", name="Start").click()
    lab.page.get_by_text("clinic.scored.csv is written").wait_for()
    order = {
        "model": "tumours",
        "epochs": 10_000,
        "input_vectors": [list(row.values())] * 64,
        "output_vectors": [[1]] * 64,
        "name": "nightly",
    }
    with jupyter.kernel_client(notebook) as backend:
        backend.patch("/tensor/train", json=order).raise_for_status()
    lab.panel.get_by_text("running").first.wait_for()
    lab.page.wait_for_timeout(3000)
    keep(lab, "panel-jobs.png")
    lab.panel.get_by_role("button", name="Cancel").first.click()
    lab.page.get_by_role("button", name="Hide notification").click()
    lab.set_theme("JupyterLab Dark")
    lab.open_panel("training")
    keep(lab, "dark.png")
