"""Stands between a deployment and its S3, and breaks some of the answers."""

from __future__ import annotations

import contextlib
import http.client
import random
import re
import threading
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "proxy-connection"}
FAULTS = ("refused", "done_but_failed", "cut")
OF_LARGE_BLOBS = ("part", "complete", "read")
"""Requests that no small blob causes: a part of an upload, its end, and a read of a range of over 8 MiB."""
LARGE = 8 << 20
RANGE = re.compile(r"bytes=(\d+)-(\d+)")


def kind_of(method: str, path: str, headers: Mapping[str, str]) -> str:
    """Which of ``OF_LARGE_BLOBS`` it is; nothing for all others."""
    if "uploadId" in parse_qs(urlsplit(path).query):
        return {"PUT": "part", "POST": "complete"}.get(method, "")
    asked = RANGE.fullmatch(headers.get("Range", ""))
    return "read" if method == "GET" and asked and int(asked[2]) - int(asked[1]) >= LARGE else ""


class FaultyS3:
    """Passes requests on, unchanged; ``share`` of them meet one of three faults.

    ``refused``: 503 and nothing was done. ``done_but_failed``: it was done, and the answer is 500. ``cut``: it was
    done, and the connection ends after half of the answer's body, or without an answer where that has none.

    Attributes:
        share: of requests to break, 0 to 1; may be changed at any time.
        due: faults that the next requests of a kind meet whatever the share is, each request one of them at most.
        broken: how often each fault was met.
    """

    def __init__(self, host: str, port: int, seed: int = 7) -> None:
        self._upstream = (host, port)
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self.share = 0.0
        self.due: dict[str, list[str]] = {}
        self._met: set[str] = set()
        self.broken: Counter[str] = Counter()
        self.passed = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fate(self, method: str, path: str, headers: Mapping[str, str]) -> str:
        """What happens to this request."""
        due = self.due.get(kind_of(method, path, headers))
        request = f"{method} {path} {headers.get('Range', '')}"
        with self._lock:
            if due and request not in self._met:
                # It comes again: what is due is for others.
                self._met.add(request)
                fault = due.pop(0)
            elif self._chance.random() < self.share:
                fault = self._chance.choice(FAULTS)
            else:
                self.passed += 1
                return "passed"
            self.broken[fault] += 1
            return fault

    def forward(self, method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> Any:
        """The upstream's answer: status, headers, body."""
        connection = http.client.HTTPConnection(*self._upstream, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                if name.lower() not in HOP_BY_HOP:
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle(self) -> None:
                # Whoever asked was killed meanwhile.
                with contextlib.suppress(ConnectionError):
                    super().handle()

            def pass_on(self) -> None:
                body = self._body()
                fate = proxy.fate(self.command, self.path, dict(self.headers.items()))
                if fate == "refused":
                    self._fail(503, "SlowDown")
                    return
                try:
                    status, headers, data = proxy.forward(self.command, self.path, self.headers.items(), body)
                except (OSError, http.client.HTTPException):
                    self._fail(502, "InternalError")
                    return
                if fate == "done_but_failed":
                    self._fail(500, "InternalError")
                    return
                if fate == "cut" and not data:
                    self.close_connection = True
                    return
                self.send_response_only(status)
                for name, value in headers:
                    if name.lower() not in HOP_BY_HOP | {"content-length"}:
                        self.send_header(name, value)
                bare = self.command == "HEAD"
                length = next((value for name, value in headers if name.lower() == "content-length"), "0")
                self.send_header("Content-Length", length if bare else str(len(data)))
                self.end_headers()
                if fate == "cut":
                    self.close_connection = True
                    data = data[: len(data) // 2]
                if not bare:
                    self.wfile.write(data)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = pass_on  # noqa: N815

            def _body(self) -> bytes:
                if "chunked" in self.headers.get("Transfer-Encoding", ""):
                    chunks = []
                    while size := int(self.rfile.readline().split(b";")[0], 16):
                        chunks.append(self.rfile.read(size))
                        self.rfile.readline()
                    self.rfile.readline()
                    return b"".join(chunks)
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))

            def _fail(self, status: int, code: str) -> None:
                told = f"<Error><Code>{code}</Code><Message>A fault of the test.</Message></Error>".encode()
                self.send_response_only(status)
                self.send_header("Content-Type", "application/xml")
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(told)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        return Handler
