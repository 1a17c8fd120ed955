"""Where a notebook cannot be published from, the button and the dialog say why and what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.browser.conftest import Jupyter, Lab


def kernelspec(jupyter: Jupyter, name: str, **members: object) -> str:
    folder = jupyter.home / "data" / "kernels" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kernel.json").write_text(json.dumps(members))
    return name


@pytest.fixture(scope="module")
def bare_python(jupyter: Jupyter, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A kernel in an environment of its own, which has IPython and nothing of ours."""
    home = tmp_path_factory.mktemp("bare") / "venv"
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--python", sys.executable, str(home)], check=True)
    subprocess.run([*uv, "pip", "install", "--python", str(home / "bin" / "python"), "ipykernel"], check=True)
    argv = [str(home / "bin" / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    return kernelspec(jupyter, "bare", argv=argv, display_name="Bare Python", language="python")


def test_a_kernel_without_the_package_is_offered_the_cell_that_installs_it(
    lab: Lab, jupyter: Jupyter, bare_python: str
) -> None:
    lab.open(jupyter.notebook("bare.ipynb", "model = 1", kernel=bare_python))
    lab.publish_button.click()
    lab.dialog.get_by_text("tensortrigger-lab is not installed in the environment of this kernel").wait_for()
    lab.button("Insert install cell").click()
    lab.dialog.wait_for(state="detached")
    cell = lab.page.locator(".jp-Cell.jp-mod-active .cm-content")
    assert cell.inner_text() == "%pip install tensortrigger-lab"
    # It was put there, and not run.
    assert (
        lab.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.content.activeCell.model.executionCount"
        )
        is None
    )
    jupyter.end_kernel("bare.ipynb")


def test_a_kernel_of_another_language_leaves_the_button_grey_and_says_why(lab: Lab, jupyter: Jupyter) -> None:
    bash = kernelspec(
        jupyter,
        "bash",
        argv=[sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"],
        display_name="Bash",
        language="bash",
    )
    lab.open(jupyter.notebook("shell.ipynb", "echo $((20 + 3))", kernel=bash, language="bash"))
    lab.run_all()
    assert lab.outputs() == ["23\n"]
    assert lab.publish_button.get_attribute("aria-disabled") == "true" or lab.publish_button.is_disabled()
    said = lab.page.locator("[data-jp-item-name='tensortrigger-publish']").inner_html()
    assert "Bash" in said
    assert "Keras models live in Python kernels" in said
    jupyter.end_kernel("shell.ipynb")


def test_a_notebook_without_a_model_is_told_how_to_come_by_one(lab: Lab, jupyter: Jupyter) -> None:
    lab.open(jupyter.notebook("empty.ipynb", "x = 1"))
    lab.run_all()
    lab.publish_button.click()
    lab.dialog.get_by_text("No variable of this notebook holds a Keras model yet.").wait_for()
    assert "keras.models.load_model" in lab.dialog.inner_text()
    assert lab.button("Publish").count() == 0
    lab.button("Close").click()
    # Asking left no trace in the notebook.
    assert (
        lab.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.content.widgets[0].model.executionCount"
        )
        == 1
    )
    jupyter.end_kernel("empty.ipynb")
