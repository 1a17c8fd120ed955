"""The project's wheel, and environments that hold it and nothing of this checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = (sys.executable, "-m", "uv")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built with what this environment has."""
    folder = tmp_path_factory.mktemp("dist")
    argv = [
        sys.executable,
        "-m",
        "uv",
        "build",
        "--wheel",
        "--no-build-isolation",
        "--out-dir",
        str(folder),
        str(ROOT),
    ]
    subprocess.run([*argv, "--python", sys.executable], check=True, capture_output=True)
    (built,) = folder.glob("tensortrigger_lab-*.whl")
    return built


@pytest.fixture
def clean_environment(wheel: Path, tmp_path: Path) -> Callable[..., Path]:
    """Makes a virtual environment of the wheel and what else is named; its folder of commands."""

    def make(*packages: str) -> Path:
        venv = tmp_path / "venv"
        subprocess.run([*UV, "venv", "--quiet", "--python", sys.executable, str(venv)], check=True)
        python = str(venv / "bin" / "python")
        installed = subprocess.run(
            [*UV, "pip", "install", "--quiet", "--python", python, str(wheel), *packages],
            capture_output=True,
            text=True,
            check=False,
        )
        if installed.returncode and not os.environ.get("CI"):
            pytest.skip("no package index can be reached")
        assert installed.returncode == 0, installed.stderr
        return venv / "bin"

    return make
