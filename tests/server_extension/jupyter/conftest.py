"""A real Jupyter server with the extension loaded, in this process and with an environment of its own."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
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
)
from pytest_jupyter.pytest_tornasync import http_server, http_server_client, http_server_port  # noqa: F401
from tornado.httpclient import HTTPClientError, HTTPResponse

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

    def fetch(**options: Any) -> HTTPResponse:
        try:
            return run(jp_fetch("tensortrigger-lab", "api", "status", **options))
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
