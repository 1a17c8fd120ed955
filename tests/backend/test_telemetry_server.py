"""Processes without another HTTP face tell their numbers, whichever address family they listen on."""

from __future__ import annotations

import contextlib
import socket

import httpx
import pytest

from tensortrigger_backend.telemetry import Metrics
from tensortrigger_backend.telemetry_server import TelemetryServer


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


@pytest.mark.parametrize(
    ("host", "written"),
    [
        ("127.0.0.1", "127.0.0.1"),
        pytest.param("::1", "[::1]", marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")),
    ],
)
def test_metrics_and_health_answer_at_the_url_that_is_printed(host: str, written: str) -> None:
    with contextlib.closing(TelemetryServer(host, 0, Metrics())) as server:
        server.start()
        assert server.url.startswith(f"http://{written}:")
        assert "tensortrigger_partitions_in_work 0.0" in httpx.get(f"{server.url}/metrics").text
        assert httpx.get(f"{server.url}/health").json()["status"] == "ok"
        assert httpx.get(f"{server.url}/else").status_code == 404
