"""What the browser may ask this extension."""

from __future__ import annotations

from typing import Protocol, cast

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from tornado import web

from tensortrigger_server.status import BackendStatus


class KnowsBackend(Protocol):
    """What a handler needs of the extension's application."""

    async def backend_status(self) -> BackendStatus:
        """How the backend is doing now. Raises nothing: what is wrong is part of the answer."""


class StatusHandler(ExtensionHandlerMixin, APIHandler):
    """``GET /tensortrigger-lab/api/status``: how the backend is doing."""

    auth_resource = "tensortrigger"
    # A page that polls this must not keep an otherwise idle server alive.
    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer a `BackendStatus` as JSON."""
        extension = cast("KnowsBackend", self.extensionapp)
        status = await extension.backend_status()
        self.finish(status.to_dict())
