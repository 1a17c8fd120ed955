"""A real JupyterLab with its embedded backend, and a real Chromium in front of it."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, sync_playwright

TOKEN = "a-token-of-the-tests"
BASE_URL = "/user/ann/"
"""As behind JupyterHub: nothing may assume that Jupyter lives at the root."""

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)
PATIENCE = 30_000
"""Milliseconds that a slow machine may take for one step."""


class Kernel:
    """A kernel that the Jupyter server runs, spoken to beside the page."""

    def __init__(self, kernel_id: str, connection_file: Path) -> None:
        self.kernel_id = kernel_id
        self._connection_file = connection_file

    def run(self, code: str) -> str:
        """Run code as a cell would; what it printed."""
        until = time.monotonic() + 30
        while not self._connection_file.exists():
            assert time.monotonic() < until, "The kernel has no connection file."
            time.sleep(0.05)
        client = BlockingKernelClient(connection_file=str(self._connection_file))
        client.load_connection_file()
        # Without the heartbeat: a kernel that imports something large misses a beat, and is alive.
        client.start_channels(hb=False)
        printed: list[str] = []

        def listen(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        try:
            client.wait_for_ready(timeout=60)
            reply = client.execute_interactive(code, timeout=120, allow_stdin=False, output_hook=listen)
            assert reply["content"]["status"] == "ok", reply["content"]
        finally:
            client.stop_channels()
        return "".join(printed)


class Jupyter:
    """``jupyter lab`` as its user starts it, on folders of its own."""

    def __init__(self, home: Path, *options: str, environment: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.environment = environment or {}
        self.files = home / "files"
        self.files.mkdir(parents=True)
        self.log = home / "jupyter.log"
        self.options = options
        # Without its question about news, which would stand above what the tests look at.
        news = home / "config" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
        news.mkdir(parents=True)
        (news / "notification.jupyterlab-settings").write_text(
            '{"fetchNews": "false", "checkForUpdates": false}'
        )
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}{BASE_URL}"
        self.client = httpx.Client(
            base_url=self.url, headers={"Authorization": f"token {TOKEN}"}, timeout=30, trust_env=False
        )
        self.start()

    def start(self) -> None:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TENSORTRIGGER_")},
            "JUPYTER_DATA_DIR": str(self.home / "data"),
            "JUPYTER_CONFIG_DIR": str(self.home / "config"),
            "JUPYTER_RUNTIME_DIR": str(self.home / "runtime"),
            "IPYTHONDIR": str(self.home / "ipython"),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            **self.environment,
        }
        argv = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"]
        argv += [
            f"--ServerApp.port={self.port}",
            "--ServerApp.port_retries=0",
            f"--ServerApp.base_url={BASE_URL}",
        ]
        argv += [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={self.files}"]
        argv += ["--LabApp.news_url=", *self.options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                argv, stdout=log, stderr=log, env=environment, cwd=self.files, start_new_session=True
            )
        until = time.monotonic() + 90
        while True:
            try:
                if self.client.get("api/status").status_code == httpx.codes.OK:
                    return
            except httpx.HTTPError:
                pass
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < until, self.log.read_text()[-3000:]
            time.sleep(0.1)

    def stop(self) -> None:
        self.client.close()
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    def backend(self, method: str, path: str, body: Any = None) -> Any:
        """What the backend answers, asked through the server extension."""
        answer = self.client.request(method, f"tensortrigger-lab/api/backend/{path}", json=body)
        answer.raise_for_status()
        return answer.json()

    def wait_for_backend(self) -> dict[str, Any]:
        until = time.monotonic() + 60
        while True:
            status: dict[str, Any] = self.client.get("tensortrigger-lab/api/status").json()
            if status["ready"]:
                return status
            assert time.monotonic() < until, status
            time.sleep(0.1)

    def wait_for_warm_forge(self) -> None:
        """Until the process that is kept for the next model has imported TensorFlow and waits."""
        until = time.monotonic() + 60
        spent = -1.0
        while True:
            backend = psutil.Process(self.wait_for_backend()["pid"])
            forges = [
                child
                for child in backend.children(True)
                if "tensortrigger_backend.forge.__main__" in child.cmdline()
            ]
            now = sum(sum(forge.cpu_times()[:2]) for forge in forges)
            if forges and now == spent and now > 1:
                return
            assert time.monotonic() < until, "No forge is warm."
            spent = now
            time.sleep(0.5)

    def kernel(self, path: str, name: str = "python3") -> Kernel:
        """The kernel of a notebook; it is started where it does not run yet, and the page finds it running."""
        answer = self.client.post(
            "api/sessions", json={"path": path, "name": path, "type": "notebook", "kernel": {"name": name}}
        )
        answer.raise_for_status()
        kernel_id = answer.json()["kernel"]["id"]
        return Kernel(kernel_id, self.home / "runtime" / f"kernel-{kernel_id}.json")

    def end_kernel(self, path: str) -> None:
        """Shut down the kernel of a notebook, where one runs."""
        for session in self.client.get("api/sessions").json():
            if session["path"] == path:
                self.client.delete(f"api/sessions/{session['id']}")

    def kernel_client(self, path: str) -> httpx.Client:
        """A client with the key that this Jupyter gives its kernels."""
        said = self.kernel(path).run(
            "import json, os\nprint(json.dumps([os.environ[f'TENSORTRIGGER_{name}'] for name in ('URL', 'API_KEY')]))"
        )
        url, key = json.loads(said)
        return httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=30
        )

    def notebook(self, name: str, *cells: str, kernel: str = "python3", language: str = "python") -> str:
        """Write a notebook with these code cells; its path."""
        document = {
            "cells": [
                {
                    "cell_type": "code",
                    "id": f"cell-{number}",
                    "metadata": {},
                    "source": source,
                    "outputs": [],
                    "execution_count": None,
                }
                for number, source in enumerate(cells)
            ],
            "metadata": {
                "kernelspec": {"name": kernel, "display_name": kernel, "language": language},
                "language_info": {"name": language},
            },
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        (self.files / name).write_text(json.dumps(document))
        return name


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


class Lab:
    """JupyterLab in one tab, with what the tests do over and over."""

    def __init__(self, page: Page, jupyter: Jupyter) -> None:
        self.page = page
        self.jupyter = jupyter
        self.complaints: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "tensortrigger" in message.text.lower():
            self.complaints.append(message.text)

    def open(self, path: str = "", workspace: str = "") -> Lab:
        """Load the page anew, with a file open, in an empty workspace."""
        where = f"lab/workspaces/{workspace}" if workspace else "lab"
        tree = f"/tree/{path}" if path else ""
        reset = "" if workspace else "&reset"
        self.page.goto(f"{self.jupyter.url}{where}{tree}?token={TOKEN}{reset}")
        self.page.wait_for_selector("#jupyterlab-splash", state="detached")
        self.page.wait_for_function(
            "() => window.jupyterapp?.shell && document.querySelector('.jp-FileBrowser, .jp-NotebookPanel')"
        )
        if path.endswith(".ipynb"):
            self.wait_for_kernel("idle")
        return self

    def command(self, name: str, **arguments: Any) -> Any:
        """Run a command of the application, as a menu or shortcut would, without waiting for its end."""
        return self.page.evaluate(
            "([name, args]) => { void window.jupyterapp.commands.execute(name, args); }", [name, arguments]
        )

    def cell_runs(self) -> bool:
        """Whether a cell of the notebook in front runs; an answer beside it may make the kernel look idle."""
        return self.page.locator(".jp-NotebookPanel:visible .jp-InputArea-prompt", has_text="[*]").count() > 0

    def wait_for_cells(self) -> None:
        """Until no cell of the notebook in front runs."""
        self.page.locator(".jp-NotebookPanel:visible .jp-InputArea-prompt", has_text="[*]").wait_for(
            state="detached"
        )

    def wait_for_kernel(self, status: str) -> None:
        self.page.wait_for_function(
            "(status) => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === status",
            arg=status,
        )

    def run_all(self) -> None:
        """Run every cell of the notebook in front and wait until the kernel is idle again."""
        self.start_all()
        self.page.wait_for_function(
            "() => window.jupyterapp.shell.currentWidget.content.widgets"
            ".every(cell => cell.model.type !== 'code' || cell.model.executionCount)"
        )
        self.wait_for_kernel("idle")

    def start_all(self) -> None:
        self.command("notebook:run-all-cells")

    def widen_panel(self, width: int) -> None:
        """Drag the border of the side panel until it is so many pixels wide."""
        box = self.panel.bounding_box()
        assert box is not None
        top = box["y"] + box["height"] / 2
        self.page.mouse.move(box["x"] - 2, top)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] - 2 + box["width"] - width, top, steps=5)
        self.page.mouse.up()

    def set_theme(self, name: str) -> None:
        """Choose a theme; it goes into the settings, so who needs a certain one chooses it."""
        self.page.evaluate(
            "name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})", name
        )
        light = "false" if "Dark" in name else "true"
        self.page.locator(f"body[data-jp-theme-light={light}]").wait_for(state="attached")

    def add_cell(self, source: str) -> None:
        """Put a cell below the active one and start it."""
        self.page.evaluate(
            """async source => {
                const { commands, shell } = window.jupyterapp;
                await commands.execute('notebook:insert-cell-below');
                shell.currentWidget.content.activeCell.model.sharedModel.setSource(source);
                void commands.execute('notebook:run-cell');
            }""",
            source,
        )
        self.page.locator(".jp-Cell.jp-mod-active .jp-InputArea-prompt", has_text="[*]").wait_for()

    def wait_for_output(self, text: str) -> None:
        """Until a cell of the notebook in front has printed this; only then does the page know that it runs."""
        self.page.locator(".jp-NotebookPanel:visible .jp-OutputArea-output", has_text=text).first.wait_for()

    def outputs(self) -> list[str]:
        """The text that stands below the cells of the notebook in front."""
        return self.page.locator(".jp-NotebookPanel:visible .jp-OutputArea-output").all_inner_texts()

    @property
    def publish_button(self) -> Locator:
        return self.page.locator(
            ".jp-NotebookPanel:visible [data-jp-item-name='tensortrigger-publish'] [role=button], "
            ".jp-NotebookPanel:visible [data-jp-item-name='tensortrigger-publish'] jp-button"
        )

    @property
    def dialog(self) -> Locator:
        return self.page.locator(".tt-PublishDialog")

    def button(self, name: str) -> Locator:
        """A button of the publish dialog."""
        return self.dialog.get_by_role("button", name=name, exact=True)

    def wait_until_published(self, name: str) -> None:
        """Until the dialog says so; where nothing is warm, the backend imports TensorFlow first, with low priority."""
        self.dialog.get_by_text(f"{name} is ready.").wait_for(timeout=4 * PATIENCE)

    @property
    def panel(self) -> Locator:
        return self.page.locator(".tt-PanelBody")

    def open_panel(self, tab: str, **arguments: Any) -> Locator:
        """Open the side panel at one of its tabs."""
        self.command("tensortrigger:open-panel", tab=tab, **arguments)
        self.panel.locator(f"#tt-tabpanel-{tab}").wait_for()
        return self.panel


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
