"""Stands before a server and breaks off its answers, or gives others."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

Cut = Callable[[bytes], bool]


def failure(status: str, code: str) -> bytes:
    """An answer of a server that fails."""
    told = f"<Error><Code>{code}</Code><Message>A fault of the test.</Message></Error>"
    return f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {len(told)}\r\n\r\n{told}".encode()


class CuttingProxy:
    """Passes connections on, and breaks off some answers.

    Attributes:
        cut: told the head of each request, says whether its answer is broken off.
        after: bytes of that answer that pass.
        instead: what is answered in its place, after the server has done what it was asked.
        refusing: the server is not asked.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cut: Cut = lambda _: False
        self.after = 0
        self.instead = b""
        self.refusing = False
        self.count = 0
        self._open: list[socket.socket] = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                self._open += [client, server]
                left: list[int | None] = [None]
                for act in (self._up, self._down):
                    thread = threading.Thread(target=act, args=(client, server, left))
                    self._threads.append(thread)
                    thread.start()

    def _up(self, client: socket.socket, server: socket.socket, left: list[int | None]) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                if data[:5] in {b"GET /", b"PUT /", b"POST ", b"HEAD "} and self.cut(data):
                    self.count += 1
                    left[0] = self.after
                    if self.refusing:
                        client.sendall(self.instead)
                        while client.recv(1 << 16):
                            pass
                        break
                server.sendall(data)
        end(server)

    def _down(self, client: socket.socket, server: socket.socket, left: list[int | None]) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                # A server that is ready for a body has done nothing yet.
                if left[0] is not None and not data.startswith(b"HTTP/1.1 100"):
                    client.sendall(self.instead)
                    client.sendall(data[: left[0]])
                    left[0] -= len(data)
                    if left[0] <= 0:
                        break
                else:
                    client.sendall(data)
        end(client)

    def close(self) -> None:
        for one in self._open:
            end(one)
        for thread in self._threads:
            thread.join()
        for one in self._open:
            one.close()


def end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def first(count: int, method: bytes, within: bytes = b"") -> Cut:
    """The first requests of this kind."""
    left = [count]

    def cut(head: bytes) -> bool:
        line = head.partition(b"\r\n")[0]
        if not line.startswith(method) or within not in line or not left[0]:
            return False
        left[0] -= 1
        return True

    return cut
