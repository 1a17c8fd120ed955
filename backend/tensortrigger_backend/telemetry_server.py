"""``/metrics`` and ``/health`` of a process that has no other HTTP face."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tensortrigger_backend import __version__
from tensortrigger_backend.telemetry import Metrics

TEXT = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' own format."""


class TelemetryServer:
    """Listens at once, and answers once it is started. It tells nothing of anybody's data and asks for no key."""

    def __init__(self, host: str, port: int, metrics: Metrics) -> None:
        def answer(path: str) -> tuple[int, str, bytes]:
            if path == "/metrics":
                return 200, TEXT, metrics.exposed()
            if path == "/health":
                return 200, "application/json", json.dumps({"status": "ok", "version": __version__}).encode()
            return 404, "text/plain; charset=utf-8", b"There are /metrics and /health here.\n"

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                status, kind, body = answer(self.path.partition("?")[0])
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - http.server's name
                """Say nothing of each scrape."""

        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
            daemon_threads = True

        self._server = Server((host, port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="telemetry", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._server.socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop. Safe to repeat."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(timeout=5)
        self._server.server_close()
