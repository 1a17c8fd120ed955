"""The real backend keeps the contract that the supervisor relies on."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from tensortrigger_server.app import TensorTriggerApp

_INSTALLED = importlib.util.find_spec("tensortrigger_backend") and importlib.util.find_spec(
    "tensortrigger_backend.__main__"
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _INSTALLED, reason="the backend package is not installed"),
]


async def test_the_real_backend_serves_kernels_through_a_crash_and_ends_when_asked(
    make_backend, until, gone, log_text, tmp_path: Path, monkeypatch
):
    # A notebook folder may hold anything; none of it may take the place of what the backend imports.
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "uvicorn.py").write_text(
        "raise SystemExit('imported from the notebook folder')"
    )
    monkeypatch.chdir(tmp_path / "notebooks")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    async with make_backend(command=TensorTriggerApp().backend_command, environ=environ) as backend:
        headers = {"Authorization": f"Bearer {backend.key.reveal()}"}
        async with httpx.AsyncClient(base_url=backend.url, trust_env=False, timeout=60.0) as client:
            # Sent at once: it waits in the socket's backlog until the backend is there.
            assert (await client.get("/models", headers=headers)).status_code == 200
            assert (await client.get("/models")).status_code == 401
            assert (await client.get("/health_check")).json()["message"] == "Service running"
            await asyncio.wait_for(backend.wait_ready(), 10)
            pid = backend.pid
            os.kill(pid, signal.SIGKILL)
            await until(lambda: backend.pid not in (pid, None))
        async with httpx.AsyncClient(base_url=backend.url, trust_env=False, timeout=60.0) as client:
            assert (await client.get("/models", headers=headers)).status_code == 200
        await asyncio.wait_for(backend.wait_ready(), 10)
        last = psutil.Process(backend.pid)
        family = [last, *last.children(recursive=True)]
    await until(lambda: all(gone(process.pid) for process in family))
    assert backend.error is None
    assert backend.key.secret not in log_text()


async def test_the_real_backend_ends_when_its_standard_input_does(tmp_path: Path):
    command = [
        *TensorTriggerApp().backend_command,
        "--port",
        "0",
        "--data-dir",
        str(tmp_path / "data"),
        "--auth",
    ]
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "TENSORTRIGGER_SESSION_KEY": f"tt_{'0' * 12}_{'a' * 43}",
    }
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command,
        "--exit-with-parent",
        stdin=pipe,
        stdout=pipe,
        stderr=asyncio.subprocess.DEVNULL,
        env=environ,
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 60)
        assert line.startswith(b"TensorTrigger backend ready at http://127.0.0.1:")
        assert process.stdin is not None
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 10) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
