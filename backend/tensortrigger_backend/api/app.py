"""The application: which routers answer where, and what every request passes through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, Protocol

from fastapi import Depends, FastAPI
from fastapi_offline import FastAPIOffline
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tensortrigger_backend import __version__
from tensortrigger_backend.api import (
    errors,
    job_watch,
    native_aliases,
    native_job_details,
    native_jobs,
    native_models,
    native_results,
    native_run,
    native_runs,
    native_train,
    native_uploads,
    operations,
)
from tensortrigger_backend.api.auth import host_allowed, identify
from tensortrigger_backend.api.feeds import Feeds
from tensortrigger_backend.api.reading import LARGE_BODIES, known_parameters
from tensortrigger_backend.api.shapes import request_schemas
from tensortrigger_backend.domain.jobs import JobKind
from tensortrigger_backend.services.core import Core

OLD_PREFIX = "/v1/tensor-trigger"
"""Base path of the old deployment; its clients find everything there too."""

ROUTERS = (
    native_uploads.router,
    native_models.router,
    native_aliases.router,
    native_run.router,
    native_train.router,
    # Before native_jobs, whose /jobs/{job_id} would take the paths of these for ids.
    native_job_details.router,
    native_jobs.router,
    native_results.router,
    job_watch.router,
    native_runs.router,
)

DESCRIPTION = """
Publish Keras models and call them. Send a key as `Authorization: Bearer tt_...`; on loopback no key is
needed while none has been made.

Errors are problem details (RFC 9457) that name the field, the row, what was expected and what came.
"""


class Recorder(Protocol):
    """Counts answered requests."""

    def answered(self, route: str, status: int, seconds: float) -> None: ...

    def waiting(self, partitions: Mapping[JobKind, int]) -> None: ...

    def waiting_unknown(self) -> None: ...

    def exposed(self) -> bytes: ...


def create_app(
    core: Core,
    settings: object,
    metrics: Recorder,
    allowed_hosts: frozenset[str] | None,
    trusted_proxy: bool,
    draining: Callable[[], bool],
) -> FastAPI:
    """The ASGI application.

    Args:
        settings: limits, as ``Settings`` names them.
        allowed_hosts: Host headers to answer; None for any.
    """
    app: FastAPI = FastAPIOffline(
        title="TensorTrigger Lab",
        version=__version__,
        description=DESCRIPTION,
        redoc_url=None,
        openapi_url="/openapi.json",
        license_info={"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
    )
    app.state.core = core
    app.state.settings = settings
    app.state.metrics = metrics
    app.state.large_bodies = asyncio.Semaphore(LARGE_BODIES)
    app.state.trusted_proxy = trusted_proxy
    app.state.draining = draining
    app.state.feeds = Feeds(core.runs, draining)
    errors.install(app)
    app.add_api_route("/", lambda: RedirectResponse("docs"), include_in_schema=False)
    for router in ROUTERS:
        # In this order: only who may ask is told what a route's parameters are.
        checked = [Depends(identify), Depends(known_parameters)]
        app.include_router(router, dependencies=checked)
        app.include_router(router, prefix=OLD_PREFIX, include_in_schema=False, dependencies=checked)
    # Probes may ask as they like.
    app.include_router(operations.router)
    app.include_router(operations.router, prefix=OLD_PREFIX, include_in_schema=False)
    app.add_middleware(Passage, metrics=metrics, allowed_hosts=allowed_hosts)
    _describe_bodies(app)
    return app


class Passage:
    """What each request passes through: the Host check, security headers, and the stopwatch."""

    def __init__(self, app: ASGIApp, metrics: Recorder, allowed_hosts: frozenset[str] | None) -> None:
        self._app = app
        self._metrics = metrics
        self._allowed_hosts = allowed_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-content-type-options", b"nosniff")]
            await send(message)

        host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
        try:
            if host_allowed(host, self._allowed_hosts):
                await self._app(scope, receive, watched)
            else:
                detail = f"The Host header {host[:80]!r} is not one of this server's names."
                await errors.problem(400, detail, scope["path"])(scope, receive, watched)
        finally:
            # The route's template, not the path: ids in a label would make a time series each.
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.answered(route, status, perf_counter() - started)


def _describe_bodies(app: FastAPI) -> None:
    """Add the request bodies that the domain reads itself to the OpenAPI document."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            document["components"]["schemas"].update(request_schemas())
            document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            document["security"] = [{"key": []}, {}]
        return app.openapi_schema or document

    app.openapi = openapi  # type: ignore[method-assign]
