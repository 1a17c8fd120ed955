"""A real Jupyter server with the extension loaded, in this process and with an environment of its own."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

# By name and only for this folder: as a plugin, pytest-jupyter would take over every test of the project.
from pytest_jupyter.jupyter_core import (  # noqa: F401
    echo_kernel_spec,
    jp_asyncio_loop,
    jp_config_dir,
    jp_data_dir,
    jp_env_config_path,
    jp_env_jupyter_path,
    jp_environ,
    jp_home_dir,
    jp_kernel_dir,
    jp_runtime_dir,
    jp_system_config_path,
    jp_system_jupyter_path,
)
from pytest_jupyter.jupyter_server import (  # noqa: F401
    jp_argv,
    jp_auth_header,
    jp_base_url,
    jp_configurable_serverapp,
    jp_fetch,
    jp_http_port,
    jp_logging_stream,
    jp_nbconvert_templates,
    jp_root_dir,
    jp_server_cleanup,
    jp_serverapp,
    jp_web_app,
    jp_ws_fetch,
)
from pytest_jupyter.pytest_tornasync import http_server, http_server_client, http_server_port  # noqa: F401
from tornado import httpserver, iostream, netutil, web
from tornado.httpclient import HTTPClientError, HTTPRequest, HTTPResponse

from tensortrigger_server.app import TensorTriggerApp


@pytest.fixture
def traits() -> dict[str, Any]:
    """What a user configures of the extension; a test adds to it through parametrisation or override."""
    return {}


@pytest.fixture
def jp_server_config(stand_in: list[str], tmp_path: Path, traits: dict[str, Any]) -> dict[str, Any]:
    """The server's configuration file, as a user could write it."""
    return {
        "ServerApp": {
            # The terminals' route is not marked for the strict authentication that is demanded here.
            "jpserver_extensions": {"tensortrigger_server": True, "jupyter_server_terminals": False},
            "allow_unauthenticated_access": False,
            "reraise_server_extension_failures": True,
        },
        "TensorTriggerApp": {"backend_command": stand_in, "data_dir": str(tmp_path / "backend"), **traits},
    }


@pytest.fixture
def run(jp_asyncio_loop: Any) -> Callable[[Any], Any]:  # noqa: F811
    """Runs one coroutine on the server's event loop, so that the server answers meanwhile."""
    return jp_asyncio_loop.run_until_complete


@pytest.fixture
def extension(
    jp_serverapp: Any,  # noqa: F811
    run: Callable[[Any], Any],
    caplog: pytest.LogCaptureFixture,
) -> Iterator[TensorTriggerApp]:
    """The extension, started as the server does once its event loop runs; all that it logs is captured."""
    (app,) = jp_serverapp.extension_manager.extension_apps["tensortrigger_server"]
    app.log.addHandler(caplog.handler)
    app.log.setLevel(logging.DEBUG)
    try:
        run(jp_serverapp.extension_manager.start_all_extensions())
        yield app
    finally:
        run(app.stop_extension())
        app.log.removeHandler(caplog.handler)


@pytest.fixture(autouse=True)
def _no_backend_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TENSORTRIGGER_URL", raising=False)
    monkeypatch.delenv("TENSORTRIGGER_API_KEY", raising=False)


@pytest.fixture
def fetch_status(jp_fetch: Any, run: Callable[[Any], Any]) -> Callable[..., HTTPResponse]:  # noqa: F811
    """Asks the status route as a browser would; a refusal is a response too."""

    async def asked(**options: Any) -> HTTPResponse:
        # Called where a loop runs: the client makes a future at once.
        answer: HTTPResponse = await jp_fetch("tensortrigger-lab", "api", "status", **options)
        return answer

    def fetch(**options: Any) -> HTTPResponse:
        try:
            found: HTTPResponse = run(asked(**options))
            return found
        except HTTPClientError as refusal:
            if refusal.response is None:
                raise
            return refusal.response

    return fetch


@pytest.fixture
def status_when(fetch_status: Callable[..., HTTPResponse], run: Callable[[Any], Any], until: Any) -> Any:
    """The first status answer that fulfils a condition, within 10 s."""

    def wait(condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        for _ in range(400):
            status: dict[str, Any] = json.loads(fetch_status().body)
            if condition(status):
                return status
            run(asyncio.sleep(0.025))
        raise AssertionError(f"still {status}")

    return wait


KEY = "tt_0123456789ab_" + "Kq7" * 14 + "x"
"""What the Jupyter server presents to the backend below, and what no browser may ever see."""


@dataclass
class Seen:
    """A request as the backend got it."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Backend:
    """A small backend on the test's own event loop. It speaks the real one's routes, notes what it is asked, and
    gives away what it should not: where nothing else is agreed, it answers the request's own headers, key included.
    """

    loop: asyncio.AbstractEventLoop
    seen: list[Seen] = field(default_factory=list)
    replies: dict[tuple[str, str], Any] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    hold_jobs: bool = False
    points: list[dict[str, Any]] = field(default_factory=list)
    run_state: str = "running"
    streams: int = 0
    break_after: int | None = None
    key: str = KEY
    port: int = 0
    version_header: bool = True
    on_request: Callable[[str], None] = lambda path: None

    def __post_init__(self) -> None:
        self._server: httpserver.HTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application([(r"/.*", _Route, {"backend": self})])
        (socket,) = netutil.bind_sockets(self.port, "127.0.0.1")
        self.port = socket.getsockname()[1]
        self._server = httpserver.HTTPServer(app, max_buffer_size=1 << 30)
        self._server.add_sockets([socket])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            await self._server.close_all_connections()
            self._server = None

    def run_object(self) -> dict[str, Any]:
        return {"run_id": "a" * 32, "state": self.run_state, "last_seq": len(self.points)}

    def add_points(self, count: int) -> None:
        for seq in range(len(self.points) + 1, len(self.points) + count + 1):
            self.points.append({"seq": seq, "kind": "batch", "step": seq, "metrics": {"loss": 1 / seq}})


@web.stream_request_body
class _Route(web.RequestHandler):
    """All routes of the backend."""

    def data_received(self, chunk: bytes) -> None:
        self.body += chunk

    def initialize(self, backend: Backend) -> None:
        self.backend = backend
        self.body = bytearray()

    def compute_etag(self) -> None:
        pass

    def prepare(self) -> None:
        self.backend.on_request(self.request.path)

    async def get(self) -> None:
        await self._any()

    post = put = patch = delete = get

    async def _any(self) -> None:
        backend, request = self.backend, self.request
        if backend.version_header:
            self.set_header("X-TensorTrigger-Version", "0.1.0")
        seen = Seen(
            str(request.method),
            request.path,
            request.query,
            dict(request.headers.get_all()),
            bytes(self.body),
        )
        backend.seen.append(seen)
        if request.path in ("/health_check", "/health"):
            self.finish({"http_code": 200, "message": "Service running", "version": "0.1.0"})
            return
        if seen.headers.get("Authorization") != f"Bearer {backend.key}":
            self.set_status(401)
            self.finish({"detail": f"The API key {seen.headers.get('Authorization')} is unknown."})
            return
        reply = backend.replies.get((seen.method, seen.path))
        if reply is not None:
            await reply(self)
        elif seen.method == "POST" and seen.path == "/tickets":
            self.set_status(201)
            self.finish({"ticket": "tk_a_b", "model": json.loads(seen.body)["model"], "expires": "later"})
        elif seen.path.startswith("/runs/") and "event-stream" in seen.headers.get("Accept", ""):
            await self._stream()
        elif seen.path.startswith("/jobs"):
            self._job(seen)
        else:
            self.set_header("X-Leak", seen.headers["Authorization"])
            self.set_header("ETag", seen.headers["Authorization"])
            self.set_header("Set-Cookie", "backend=1")
            self.finish({"path": seen.path, "query": seen.query, "headers": seen.headers})

    async def _stream(self) -> None:
        backend = self.backend
        backend.streams += 1
        if self.request.path != f"/runs/{'a' * 32}/metrics":
            self.set_status(404)
            self.finish({"detail": "There is no such run."})
            return
        last = int(self.request.headers.get("Last-Event-ID", self.get_query_argument("after", "0")))
        self.set_header("Content-Type", "text/event-stream")
        told, sent = None, 0
        try:
            while True:
                if told != backend.run_state:
                    told = backend.run_state
                    await self._say("run", backend.run_object())
                while last < len(backend.points):
                    point = backend.points[last]
                    last += 1
                    sent += 1
                    await self._say("metric", point, point["seq"])
                    if backend.break_after is not None and sent >= backend.break_after:
                        self.detach().close()
                        return
                if told != "running":
                    return
                self.write(": still here\n\n")
                await self.flush()
                await asyncio.sleep(0.01)
        except iostream.StreamClosedError:
            pass

    async def _say(self, kind: str, members: dict[str, Any], seq: int | None = None) -> None:
        name = f"id: {seq}\n" if seq else ""
        self.write(f"{name}event: {kind}\ndata: {json.dumps(members)}\n\n")
        await self.flush()

    def _job(self, seen: Seen) -> None:
        """Jobs whose model adds the fields ``a`` and ``b``."""
        backend = self.backend
        _, _, job_id, *rest = [*seen.path.split("/"), ""]
        if seen.method == "POST" and not job_id:
            rows = [row for row in csv.reader(io.StringIO(seen.body.decode(), newline="")) if row]
            known = {job["idempotency"]: job_id for job_id, job in backend.jobs.items()}
            idempotency = seen.headers["Idempotency-Key"]
            if {"a", "b"} - set(rows[0]):
                self.set_status(400)
                self.finish({"detail": "The CSV does not fit.", "errors": [{"message": f"has {rows[0]}"}]})
                return
            job_id = known.get(idempotency) or f"{len(backend.jobs):032x}"
            backend.jobs[job_id] = {"idempotency": idempotency, "rows": rows, "state": "succeeded"}
            self.set_status(201)
            self.set_header("Location", f"/jobs/{job_id}")
            self.finish({"job_id": job_id})
            return
        job = backend.jobs[job_id]
        places = [job["rows"][0].index(name) for name in ("a", "b")]
        answers: list[tuple[int, float]] = []
        rejects = []
        for row, record in enumerate(job["rows"][1:]):
            try:
                answers.append((row, sum(float(record[place]) for place in places)))
            except (ValueError, IndexError):
                rejects.append(
                    {"row": row, "line": 0, "field": "a", "code": "not_a_number", "message": "No number."}
                )
        if rest == ["cancel", ""]:
            job["state"] = "cancelled"
        if rest == ["results", ""]:
            self.set_header("Content-Type", "text/csv")
            lines = ["row,sum", *(f"{row},{total}" for row, total in answers)]
            self.finish("\r\n".join(lines) + "\r\n")
        elif rest == ["rejects", ""]:
            assert seen.headers.get("Accept") == "application/x-ndjson"
            self.set_header("Content-Type", "application/x-ndjson")
            self.finish("".join(f"{json.dumps(reject)}\n" for reject in rejects))
        else:
            held = backend.hold_jobs and job["state"] == "succeeded"
            rows = len(job["rows"]) - 1
            progress = {"rows_done": rows, "rows_total": rows, "rows_rejected": len(rejects)}
            state = "running" if held else job["state"]
            self.finish({"job": {"job_id": job_id, "state": state, "error": None, "progress": progress}})


@pytest.fixture
def backend(jp_asyncio_loop: Any) -> Iterator[Backend]:  # noqa: F811
    """The stand-in, running."""
    backend = Backend(jp_asyncio_loop)
    jp_asyncio_loop.run_until_complete(backend.start())
    yield backend
    jp_asyncio_loop.run_until_complete(backend.stop())


@pytest.fixture
def with_backend(
    backend: Backend, jp_server_config: dict[str, Any], request: pytest.FixtureRequest
) -> TensorTriggerApp:
    """The extension, configured for the stand-in."""
    jp_server_config["TensorTriggerApp"] |= {"backend_url": backend.url, "token": KEY, "request_timeout": 2.0}
    extension: TensorTriggerApp = request.getfixturevalue("extension")
    return extension


@pytest.fixture
def call(request: pytest.FixtureRequest) -> Callable[..., HTTPResponse]:
    """Asks a route below ours, by its path as it stands; a refusal is an answer too.

    The server starts with the first question, so that a test can configure it before.
    """

    def fetch(method: str, path: str, body: Any = None, **options: Any) -> HTTPResponse:
        get = request.getfixturevalue
        headers = {**get("jp_auth_header"), **options.pop("headers", {})}
        if isinstance(body, dict):
            headers = {"Content-Type": "application/json", **headers}
            body = json.dumps(body)
        if body is None and method in ("POST", "PUT", "PATCH") and "body_producer" not in options:
            body = ""
        options = {"request_timeout": 20.0, "raise_error": False, "follow_redirects": False, **options}
        url = f"{get('jp_base_url')}tensortrigger-lab/api/{path}"
        client = get("http_server_client")

        # Tornado's futures want a loop that runs: a test before this one may have left none behind.
        async def ask() -> HTTPResponse:
            return await client.fetch(url, method=method, body=body, headers=headers, **options)

        try:
            answer: HTTPResponse = get("run")(ask())
        except HTTPClientError as broken:  # the connection ended before the answer did
            answer = HTTPResponse(HTTPRequest(url), broken.code)
        return answer

    return fetch
