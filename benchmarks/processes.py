"""The machine that a benchmark runs on, and the servers that it starts there."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

import httpx

HERE = Path(__file__).parent


def wait_for(ask: Callable[[], httpx.Response], seconds: float) -> None:
    """Until the server answers with 200. Raises TimeoutError."""
    until = time.perf_counter() + seconds
    while True:
        with contextlib.suppress(httpx.TransportError):
            if ask().status_code == 200:
                return
        if time.perf_counter() > until:
            raise TimeoutError("the server did not come up")
        time.sleep(0.02)


def free_port() -> int:
    """On loopback."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def quiet() -> dict[str, str]:
    """An environment in which TensorFlow says nothing and looks for no GPU."""
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


def cpu() -> str:
    """Its name."""
    with contextlib.suppress(OSError):
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
        if found:
            return found[1]
    return platform.processor() or platform.machine()
