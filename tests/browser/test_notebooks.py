"""The notebooks run in JupyterLab as a newcomer runs them, and a small machine has room for them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from tests.browser.conftest import Jupyter, Lab

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PEAK = 2.0e9
AT_REST = 1.2e9
"""Bytes that Jupyter and all that it started may hold, while a notebook runs and after it."""
IDLE_SECONDS = "5"


def proportional_memory(pid: int) -> dict[str, int]:
    """Bytes of a process and its descendants, shared pages divided among those that share them."""
    found: dict[str, int] = {}
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            with suppress(psutil.Error, OSError):
                rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
                pss = re.search(r"^Pss: +(\d+) kB", rollup, re.MULTILINE)
                name = f"{kind(process.cmdline())} {process.pid}"
                found[name] = 1024 * int(pss[1]) if pss else 0
    return found


def kind(command: list[str]) -> str:
    told = " ".join(command)
    for part, name in (
        ("backend.forge", "forge"),
        ("backend.trainer", "trainer"),
        ("tensortrigger_backend serve", "backend"),
        ("ipykernel", "kernel"),
        ("jupyterlab", "jupyter"),
    ):
        if part in told:
            return name
    return "other"


class Meter:
    """Looks at the memory five times a second."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.peak: dict[str, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Meter:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.2):
            now = proportional_memory(self.pid)
            if sum(now.values()) > sum(self.peak.values()):
                self.peak = now


@pytest.fixture(scope="module")
def small_machine(start_jupyter: Callable[..., Jupyter]) -> Iterator[Jupyter]:
    """Jupyter as the start script of Binder sets it up, but for a shorter wait of idle TensorFlow children."""
    plain = {"PATH": os.environ["PATH"]}
    told = subprocess.run(
        [ROOT / "binder" / "start", "env"], env=plain, capture_output=True, text=True, check=True
    ).stdout
    settings = dict(
        line.split("=", 1) for line in told.splitlines() if not line.startswith(("PATH=", "_=", "PWD="))
    )
    assert "TENSORTRIGGER_FORGE_IDLE" in settings
    server = start_jupyter(environment={**settings, "TENSORTRIGGER_FORGE_IDLE": IDLE_SECONDS})
    for notebook in NOTEBOOKS:
        shutil.copy(notebook, server.files)
    server.wait_for_backend()
    yield server
    server.stop()


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom_in_the_memory_of_a_small_machine(
    new_lab: Callable[..., Lab],
    small_machine: Jupyter,
    notebook: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lab = new_lab(small_machine)
    lab.open(notebook.name)
    began = time.monotonic()
    with Meter(small_machine.process.pid) as meter:
        lab.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
        took = time.monotonic() - began
    outputs = lab.page.evaluate(
        """() => window.jupyterapp.shell.currentWidget.content.widgets
            .filter(cell => cell.model.type === 'code').flatMap(cell => cell.model.outputs.toJSON())"""
    )
    assert ["\n".join(output["traceback"]) for output in outputs if output["output_type"] == "error"] == []
    counts = lab.page.evaluate(
        """() => window.jupyterapp.shell.currentWidget.content.widgets
            .filter(cell => cell.model.type === 'code').map(cell => cell.model.executionCount)"""
    )
    assert all(counts), counts

    until = time.monotonic() + 180
    while True:
        rest = proportional_memory(small_machine.process.pid)
        if not any(name.startswith(("forge", "trainer")) for name in rest):
            break
        assert time.monotonic() < until, rest
        lab.page.wait_for_timeout(200)
    with capsys.disabled():
        print(f"\n{notebook.stem}: {took:.0f} s, peak {told(meter.peak)}; at rest {told(rest)}")
    assert sum(meter.peak.values()) < PEAK
    assert sum(rest.values()) < AT_REST


@pytest.fixture(autouse=True)
def one_kernel_at_a_time(small_machine: Jupyter, notebook: Path) -> Iterator[None]:
    yield
    small_machine.end_kernel(notebook.name)


def told(memory: dict[str, int]) -> str:
    parts = sorted(memory.items(), key=lambda item: -item[1])
    listed = ", ".join(f"{name.split()[0]} {size / 1e6:.0f}" for name, size in parts)
    return f"{sum(memory.values()) / 1e6:,.0f} MB ({listed})"
