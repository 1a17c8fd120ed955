"""The Jupyter server extension: it sees to it that every kernel finds a backend."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx
from jupyter_core.paths import jupyter_data_dir
from jupyter_server.extension.application import ExtensionApp
from traitlets import Bool, Float, List, Unicode, default

from tensortrigger_server.embedded import EmbeddedBackend
from tensortrigger_server.environment import KernelEnvironment, checked_url
from tensortrigger_server.problems import BackendAway
from tensortrigger_server.redaction import redact
from tensortrigger_server.routes import ROUTES
from tensortrigger_server.score_book import ScoreBook
from tensortrigger_server.status import BackendStatus, Health, check_health, skew
from tensortrigger_server.upstream import START_PATIENCE, Patience, Upstream

NOT_STARTED = "The extension has not been started: it needs jupyter-server 2.15 or newer, running."
NO_BACKEND = (
    "No backend is configured: set TensorTriggerApp.backend_url or TENSORTRIGGER_URL, "
    "or TensorTriggerApp.embedded_backend = True."
)

CONNECTIONS = 500
"""At a time; every chart that follows a run holds one, and must not keep a question waiting."""


def own_version() -> str:
    """The version of the installed package; ``unknown`` where it runs without being installed."""
    try:
        return metadata.version("tensortrigger-lab")
    except metadata.PackageNotFoundError:
        return "unknown"


class TensorTriggerApp(ExtensionApp):
    """Gives kernels a TensorTrigger backend: the configured one, else one of their own."""

    name = "tensortrigger"
    scores: ScoreBook
    description = "Gives kernels a TensorTrigger backend: the configured one, else one of their own."

    backend_url = Unicode(
        "",
        config=True,
        help="URL of a running backend. Empty: what TENSORTRIGGER_URL says, else an embedded one is started.",
    )
    token = Unicode(
        "",
        config=True,
        help="API key that kernels use with the configured backend. Prefer token_file: other users of the "
        "machine can read command lines, and Jupyter's debug log shows its configuration.",
    )
    token_file = Unicode(
        "",
        config=True,
        help="File with the API key for the configured backend; read again and again, so it may be rotated.",
    )
    token_refresh = Float(30.0, config=True, min=0.01, help="Seconds between two readings of token_file.")
    embedded_backend = Bool(
        True, config=True, help="Whether to start a backend as a child process where none is configured."
    )
    data_dir = Unicode(config=True, help="Folder in which the embedded backend keeps its models and jobs.")
    backend_command = List(
        Unicode(),
        config=True,
        help="Command that starts the embedded backend; --fd or --port, --data-dir, --auth and "
        "--exit-with-parent are added to it.",
    )
    request_timeout = Float(
        5.0,
        config=True,
        min=0.01,
        help="Seconds within which the backend must answer a question of this server.",
    )

    @default("data_dir")
    def _default_data_dir(self) -> str:
        return str(Path(jupyter_data_dir()) / "tensortrigger")

    @default("backend_command")
    def _default_backend_command(self) -> list[str]:
        # -P: a random.py beside somebody's notebooks must not take the place of Python's own.
        return [sys.executable, "-P", "-m", "tensortrigger_backend", "serve"]

    answer_timeout = Float(
        120.0,
        config=True,
        min=0.01,
        help="Seconds without a byte after which the backend's answer to the browser is given up.",
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._environment = KernelEnvironment(os.environ)
        self._embedded: EmbeddedBackend | None = None
        self._url: str | None = None
        self._fault: str | None = NOT_STARTED
        self._client: httpx.AsyncClient | None = None
        self._token_task: asyncio.Task[None] | None = None
        self._upstream: Upstream | None = None
        self._following: set[asyncio.Task[None]] = set()

    def initialize_settings(self) -> None:
        """Keep the token out of the settings, which every other extension can read."""
        self.extension_config.pop("token", None)
        self.scores = ScoreBook(self.log, self.redact)

    def initialize_handlers(self) -> None:
        """Add the routes."""
        self.handlers.extend(ROUTES)

    async def _start_jupyter_server_extension(self, _serverapp: object) -> None:
        self._fault = None
        # Not resolved: in a virtual environment the tt command lies beside the link to Python, not beside Python.
        self._environment.offer_commands(str(Path(sys.executable).parent))
        configured = self.backend_url or self._environment.url
        # A proxy is for the world outside; it cannot reach the loopback interface of this machine.
        self._client = httpx.AsyncClient(
            timeout=self.request_timeout,
            trust_env=bool(configured),
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=20),
        )
        if configured:
            self._use_configured(configured)
        elif self.embedded_backend:
            self._start_embedded()
        else:
            self._fault = NO_BACKEND
            self.log.info("%s", NO_BACKEND)
        if self._url is not None:
            self._upstream = Upstream(
                self._url,
                self._key,
                self._client,
                wait_ready=self._embedded_ready,
                patience=Patience(self.request_timeout, self.answer_timeout),
            )

    async def stop_extension(self) -> None:
        """End the embedded backend and put the environment back. Safe to repeat."""
        await self.scores.close()
        for task in self._following:
            task.cancel()
        if self._following:
            await asyncio.wait(self._following)
        self._upstream = None
        self._environment.restore()
        if self._token_task is not None:
            self._token_task.cancel()
            await asyncio.wait((self._token_task,))
            self._token_task = None
        if self._embedded is not None:
            await self._embedded.stop()
            self._embedded = None
        if self._client is not None:
            await self._client.aclose()
            self._client = None
        self._url, self._fault = None, NOT_STARTED

    @property
    def upstream(self) -> Upstream:
        """The backend as the routes ask it. Raises BackendAway where there is none."""
        if self._upstream is None:
            raise BackendAway(self._fault or NO_BACKEND, retry_after=30)
        return self._upstream

    def redact(self, text: str) -> str:
        """``text`` without the backend's key."""
        return redact(text, self._key())

    def follow(self, task: asyncio.Task[None]) -> None:
        """See to it that a task which serves a browser ends with the extension."""
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    async def backend_status(self) -> BackendStatus:
        """How the backend is doing now. Raises nothing: what is wrong is part of the answer."""
        own = own_version()
        if self._client is None or self._url is None:
            return BackendStatus(False, False, False, None, error=self._fault, extension_version=own)
        embedded = self._embedded
        health = Health(None)
        if embedded is None or embedded.ready:
            health = await check_health(self._client, self._url)
        well = health.fault is None
        status = BackendStatus(
            embedded=False,
            running=well,
            ready=well,
            url=self._url,
            error=self._fault or health.fault,
            version=health.version,
            extension_version=own,
            skew=skew(health.version, own),
        )
        if embedded is None:
            return status
        return replace(
            status,
            embedded=True,
            running=embedded.pid is not None,
            ready=embedded.ready and well,
            restarts=embedded.restarts,
            pid=embedded.pid,
            error=embedded.error or health.fault,
        )

    def _key(self) -> str:
        return self._embedded.key.reveal() if self._embedded is not None else self._environment.api_key

    async def _embedded_ready(self) -> None:
        """Wait briefly for an embedded backend that starts, as on the first use. Raises BackendAway."""
        embedded = self._embedded
        if embedded is None or embedded.ready:
            return
        if embedded.gave_up:
            raise BackendAway(embedded.error or "The embedded backend has ended.", retry_after=30)
        try:
            await asyncio.wait_for(embedded.wait_ready(), START_PATIENCE)
        except TimeoutError:
            raise BackendAway("The embedded backend is not ready yet: try again in a moment.") from None

    def _use_configured(self, url: str) -> None:
        try:
            self._url = checked_url(url)
        except ValueError as error:
            self._fault = str(error)
            self.log.error("%s", error)
            return
        self._environment.export(url=self._url, api_key=self.token)
        self.log.info("Kernels use the TensorTrigger backend at %s.", self._url)
        if self.token_file and not self.token:
            self._export_token_file()
            self._token_task = asyncio.get_running_loop().create_task(self._keep_token_fresh())

    def _start_embedded(self) -> None:
        embedded = EmbeddedBackend(
            self.backend_command, Path(self.data_dir).expanduser(), environ=os.environ, log=self.log
        )
        embedded.start()
        self._embedded = embedded
        self._url = embedded.url
        self._environment.export(url=embedded.url, api_key=embedded.key.reveal())
        self.log.info("Starting a TensorTrigger backend at %s for the kernels.", embedded.url)

    async def _keep_token_fresh(self) -> None:
        while True:
            await asyncio.sleep(self.token_refresh)
            self._export_token_file()

    def _export_token_file(self) -> None:
        path = Path(self.token_file).expanduser()
        token, problem = "", "is empty"
        try:
            token = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
        except UnicodeDecodeError:
            problem = "is not text"
        self._environment.export(api_key=token)
        fault = None if token else f"TensorTriggerApp.token_file {path} {problem}: put an API key into it."
        if fault and fault != self._fault:
            self.log.warning("%s", fault)
        self._fault = fault
