"""The Publish button makes an endpoint of a notebook's model, and says truly what it made."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.browser.conftest import Jupyter, Kernel, Lab

WARM_SECONDS = 3.0
"""From the dialog's button to an endpoint that answers, while the backend is warm and has the machine for itself."""


def test_a_model_is_published_by_the_button_and_answers_as_in_the_notebook(
    lab: Lab, jupyter: Jupyter, houses: str, houses_kernel: Kernel
) -> None:
    lab.open(houses)
    lab.run_all()
    here = float(lab.outputs()[0])
    first = {"surface": 0.0, "rooms": 0.0}
    first["surface"], first["rooms"] = eval(houses_kernel.run("print(houses.iloc[0].tolist())"))

    lab.publish_button.click()
    lab.dialog.get_by_label("Model", exact=True).wait_for()
    assert "model: Sequential" in lab.dialog.get_by_label("Model", exact=True).inner_text()
    lab.dialog.get_by_label("Name", exact=True).fill("by-button")
    assert lab.dialog.get_by_label("Example", exact=True).input_value() == "houses"
    lab.dialog.get_by_label("Name of field 1").fill("surface")
    lab.button("Publish").click()

    lab.wait_until_published("by-button version 1")
    assert "as in the notebook; largest deviation" in lab.dialog.inner_text()
    answer = jupyter.backend("POST", "tensor/run", {"model": "by-button", "input_vector": first})
    assert answer["output"][0] == pytest.approx(here, rel=1e-5)

    lab.button("Copy curl").click()
    line = lab.page.evaluate("() => navigator.clipboard.readText()")
    assert "$TENSORTRIGGER_API_KEY" in line
    # A kernel has the key in its environment, as a terminal of this Jupyter has.
    said = houses_kernel.run(
        f"import subprocess\nprint(subprocess.check_output({line!r}, shell=True, text=True))"
    )
    assert str(answer["output"][0])[:6] in said

    lab.button("Insert scoring cell").click()
    lab.dialog.wait_for(state="detached")
    assert "tt.run('by-button/1'" in lab.page.locator(".jp-Cell.jp-mod-active .cm-content").inner_text()
    lab.command("notebook:run-cell")
    lab.page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget.content.activeCell.model.executionCount"
    )
    lab.wait_for_kernel("idle")
    [said] = re.findall(r"-?\d+\.\d+", lab.outputs()[-1])
    assert float(said) == pytest.approx(here, rel=1e-4)


def held_up() -> float:
    """How many times as long as by itself a computation takes now, because others want the processors too."""
    began, own = time.perf_counter(), time.thread_time()
    while time.thread_time() - own < 0.1:
        pass
    return (time.perf_counter() - began) / (time.thread_time() - own)


def test_publishing_with_a_warm_backend_takes_less_than_three_seconds(
    lab: Lab, jupyter: Jupyter, houses: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.open(houses)
    took: list[float] = []
    # A machine that does something else meanwhile gets further chances.
    while not took or (took[-1] >= WARM_SECONDS and len(took) < 3):
        number = len(took)
        jupyter.wait_for_warm_forge()
        lab.publish_button.click()
        lab.dialog.get_by_label("Name", exact=True).fill(f"warm-{number}")
        lab.button("Publish").wait_for()
        before, began = held_up(), time.monotonic()
        lab.button("Publish").click()
        while True:
            answer = jupyter.client.post(
                "tensortrigger-lab/api/backend/tensor/run",
                json={"model": f"warm-{number}", "input_vector": {"area": 100, "rooms": 3}},
            )
            if answer.status_code == 200:
                break
            assert time.monotonic() - began < 180, answer.text
            # Waits in the page's loop, which has to go on meanwhile.
            lab.page.wait_for_timeout(50)
        passed = time.monotonic() - began
        took.append(passed / ((before + held_up()) / 2))
        lab.dialog.get_by_text("is ready.").wait_for()
        lab.button("Close").click()
    with capsys.disabled():
        print(f"\nfrom click to callable endpoint: {', '.join(f'{seconds:.2f} s' for seconds in took)}")
    assert min(took) < WARM_SECONDS
