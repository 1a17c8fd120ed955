"""What only S3 can do wrong, through a proxy that breaks connections off: nothing is lost, repeated or mixed."""

from __future__ import annotations

import contextlib
import hashlib
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from botocore.exceptions import ClientError
from services import S3Address

from tensortrigger_backend.adapters.blobs_s3 import S3Blobs
from tensortrigger_backend.domain.errors import NotFound, Unavailable

Cut = Callable[[bytes], bool]

_ERROR = b"<Error><Code>NoSuchUpload</Code><Message>None</Message></Error>"
NO_SUCH_UPLOAD = b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (
    len(_ERROR),
    _ERROR,
)


class CuttingProxy:
    """Passes connections on, and breaks off some answers.

    Attributes:
        cut: told the head of each request, says whether its answer is broken off.
        after: bytes of that answer that pass.
        instead: what is answered in its place, after the server has done what it was asked.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cut: Cut = lambda _: False
        self.after = 0
        self.instead = b""
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


@pytest.fixture
def proxy(s3_server: S3Address) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(int(s3_server.endpoint_url.rpartition(":")[2]))
    yield proxy
    proxy.close()


@pytest.fixture
def blobs(s3_server: S3Address, s3_url: str) -> Iterator[S3Blobs]:
    """Whatever happens, no unfinished upload and no note is left."""
    with contextlib.closing(S3Blobs(s3_url, "here", **s3_server.settings())) as blobs:
        yield blobs
        assert blobs.half_written_by() == []
    bucket, _, folder = s3_url.removeprefix("s3://").partition("/")
    with contextlib.closing(s3_server.client()) as client:
        assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket, Prefix=f"{folder}/")


@pytest.fixture
def through(s3_server: S3Address, s3_url: str, proxy: CuttingProxy) -> Iterator[S3Blobs]:
    """The same store, by way of the proxy."""
    settings = {**s3_server.settings(), "endpoint_url": f"http://127.0.0.1:{proxy.port}"}
    with contextlib.closing(S3Blobs(s3_url, "here", **settings)) as blobs:
        yield blobs


def test_a_body_that_breaks_off_is_read_on_from_there(
    blobs: S3Blobs, through: S3Blobs, proxy: CuttingProxy, tmp_path: Path
) -> None:
    data = random.Random(1).randbytes(9_000_000)
    blobs.put("a/b", data)
    reads: list[Callable[[], bytes]] = [
        lambda: through.read("a/b"),
        lambda: through.read("a/b", 5, 8_000_000),
        lambda: (through.fetch("a/b", tmp_path / "copy"), (tmp_path / "copy").read_bytes())[1],
        lambda: through.open("a/b").read(),
    ]
    wanted = [data, data[5:8_000_005], data, data]
    for read, expected in zip(reads, wanted, strict=True):
        for after, times in ((0, 3), (700, 3), (700_000, 8)):
            proxy.count, proxy.after, proxy.cut = 0, after, first(times, b"GET")
            assert hashlib.sha256(read()).digest() == hashlib.sha256(expected).digest()
            # A window may be smaller than what passes.
            assert proxy.count == times or (after > 200_000 and proxy.count > 0)


def test_a_body_that_breaks_off_again_and_again_is_given_up(
    blobs: S3Blobs, through: S3Blobs, proxy: CuttingProxy, tmp_path: Path
) -> None:
    blobs.put("a/b", b"x" * 3_000_000)
    # The heads arrive, and nothing else.
    proxy.after, proxy.cut = 350, first(1000, b"GET")
    with pytest.raises(Unavailable):
        through.fetch("a/b", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_what_was_written_although_the_answer_was_lost_is_written_once(
    blobs: S3Blobs, through: S3Blobs, proxy: CuttingProxy
) -> None:
    data = random.Random(2).randbytes(9_000_000)
    proxy.cut = first(1, b"PUT")
    through.put("a/small", b"small")
    proxy.cut = first(1, b"PUT")
    assert through.put_new("a/new", b"new") is True
    assert through.put_new("a/new", b"other") is False
    proxy.cut = first(1, b"POST", b"uploadId=")
    through.put("a/large", data)
    # Some servers do not remember what they have completed.
    proxy.cut, proxy.instead = first(1, b"POST", b"uploadId="), NO_SUCH_UPLOAD
    through.put("a/forgotten", data)
    proxy.instead = b""
    proxy.cut = first(2, b"PUT", b"partNumber=")
    through.put("a/parts", data)
    assert proxy.count == 6
    assert blobs.keys("a") == ["a/forgotten", "a/large", "a/new", "a/parts", "a/small"]
    assert blobs.read("a/large") == blobs.read("a/parts") == blobs.read("a/forgotten") == data
    assert blobs.half_written_by() == []


def test_a_blob_that_is_replaced_while_it_is_read_is_not_mixed_with_the_new_one(blobs: S3Blobs) -> None:
    blobs.put("a/b", b"1" * 2_000_000)
    with blobs.open("a/b") as reading:
        assert reading.read(10) == b"1" * 10
        blobs.put("a/b", b"2" * 2_000_000)
        with pytest.raises(Unavailable, match="replaced"):
            reading.read()


def test_a_blob_that_is_deleted_while_it_is_read_is_not_found(blobs: S3Blobs) -> None:
    blobs.put("a/b", b"1" * 2_000_000)
    with blobs.open("a/b") as reading:
        blobs.delete(["a/b"])
        with pytest.raises(NotFound):
            reading.read()


@pytest.mark.parametrize("key", ["a/large", None])
def test_an_upload_that_ends_in_any_way_leaves_nothing_unfinished(
    blobs: S3Blobs, s3_server: S3Address, s3_url: str, key: str | None
) -> None:
    block = b"x" * 9_000_000
    with contextlib.closing(S3Blobs(s3_url, "dead", **s3_server.settings())) as dead:
        swept = dead.writer(key)
        swept.write(block)
        blobs.sweep_incoming(["dead"])
        swept.abort()
    for end in ("abort", "commit"):
        writer = blobs.writer(key)
        writer.write(block)
        getattr(writer, end)(*([] if key or end == "abort" else ["a/large"]))
    assert blobs.keys("a") == ["a/large"]


def test_a_signed_url_takes_one_blob_until_it_expires(blobs: S3Blobs) -> None:
    url, short = blobs.presign("uploads/u1/file", 60), blobs.presign("uploads/u1/late", 1)
    assert url is not None
    assert short is not None
    assert httpx.put(url, content=b"a,b\n1,2\n").status_code == 200
    assert blobs.read("uploads/u1/file") == b"a,b\n1,2\n"
    assert httpx.put(url.replace("u1/file", "u2/file"), content=b"x").status_code == 403
    time.sleep(2.5)
    assert httpx.put(short, content=b"x").status_code == 403
    assert blobs.keys("uploads") == ["uploads/u1/file"]


def test_a_storage_that_is_not_there_is_unavailable(
    s3_server: S3Address, s3_url: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    settings = {**s3_server.settings(), "endpoint_url": f"http://127.0.0.1:{port}"}
    (tmp_path / "file").write_bytes(b"x")
    with contextlib.closing(S3Blobs(s3_url, "here", attempts=1, **settings)) as blobs:
        writer = blobs.writer("a/large")
        for act in (
            lambda: blobs.put("a/b", b"x"),
            lambda: blobs.put_new("a/b", b"x"),
            lambda: blobs.keep("a/b", tmp_path / "file"),
            lambda: blobs.open("a/b"),
            lambda: blobs.read("a/b"),
            lambda: blobs.fetch("a/b", tmp_path / "copy"),
            lambda: blobs.delete(["a/b"]),
            lambda: blobs.keys("a"),
            lambda: blobs.half_written_by(),
            lambda: writer.write(b"x" * 9_000_000),
        ):
            with pytest.raises(Unavailable) as raised:
                act()
            assert raised.value.retry_after > 0
        writer.abort()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_a_bucket_or_a_key_that_is_wrong_is_said_so(s3_server: S3Address) -> None:
    settings = s3_server.settings()
    with contextlib.closing(S3Blobs("s3://no-such-bucket-here", "here", **settings)) as blobs:
        with pytest.raises(Unavailable, match="no bucket 'no-such-bucket-here'"):
            blobs.read("a/b")
        with pytest.raises(Unavailable, match="no bucket"):
            blobs.keys("a")
    wrong = {**settings, "secret_key": "wrong"}
    with (
        contextlib.closing(S3Blobs("s3://bucket", "here", **wrong)) as blobs,
        pytest.raises(Unavailable, match="does not let this server in"),
    ):
        blobs.put("a/b", b"x")


@pytest.mark.parametrize("url", ["s3://", "s3:///folder", "s3://Big_Bucket/x", "http://bucket/x", "bucket"])
def test_a_place_that_is_not_in_s3_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="Not a place in S3"):
        S3Blobs(url, "here", "http://127.0.0.1:1", "us-east-1", "a", "b")


def test_an_upload_without_a_note_is_removed_when_it_is_old(
    s3_server: S3Address, s3_url: str, s3_bucket: str
) -> None:
    folder = s3_url.rpartition("/")[2]
    now = time.time()
    with contextlib.closing(s3_server.client()) as client:

        def begun() -> list[str]:
            listed = client.list_multipart_uploads(Bucket=s3_bucket, Prefix=f"{folder}/")
            return [found["Key"] for found in listed.get("Uploads", ())]

        client.create_multipart_upload(Bucket=s3_bucket, Key=f"{folder}/a/forgotten")
        for later, left in ((0.0, [f"{folder}/a/forgotten"]), (8 * 86_400.0, [])):
            clock = lambda later=later: now + later  # noqa: E731
            with contextlib.closing(S3Blobs(s3_url, "here", clock=clock, **s3_server.settings())) as blobs:
                blobs.sweep_incoming([])
            assert begun() == left


def test_a_small_part_of_memory_holds_a_large_blob(blobs: S3Blobs, tmp_path: Path) -> None:
    """Two parts are under way and one is filled, whatever the size."""
    import tracemalloc

    block = random.Random(5).randbytes(1 << 20)
    writer = blobs.writer("a/large")
    tracemalloc.start()
    try:
        for _ in range(80):
            writer.write(block)
        writer.commit()
        blobs.fetch("a/large", tmp_path / "copy")
        with blobs.open("a/large") as stream:
            while stream.read(1 << 20):
                pass
        assert tracemalloc.get_traced_memory()[1] < 60 << 20
    finally:
        tracemalloc.stop()
    assert (tmp_path / "copy").stat().st_size == 80 << 20


def test_the_server_refuses_what_changed_on_the_way(s3_server: S3Address, s3_bucket: str) -> None:
    """What the promise of whole blobs rests on: a body is held against its checksum where it arrives."""
    with contextlib.closing(s3_server.client()) as client, pytest.raises(ClientError):
        client.put_object(Bucket=s3_bucket, Key="changed", Body=b"body", ChecksumCRC32="AAAAAA==")
