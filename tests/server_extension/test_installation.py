"""Jupyter finds the extension by itself, and nobody else loads it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
ENABLING = ROOT / "server_extension" / "jupyter-config" / "tensortrigger_lab.json"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment in which Jupyter sees the enabling file and no configuration of this machine."""
    shutil.copytree(ENABLING.parent, tmp_path / "config" / "jupyter_server_config.d")
    return {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("JUPYTER", "TENSORTRIGGER"))
        },
        "HOME": str(tmp_path),
        "JUPYTER_PLATFORM_DIRS": "0",
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_DATA_DIR": str(tmp_path / "share"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "run"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }


def test_the_wheel_puts_the_enabling_file_where_jupyter_looks():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    target = "etc/jupyter/jupyter_server_config.d/tensortrigger_lab.json"
    assert build["shared-data"][str(ENABLING.relative_to(ROOT))] == target
    assert "server_extension/tensortrigger_server" in build["packages"]
    assert json.loads(ENABLING.read_text())["ServerApp"]["jpserver_extensions"] == {
        "tensortrigger_server": True
    }


def test_jupyter_lists_the_extension_as_enabled_and_valid(environ):
    command = [sys.executable, "-m", "jupyter_server", "extension", "list"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=True)
    listed = done.stdout + done.stderr
    lines = [line.split() for line in re.sub(r"\x1b\[\d+m", "", listed).splitlines()]
    assert ["tensortrigger_server", "enabled"] in lines
    # An installed project is enabled in its environment too, and Jupyter then lists it a second time.
    validated = [
        line[-1] for line in lines if line[:1] == ["tensortrigger_server"] and line[1:] != ["enabled"]
    ]
    assert set(validated) == {"OK"}


@pytest.mark.parametrize(
    ("imported", "unwanted"),
    [
        ("tensortrigger_server", ["tensortrigger_server.app", "jupyter_server", "tornado", "httpx"]),
        ("tensortrigger_server.app", ["tensortrigger_lab", "tensortrigger_backend", "tensorflow", "numpy"]),
        ("tensortrigger_lab", ["tensortrigger_server", "jupyter_server"]),
    ],
)
def test_neither_side_loads_what_belongs_to_the_other(imported, unwanted, environ):
    program = f"import sys, {imported}; print([name for name in {unwanted!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("server", "end"),
    [("jupyterlab", signal.SIGTERM), ("jupyter_server", signal.SIGKILL)],
    ids=["asked", "killed"],
)
def test_a_real_jupyter_server_starts_the_backend_and_takes_it_along_when_it_ends(
    server, end, environ, stand_in, gone, tmp_path
):
    config: dict[str, object] = {"TensorTriggerApp": {"backend_command": stand_in}}
    if server != "jupyterlab":
        others = ("jupyterlab", "jupyter_lsp", "jupyter_server_terminals", "notebook_shim")
        config["ServerApp"] = {"jpserver_extensions": dict.fromkeys(others, False)}
    (tmp_path / "config" / "jupyter_server_config.json").write_text(json.dumps(config))
    options = ["--no-browser", "--port=0", "--allow-root", f"--ServerApp.root_dir={tmp_path}", "--debug"]
    command = [sys.executable, "-m", server, *options, "--IdentityProvider.token=letmein"]
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as jupyter:
        try:
            assert jupyter.stderr is not None
            log, url = "", ""
            for line in jupyter.stderr:
                log += line
                if "http://127.0.0.1" in line and "token=" in line:
                    url = (
                        line.split()[-1]
                        .partition("?")[0]
                        .removesuffix("/")
                        .removesuffix("/lab")
                        .removesuffix("/tree")
                    )
                if "backend ready at" in line:
                    break
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            ask = urllib.request.Request(
                f"{url}/tensortrigger-lab/api/status", headers={"Authorization": "token letmein"}
            )
            status = json.load(opener.open(ask, timeout=10))
            child = psutil.Process(status["pid"])
            secret = child.environ()["TENSORTRIGGER_SESSION_KEY"].split("_", 2)[2]
        finally:
            jupyter.send_signal(end)
            log += jupyter.stderr.read()
    assert status["ready"]
    psutil.wait_procs([child], timeout=5)
    assert gone(child.pid)
    assert secret not in log
