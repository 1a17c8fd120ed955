"""The notebooks run from top to bottom against a real backend, quickly and with nothing stored in them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
QUICK = 60.0
"""Seconds that a notebook may take on a machine of its own; a busy one gets three times that."""


# Where there is a browser, tests/browser runs each of them in the page and weighs it.
@pytest.mark.skipif(shutil.which("chromium") is not None, reason="tests/browser runs the notebooks")
@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_with_nothing_configured_by_hand(
    path: Path, backend_url: str, source_roots: str, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": source_roots, "TENSORTRIGGER_URL": backend_url}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
    command += ["--nbmake", "--nbmake-kernel=python3", "--rootdir", str(path.parent), str(path)]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began < 3 * QUICK


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert [
        cell.get("outputs", []) for cell in cells if cell["cell_type"] == "code" and cell.get("outputs")
    ] == []
    assert all(cell.get("execution_count") is None for cell in cells)


def test_there_is_a_quickstart() -> None:
    assert "01_quickstart" in [path.stem for path in NOTEBOOKS]
