"""What only S3 can do wrong, through a proxy that breaks connections off: nothing is lost, repeated or mixed."""

from __future__ import annotations

import contextlib
import hashlib
import random
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from botocore.exceptions import ClientError
from cutting_proxy import CuttingProxy, failure, first
from services import S3Address

from tensortrigger_backend.adapters.blobs_s3 import S3Blobs
from tensortrigger_backend.domain.errors import NotFound, Unavailable

LARGE = random.Random(3).randbytes(18_000_000)
"""Three parts."""
UPLOAD_PART, COMPLETE = (b"PUT", b"partNumber=2"), (b"POST", b"uploadId=")
"""Methods of requests, and what is in their paths."""


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


@pytest.fixture
def impatient(s3_server: S3Address, s3_url: str, proxy: CuttingProxy) -> Iterator[S3Blobs]:
    """As ``through``, and it tries everything twice only."""
    settings = {**s3_server.settings(), "endpoint_url": f"http://127.0.0.1:{proxy.port}"}
    with contextlib.closing(S3Blobs(s3_url, "here", attempts=2, **settings)) as blobs:
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
    proxy.cut = first(1, *COMPLETE)
    through.put("a/large", data)
    # Some servers do not remember what they have completed.
    proxy.cut, proxy.instead = first(1, *COMPLETE), failure("404 Not Found", "NoSuchUpload")
    through.put("a/forgotten", data)
    proxy.instead = b""
    proxy.cut = first(2, b"PUT", b"partNumber=")
    through.put("a/parts", data)
    assert proxy.count == 6
    assert blobs.keys("a") == ["a/forgotten", "a/large", "a/new", "a/parts", "a/small"]
    assert blobs.read("a/large") == blobs.read("a/parts") == blobs.read("a/forgotten") == data
    assert blobs.half_written_by() == []


@pytest.mark.parametrize("refusing", [True, False], ids=["refused", "done all the same"])
@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (UPLOAD_PART, "500 Internal Server Error", "InternalError"),
        (UPLOAD_PART, "503 Slow Down", "SlowDown"),
        (COMPLETE, "500 Internal Server Error", "InternalError"),
        (COMPLETE, "503 Slow Down", "SlowDown"),
        # It may say so when it has begun to answer.
        (COMPLETE, "200 OK", "InternalError"),
    ],
    ids=["part 500", "part 503", "completion 500", "completion 503", "completion 200"],
)
def test_a_request_of_a_large_upload_that_fails_is_sent_again_and_its_bytes_are_there_once(
    blobs: S3Blobs,
    through: S3Blobs,
    proxy: CuttingProxy,
    request_: tuple[bytes, bytes],
    status: str,
    code: str,
    refusing: bool,
) -> None:
    proxy.cut, proxy.instead, proxy.refusing = first(1, *request_), failure(status, code), refusing
    through.put("a/large", LARGE)
    assert proxy.count == 1
    assert blobs.keys("a") == ["a/large"]
    assert blobs.read("a/large") == LARGE


@pytest.mark.parametrize("request_", [UPLOAD_PART, COMPLETE], ids=["part", "completion"])
@pytest.mark.parametrize("refusing", [True, False], ids=["refused", "done all the same"])
def test_a_large_upload_that_fails_again_and_again_is_there_if_it_was_completed_and_leaves_nothing_else(
    blobs: S3Blobs, impatient: S3Blobs, proxy: CuttingProxy, request_: tuple[bytes, bytes], refusing: bool
) -> None:
    proxy.cut, proxy.instead = first(1000, *request_), failure("500 Internal Server Error", "InternalError")
    proxy.refusing = refusing
    if request_ == COMPLETE and not refusing:
        # Nobody ever said that it was done, but it was.
        impatient.put("a/large", LARGE)
        assert blobs.read("a/large") == LARGE
    else:
        with pytest.raises(Unavailable, match="InternalError"):
            impatient.put("a/large", LARGE)
        assert blobs.keys("a") == []
    assert proxy.count == 2


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
