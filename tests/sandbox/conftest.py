"""Something to attack: files, servers and a process, fresh for each guest."""

from __future__ import annotations

import ast
import http.server
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tensortrigger_backend.adapters.sandbox import SandboxedLauncher
from tensortrigger_backend.domain.sandbox import SandboxMode

HERE = Path(__file__).parent
VICTIM = """
import ctypes, sys
ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0)  # may be traced by anybody, where that is asked
print(flush=True)
sys.stdin.read()
"""


class Quiet(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def surroundings(folder: Path) -> Iterator[dict[str, Any]]:
    """A data folder, another guest's scratch, servers and a process that a guest would reach if it could."""
    folder = folder.resolve()
    data, other, package = folder / "data", folder / "other", folder / "package"
    for made in (data, other, package):
        made.mkdir(mode=0o700)
    for name in ("pepper", "database", "movable", "removable"):
        (data / name).write_bytes(b"pepper")
    (other / "upload").write_bytes(b"somebody's model")
    (package / "victim.py").write_text("")
    with ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=16))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        path, abstract = f"/tmp/tt-{secrets.token_hex(6)}", f"tt-{secrets.token_hex(6)}"
        for address in (path, f"\0{abstract}"):
            local = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            local.bind(address)
            local.listen()
        stack.callback(os.unlink, path)
        web = stack.enter_context(http.server.HTTPServer(("127.0.0.1", 0), Quiet))
        threading.Thread(target=web.serve_forever, args=(0.05,), daemon=True).start()
        stack.callback(web.shutdown)
        victim = stack.enter_context(
            subprocess.Popen([sys.executable, "-c", VICTIM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        )
        stack.callback(victim.kill)
        assert victim.stdout is not None
        victim.stdout.readline()
        yield {
            "passwords": "/etc/shadow" if os.access("/etc/shadow", os.R_OK) else "/etc/passwd",
            "data": str(data),
            "other": str(other),
            "package": str(package),
            "home": str(Path.home()),
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "http": web.server_address[1],
            "unix": path,
            "abstract": abstract,
            "victim": victim.pid,
        }


@contextmanager
def launching(mode: SandboxMode, *packages: Path, **limits: Any) -> Iterator[SandboxedLauncher]:
    launcher = SandboxedLauncher(mode, packages=(HERE, *packages), **limits)
    yield launcher
    launcher.close()


Told = dict[str, dict[str, Any]]


def attacked(mode: SandboxMode, module: str, names: list[str], folder: Path) -> Told:
    """What came of every attack in one guest, and what it left of its surroundings under ``""``."""
    scratch = folder / "scratch"
    scratch.mkdir()
    with surroundings(folder) as facts, launching(mode, Path(facts["package"])) as launcher:
        child = launcher.launch(module, scratch)
        child.allow(120)
        child.stdin.write(json.dumps({"attacks": names, "facts": facts}).encode() + b"\n")
        child.stdin.flush()
        told = [json.loads(line) for line in child.stdout]
        child.kill()
        assert [words["name"] for words in told] == names, child.last_words()
        data = Path(facts["data"])
        left = {path.name: path.read_bytes() for path in data.iterdir() if path.is_file()}
    return {words["name"]: words for words in told} | {"": {"left": left}}


def attacked_both_ways(module: str, make: pytest.TempPathFactory) -> tuple[Told, Told]:
    """What came of the attacks in a guest that nothing holds, and in one that is held."""
    names = attacks_of(module)
    loose = attacked(SandboxMode.OFF, module, names, make.mktemp("loose"))
    return loose, attacked(SandboxMode.REQUIRED, module, names, make.mktemp("held"))


@pytest.fixture(scope="session")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> tuple[Told, Told]:
    return attacked_both_ways("attacks", tmp_path_factory)


@pytest.fixture(scope="session")
def by_library(tmp_path_factory: pytest.TempPathFactory) -> tuple[Told, Told]:
    return attacked_both_ways("attacks_with_tensorflow", tmp_path_factory)


@pytest.fixture(scope="session", name="launching")
def _launching() -> Callable[..., AbstractContextManager[SandboxedLauncher]]:
    return launching


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes an ``attack`` is run for each attack of its fixture's module."""
    if "attack" in metafunc.fixturenames:
        module = "attacks" if "by_hand" in metafunc.fixturenames else "attacks_with_tensorflow"
        metafunc.parametrize("attack", attacks_of(module))


def attacks_of(module: str) -> list[str]:
    """Names in order, without importing what the module imports."""
    tree = ast.parse((HERE / f"{module}.py").read_text())
    return [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(mark).endswith("attack") for mark in node.decorator_list)
    ]
