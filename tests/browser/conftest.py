"""A real JupyterLab with its embedded backend, and a real Chromium in front of it."""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, sync_playwright

sys.path.append(str(Path(__file__).parent))

from lab_page import Lab
from running_jupyter import Jupyter, Kernel

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser, where the machine has one."""
    if CHROMIUM is None:
        reason = "There is no Chromium here: install the package 'chromium'."
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def start_jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Jupyter]]:
    """Starts Jupyter servers and ends them all."""
    started: list[Jupyter] = []

    def start(*options: str, environment: Mapping[str, str] | None = None) -> Jupyter:
        server = Jupyter(tmp_path_factory.mktemp("jupyter"), *options, environment=environment)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def jupyter(start_jupyter: Callable[..., Jupyter], chromium: Browser) -> Jupyter:
    """The one that most tests share, with its backend ready."""
    server = start_jupyter()
    server.wait_for_backend()
    return server


@pytest.fixture
def new_lab(
    chromium: Browser, jupyter: Jupyter, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[..., Lab]]:
    """Opens further tabs, each with a session of its own; errors of the extension fail the test that caused them."""
    opened: list[Lab] = []

    def make(server: Jupyter = jupyter) -> Lab:
        context = chromium.new_context(viewport={"width": 1400, "height": 900})
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        opened.append(Lab(context.new_page(), server))
        return opened[-1]

    yield make
    failed = request.node.stash.get(FAILED, False)
    for number, lab in enumerate(opened):
        if failed:
            picture = tmp_path / f"tab-{number}.png"
            lab.page.screenshot(path=picture)
            print(f"What tab {number} showed: {picture}")
        lab.page.context.close()
    assert [complaint for lab in opened for complaint in lab.complaints] == []


Findings = Callable[["Lab", str], list[str]]


@pytest.fixture
def findings() -> Findings:
    """What axe finds serious or critical in the part of the page that a selector names."""
    return _findings


def _findings(lab: Lab, selector: str) -> list[str]:
    """What axe finds serious or critical in one part of the page, each with its place and reason."""
    result = Axe().run(lab.page, context=selector)
    return [
        f"{found['impact']} {found['id']}: {node['target']} {node['failureSummary']}"
        for found in result.response["violations"]
        if found["impact"] in ("serious", "critical")
        for node in found["nodes"]
    ]


@pytest.fixture
def lab(new_lab: Callable[..., Lab]) -> Lab:
    """A fresh tab on the server that most tests share."""
    return new_lab()


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report: pytest.TestReport = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


HOUSES = """
import os
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
import pandas as pd
import tensortrigger_lab as tt

random = np.random.default_rng(7)
houses = pd.DataFrame({"area": random.uniform(50, 200, 64), "rooms": random.integers(1, 8, 64).astype(float)})
price = 3.0 * houses["area"] + 20.0 * houses["rooms"]
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(houses.to_numpy("float32"), price.to_numpy("float32"), epochs=2, verbose=0)
"""


@pytest.fixture(scope="session")
def houses(jupyter: Jupyter) -> str:
    """A notebook whose kernel has trained a small model and published it as `houses`; its path."""
    path = jupyter.notebook(
        "houses.ipynb", "print(model.predict(houses.to_numpy('float32')[:1], verbose=0)[0, 0])"
    )
    kernel = jupyter.kernel(path)
    kernel.run(HOUSES)
    kernel.run("endpoint = tt.publish(model, 'houses', example=houses)")
    return path


@pytest.fixture
def houses_kernel(jupyter: Jupyter, houses: str) -> Kernel:
    """The kernel of that notebook."""
    return jupyter.kernel(houses)


@pytest.fixture(scope="session")
def post_run() -> Callable[..., str]:
    """Reports a training as a notebook does."""
    return report_training


@pytest.fixture(scope="session")
def a_run(jupyter: Jupyter, houses: str) -> str:
    """The id of a finished training with curves of training and validation."""
    with jupyter.kernel_client(houses) as backend:
        return report_training(backend, "curves", epochs=20, steps=10)


def report_training(
    backend: httpx.Client, name: str, epochs: int, steps: int, state: str | None = "succeeded"
) -> str:
    """Report a training as a notebook does; its id."""
    run_id: str = (
        backend.post("/runs", json={"name": name, "epochs": epochs}).raise_for_status().json()["run_id"]
    )
    points: list[dict[str, Any]] = []
    for step in range(1, epochs * steps + 1):
        epoch = (step - 1) // steps + 1
        loss = 2.0 * math.exp(-3 * step / (epochs * steps)) + 0.1 * math.sin(step)
        points.append({"step": step, "epoch": epoch, "metrics": {"loss": loss, "accuracy": 1 - loss / 3}})
        if step % steps == 0:
            metrics = {
                "loss": loss,
                "accuracy": 1 - loss / 3,
                "val_loss": loss + 0.1,
                "val_accuracy": 0.9 - loss / 3,
            }
            points.append({"step": step, "epoch": epoch, "kind": "epoch", "metrics": metrics})
    for first in range(0, len(points), 5000):
        part = {"first": first, "points": points[first : first + 5000]}
        backend.post(f"/runs/{run_id}/metrics", json=part).raise_for_status()
    if state:
        backend.post(f"/runs/{run_id}/metrics", json={"points": [], "state": state}).raise_for_status()
    return run_id
