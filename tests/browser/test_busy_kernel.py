"""Publishing keeps clear of what the kernel does just then: it waits, joins in at an epoch's end, or is void."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.browser.conftest import Jupyter, Lab


@pytest.fixture
def open_houses(lab: Lab, houses: str) -> Iterator[Lab]:
    lab.open(houses)
    yield lab
    # The kernel is shared: nothing of this test may go on in it.
    if lab.cell_runs():
        lab.command("notebook:interrupt-kernel")
        lab.wait_for_cells()


def test_a_busy_kernel_lists_its_models_at_once_and_publishes_when_it_is_idle(
    open_houses: Lab, jupyter: Jupyter
) -> None:
    lab = open_houses
    lab.add_cell(
        "import pathlib, time\nprint('waits')\nwhile not pathlib.Path('go-on').exists(): time.sleep(0.1)"
    )
    lab.wait_for_output("waits")
    began = time.monotonic()
    lab.publish_button.click()
    lab.dialog.get_by_label("Model", exact=True).wait_for()
    assert time.monotonic() - began < 5
    assert lab.cell_runs()
    lab.dialog.get_by_label("Name", exact=True).fill("patient")
    assert lab.button("Publish").count() == 0
    lab.button("Publish when idle").click()
    lab.dialog.get_by_text("patient is published when the kernel is idle.").wait_for()
    assert lab.cell_runs()

    (jupyter.files / "go-on").touch()
    lab.wait_until_published("patient version 1")
    assert jupyter.backend("GET", "models?name=patient")["models"][0]["state"] == "ready"


def test_a_model_in_training_is_published_at_its_next_epoch_end_before_fit_is_over(
    open_houses: Lab, jupyter: Jupyter
) -> None:
    lab = open_houses
    (jupyter.files / "stop-training").unlink(missing_ok=True)
    lab.add_cell(
        "import pathlib, time\n"
        "class UntilTold(keras.callbacks.Callback):\n"
        "    def on_epoch_end(self, epoch, logs=None):\n"
        "        time.sleep(0.3)\n"
        "        self.model.stop_training = pathlib.Path('stop-training').exists()\n"
        # A copy: the model itself has to stay as it was published.
        "learner = keras.models.clone_model(model)\n"
        "learner.compile('adam', 'mse')\n"
        "print('fit begins')\n"
        "learner.fit(houses.to_numpy('float32'), price.to_numpy('float32'), epochs=2000, verbose=0,\n"
        "    callbacks=[tt.callback('long fit'), UntilTold()])\n"
        "del learner"
    )
    lab.wait_for_output("fit begins")
    lab.publish_button.click()
    lab.dialog.get_by_text("It is being trained just now.").wait_for()
    lab.dialog.get_by_label("Name", exact=True).fill("half-way")
    lab.button("Publish at next epoch end").click()
    lab.wait_until_published("half-way version 1")
    # It was there, and was compared, while the same cell still trained.
    assert lab.cell_runs()
    assert "as in the notebook; largest deviation" in lab.dialog.inner_text()
    assert jupyter.backend("GET", "models?name=half-way")["models"][0]["state"] == "ready"
    lab.button("Close").click()
    (jupyter.files / "stop-training").touch()
    lab.wait_for_cells()


def test_a_restart_of_the_kernel_voids_the_dialog(lab: Lab, jupyter: Jupyter) -> None:
    # A kernel of its own, since the restart empties it; nothing of TensorFlow is needed for the listing to be void.
    lab.open(jupyter.notebook("restarted.ipynb", "print(1)"))
    lab.publish_button.click()
    lab.dialog.get_by_text("No variable of this notebook holds a Keras model yet.").wait_for()
    lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    lab.dialog.get_by_role("alert").wait_for()
    lab.dialog.get_by_text("restarted").first.wait_for()
    assert lab.button("Try again").count() == 0
    lab.button("Close").click()
    jupyter.end_kernel("restarted.ipynb")
