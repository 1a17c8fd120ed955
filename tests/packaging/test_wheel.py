"""The wheel holds everything, and a core install is enough for a client."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SOURCES = ("tensortrigger_lab", "server_extension/tensortrigger_server", "backend/tensortrigger_backend")


def test_every_source_file_is_in_the_wheel(wheel: Path) -> None:
    members = set(zipfile.ZipFile(wheel).namelist())
    for source in SOURCES:
        folder = ROOT / source
        for path in folder.rglob("*"):
            # The built lab extension goes to where JupyterLab looks, not into the package.
            if path.is_file() and not {"__pycache__", "labextension"} & set(path.parts):
                assert f"{folder.name}/{path.relative_to(folder).as_posix()}" in members
    assert any(name.endswith("jupyter_server_config.d/tensortrigger_lab.json") for name in members)
    assert any(
        name.endswith("share/jupyter/labextensions/tensortrigger-lab/package.json") for name in members
    )


def test_an_installed_wheel_migrates_its_own_database(wheel: Path, tmp_path: Path) -> None:
    # Only the wheel's own files, beside the dependencies of this environment.
    target = tmp_path / "site"
    argv = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(target),
        str(wheel),
    ]
    subprocess.run(argv, check=True)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TENSORTRIGGER_")}
    code = "import tensortrigger_backend, runpy, sys; print(tensortrigger_backend.__file__); "
    code += "sys.argv[1:] = ['migrate', '--data-dir', 'data']; runpy.run_module('tensortrigger_backend')"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**clean, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert str(target) in ended.stdout
    assert "The database is at revision" in ended.stdout, ended.stderr
    assert (tmp_path / "data" / "tensortrigger.db").stat().st_size > 0


def test_a_core_install_is_a_client_and_says_what_serving_needs(
    clean_environment: Callable[..., Path],
) -> None:
    commands = clean_environment()
    python = str(commands / "python")
    listed = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "list", "--python", python],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for absent in ("tensorflow", "fastapi", "sqlalchemy", "onnxruntime", "jupyterlab"):
        assert absent not in listed.lower()
    ran = subprocess.run(
        [python, "-c", "import tensortrigger_lab as tt; print(tt.Client('http://127.0.0.1:9'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "127.0.0.1:9" in ran.stdout
    serve = subprocess.run([str(commands / "tt"), "serve"], capture_output=True, text=True, check=False)
    assert serve.returncode != 0
    assert "tensortrigger-lab[backend]" in serve.stderr
