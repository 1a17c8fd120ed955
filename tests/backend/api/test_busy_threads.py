"""Threads that wait for something slow: who else has to wait for them?"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx
import pytest
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from tensortrigger_backend.api.app import create_app
from tensortrigger_backend.bootstrap.serve import Backend
from tensortrigger_backend.domain.errors import Unavailable
from tensortrigger_backend.domain.sandbox import SandboxMode
from tensortrigger_backend.services.intake import Intake
from tensortrigger_backend.services.uploads import Intake as UploadIntake
from tensortrigger_backend.settings import Settings


@pytest.fixture
def app(seeded: Path) -> Iterator[FastAPI]:
    """A backend with the model ``linear``, in this process."""
    settings = Settings(data_dir=seeded, trainers=0, sandbox=SandboxMode.OFF)
    backend = Backend(settings, open_when_empty=True)
    yield create_app(backend.core, settings, backend.metrics, None, False, lambda: False)
    backend.close()


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Asks the backend, whose event loop has one thread for what blocks, and one for routes that do."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    anyio.to_thread.current_default_thread_limiter().total_tokens = 1
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        yield client


@pytest.fixture
def slow() -> Iterator[threading.Event]:
    """What is waited for; in the end it comes."""
    come = threading.Event()
    yield come
    come.set()


async def test_whether_the_server_lives_is_answered_without_any_thread(
    client: httpx.AsyncClient, slow: threading.Event
) -> None:
    held = [
        asyncio.ensure_future(asyncio.to_thread(slow.wait)),
        asyncio.ensure_future(run_in_threadpool(slow.wait)),
    ]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        for path in ("/health", "/health_check", "/ready"):
            assert (await client.get(path)).status_code == 200
    slow.set()
    await asyncio.gather(*held)


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/jobs?model=linear", {"content-type": "text/csv"}),
        ("PUT", "/models/uploads/{upload_id}?offset=0", {"content-type": "application/octet-stream"}),
    ],
)
async def test_uploads_into_a_slow_storage_hold_up_nothing_else(
    client: httpx.AsyncClient,
    slow: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
    headers: dict[str, str],
) -> None:
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def feed(*_: Any) -> None:
        loop.call_soon_threadsafe(begun.set)
        slow.wait()
        raise Unavailable("The storage is away.")

    monkeypatch.setattr(Intake, "feed", feed)
    monkeypatch.setattr(UploadIntake, "feed", feed)
    upload = (await client.post("/models/uploads", json={})).json()
    uploads = [
        asyncio.ensure_future(
            client.request(method, path.format(**upload), headers=headers, content=b"a,b,city\n1,2,Rome\n")
        )
        for _ in range(2)
    ]
    async with asyncio.timeout(5):
        await begun.wait()
        assert (await client.post("/tickets", json={"model": "linear"})).status_code == 201
    slow.set()
    assert {answer.status_code for answer in await asyncio.gather(*uploads)} <= {503, 409}
