"""A small real server that keeps the embedded backend's contract, and faults on demand."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tensortrigger_server.embedded import EmbeddedBackend
from tensortrigger_server.restarts import RestartPolicy

STAND_IN = """
import argparse, http.server, json, os, signal, socket, subprocess, sys, threading, time

parser = argparse.ArgumentParser()
parser.add_argument("--fd", type=int)
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--data-dir", required=True)
parser.add_argument("--auth", action="store_true", required=True)
parser.add_argument("--exit-with-parent", action="store_true", required=True)
parser.add_argument("--slow-start", type=float, default=0.0)
parser.add_argument("--fail", default="")
parser.add_argument("--never-ready", action="store_true")
parser.add_argument("--deaf", action="store_true", help="ignores SIGTERM")
parser.add_argument("--grandchild", action="store_true")
parser.add_argument("--say", action="append", default=[])
parser.add_argument("--crash-after", type=float, default=0.0)
o = parser.parse_args()
key = os.environ["TENSORTRIGGER_SESSION_KEY"]

def exit_with_parent():
    while os.read(0, 1024):  # not sys.stdin: its lock, held here, would break the interpreter's own exit
        pass
    os._exit(0)

threading.Thread(target=exit_with_parent, daemon=True).start()
if o.deaf:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if o.grandchild:
    heir = subprocess.Popen(["sleep", "600"])
for words in o.say:
    print(words.replace("KEY", key), file=sys.stderr, flush=True)
time.sleep(o.slow_start)
if o.fail:
    sys.exit(o.fail)
if o.never_ready:
    time.sleep(600)

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    def do_GET(self):
        if self.path == "/crash":
            os._exit(3)
        body = {"http_code": 200, "message": "Service running", "pid": os.getpid()}
        if self.path == "/facts":
            body["authorised"] = self.headers.get("Authorization") == "Bearer " + key
            body["grandchild"] = heir.pid if o.grandchild else None
            body["data_dir"] = o.data_dir
            body["variables"] = [name for name in os.environ if name.startswith("TENSORTRIGGER_")]
        body = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", o.port), Handler, bind_and_activate=o.fd is None)
if o.fd is not None:
    server.socket = socket.socket(fileno=o.fd)
url = "http://127.0.0.1:%d" % server.socket.getsockname()[1]
print("TensorTrigger backend ready at " + url, flush=True)
if o.crash_after:
    threading.Timer(o.crash_after, os._exit, (7,)).start()
server.serve_forever()
"""

QUICK = RestartPolicy(first_delay=0.01, longest_delay=0.05, attempts=3, healthy_after=60.0, ready_within=20.0)

MakeBackend = Callable[..., EmbeddedBackend]


@pytest.fixture
def stand_in(tmp_path: Path) -> list[str]:
    """The command that starts the stand-in; faults are further arguments."""
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)
    return [sys.executable, "-I", "-S", str(script)]


@pytest.fixture
def make_backend(stand_in: list[str], tmp_path: Path) -> MakeBackend:
    """An `EmbeddedBackend` around the stand-in with these faults; the caller enters it."""

    def make(*faults: str, **options: Any) -> EmbeddedBackend:
        log = logging.getLogger("embedded-backend-under-test")
        options = {
            "policy": QUICK,
            "environ": os.environ,
            "log": log,
            "command": [*stand_in, *faults],
            **options,
        }
        return EmbeddedBackend(options.pop("command"), tmp_path / "data", **options)

    return make


@pytest.fixture
def log_text(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Everything logged so far, debug lines and the fixtures' too."""
    caplog.set_level(logging.DEBUG)

    def text() -> str:
        records = [*caplog.get_records("setup"), *caplog.get_records("call")]
        return "\n".join(record.getMessage() + (record.exc_text or "") for record in records)

    return text


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    """Waits until a condition holds, and fails by name when it does not within 10 s."""

    async def wait(condition: Callable[[], object], *, seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {condition}"
            await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def ask() -> Callable[..., dict[str, Any]]:
    """One GET over a connection of its own, from a thread or a synchronous test."""

    def get(url: str, key: str = "") -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        with httpx.Client(trust_env=False, timeout=10.0) as client:
            return dict(json.loads(client.get(url, headers=headers).content))

    return get


@pytest.fixture
def gone() -> Callable[[int], bool]:
    """Whether a process is gone altogether: neither running nor a zombie of ours."""

    def is_gone(pid: int) -> bool:
        try:
            # Inside a container an orphan's zombie may wait for an init that never reaps.
            return (
                psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
                and psutil.Process(pid).ppid() != os.getpid()
            )
        except psutil.NoSuchProcess:
            return True

    return is_gone
