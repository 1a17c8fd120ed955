"""A plain `pip install` of the wheel enables both extensions, without Node, in every JupyterLab that is supported."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def lowest_jupyterlab() -> str:
    """What pyproject.toml promises."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (requirement,) = [line for line in extras["lab"] if re.match(r"jupyterlab\b", line)]
    found = re.search(r">=([\d.]+)", requirement)
    assert found
    return found[1]


@pytest.mark.parametrize("jupyterlab", [f"jupyterlab=={lowest_jupyterlab()}.*", "jupyterlab>=4,<5"])
def test_both_extensions_are_enabled_by_a_plain_install_without_node(
    clean_environment: Callable[..., Path], jupyterlab: str, tmp_path: Path
) -> None:
    commands = clean_environment(jupyterlab)
    # Nothing but the environment's own commands: neither a Node nor a configuration of this machine.
    environment = {
        "PATH": str(commands),
        "HOME": str(tmp_path),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
        "JUPYTER_PREFER_ENV_PATH": "1",
    }

    def said(*command: str) -> str:
        argv = [str(commands / "jupyter"), *command]
        ended = subprocess.run(argv, capture_output=True, text=True, env=environment, check=True)
        return re.sub(r"\x1b\[[\d;]*m", "", ended.stdout + ended.stderr)

    server = said("server", "extension", "list")
    assert re.search(r"tensortrigger_server enabled", server), server
    assert re.search(r"tensortrigger_server.*OK", server), server
    lab = said("labextension", "list")
    assert re.search(r"tensortrigger-lab v\S+ enabled\s+\S*OK", lab), lab
