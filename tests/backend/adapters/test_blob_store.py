"""The promises of ``BlobStore``, whoever keeps them."""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tensortrigger_backend.domain.errors import NotFound, Unavailable
from tensortrigger_backend.ports.storage import BlobStore


def test_a_blob_appears_with_its_commit_and_whole(blobs: BlobStore) -> None:
    writer = blobs.writer("models/m1/source")
    writer.write(b"one")
    writer.write(b"two")
    assert blobs.keys("models") == []
    with pytest.raises(NotFound):
        blobs.read("models/m1/source")
    assert (writer.size, writer.sha256) == (6, hashlib.sha256(b"onetwo").hexdigest())
    writer.commit()
    writer.abort()
    assert blobs.read("models/m1/source") == b"onetwo"
    assert blobs.keys("models") == ["models/m1/source"]


def test_a_writer_that_need_not_know_its_hash_writes_the_same_and_says_so(blobs: BlobStore) -> None:
    writer = blobs.writer("jobs/j1/upload", hashed=False)
    writer.write(b"some ")
    writer.write(b"rows")
    with pytest.raises(ValueError, match="without a hash"):
        assert writer.sha256
    writer.commit()
    assert writer.size == 9
    assert blobs.read("jobs/j1/upload") == b"some rows"


def test_a_blob_may_get_its_key_when_all_its_bytes_are_known(blobs: BlobStore) -> None:
    for _ in range(2):
        writer = blobs.writer()
        writer.write(b"same bytes")
        key = f"content/{writer.sha256}"
        writer.commit(key)
        writer.abort()
        assert blobs.keys("content") == [key]
        assert blobs.read(key) == b"same bytes"
    for wrong in (None, "../escaped"):
        writer = blobs.writer()
        with pytest.raises(ValueError, match="key"):
            writer.commit(wrong)
        writer.abort()
    assert blobs.keys("content") == [key]
    assert blobs.half_written_by() == []


def test_keys_can_be_told_by_when_they_were_written(blobs: BlobStore) -> None:
    blobs.put("a/old", b"x")
    written = time.time()
    assert blobs.keys("a", written + 5) == ["a/old"]
    assert blobs.keys("a", written - 3600) == []


def test_a_file_is_kept_as_it_is_and_stays_with_its_owner(blobs: BlobStore, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.write_bytes(b"block" * 500_000)
    assert blobs.keep("models/m1/servable", made) == (
        hashlib.sha256(made.read_bytes()).hexdigest(),
        2_500_000,
    )
    assert blobs.read("models/m1/servable") == made.read_bytes()


@pytest.mark.parametrize("key", ["jobs/j1/upload", None])
@pytest.mark.parametrize("size", [100_000, 20_000_000])
def test_an_aborted_blob_leaves_nothing(blobs: BlobStore, tmp_path: Path, size: int, key: str | None) -> None:
    writer = blobs.writer(key)
    writer.write(b"x" * size)
    writer.abort()
    writer.abort()
    assert blobs.keys("jobs") == []
    assert blobs.half_written_by() == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_part_of_a_blob_can_be_read(blobs: BlobStore) -> None:
    blobs.put("a/b", bytes(range(100)))
    assert blobs.read("a/b", 10, 5) == bytes(range(10, 15))
    assert blobs.read("a/b", 95) == bytes(range(95, 100))
    assert blobs.read("a/b", 95, 50) == bytes(range(95, 100))
    assert blobs.read("a/b", 200, 5) == b""
    assert blobs.read("a/b", 5, 0) == b""


def test_the_same_key_again_replaces_the_blob_whole(blobs: BlobStore) -> None:
    blobs.put("a/b", b"a long first version")
    with blobs.open("a/b") as reading:
        assert reading.read(6) == b"a long"
        blobs.put("a/b", b"short")
        # Who has it open goes on reading what he opened.
        assert reading.read() == b" first version"
    assert blobs.read("a/b") == b"short"


def test_many_writers_of_one_key_leave_one_whole_blob(
    blobs: BlobStore, at_once: Callable[[Callable[[int], Any]], Sequence[Any]]
) -> None:
    contents = [bytes([thread]) * (10_000 + thread) for thread in range(8)]
    at_once(lambda thread: blobs.put("a/b", contents[thread]))
    assert blobs.read("a/b") in contents


def test_an_empty_blob_is_a_blob(blobs: BlobStore) -> None:
    blobs.put("a/empty", b"")
    assert blobs.read("a/empty") == b""
    assert blobs.keys("a") == ["a/empty"]


def test_a_copy_is_fetched(blobs: BlobStore, tmp_path: Path) -> None:
    blobs.put("a/b", b"content")
    blobs.fetch("a/b", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"content"
    with pytest.raises(NotFound):
        blobs.fetch("a/c", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_copy_for_which_there_is_no_room_is_told_and_does_not_stay(
    blobs: BlobStore, tmp_path: Path
) -> None:
    blobs.put("a/b", b"content")
    copy = tmp_path / "copy"
    copy.symlink_to("/dev/full")
    with pytest.raises(Unavailable, match="No copy can be made: No space left on device"):
        blobs.fetch("a/b", copy)
    assert not copy.is_symlink()


def test_what_is_not_there_is_not_found(blobs: BlobStore) -> None:
    with pytest.raises(NotFound):
        blobs.open("a/b")
    with pytest.raises(NotFound):
        blobs.read("a/b", 5, 5)


def test_deleting_is_safe_to_repeat(blobs: BlobStore) -> None:
    blobs.put("a/b/1", b"1")
    blobs.put("a/b/2", b"2")
    blobs.delete(["a/b/1", "a/b/missing", "nowhere/at/all"])
    assert blobs.keys("a") == ["a/b/2"]
    blobs.delete(["a/b/2"])
    blobs.delete(["a/b/2"])
    assert blobs.keys("a") == []
    blobs.put("a/b/1", b"again")
    assert blobs.read("a/b/1") == b"again"


def test_keys_below_a_prefix_come_sorted(blobs: BlobStore) -> None:
    for key in (
        "jobs/j1/parts/2",
        "jobs/j1/parts/10",
        "jobs/j1/upload",
        "jobs/j10/parts/1",
        "models/m/source",
    ):
        blobs.put(key, b"x")
    assert blobs.keys("jobs/j1/parts") == ["jobs/j1/parts/10", "jobs/j1/parts/2"]
    assert blobs.keys("jobs/j1") == ["jobs/j1/parts/10", "jobs/j1/parts/2", "jobs/j1/upload"]
    assert blobs.keys("nothing") == []


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        "..",
        "../a",
        "a/../b",
        "a/..",
        ".",
        "a/./b",
        ".hidden",
        "a\\b",
        "a/..\\b",
        "a\0",
    ],
)
def test_a_key_that_could_leave_its_folder_is_refused(blobs: BlobStore, key: str) -> None:
    for act in (
        lambda: blobs.writer(key),
        lambda: blobs.put(key, b"x"),
        lambda: blobs.open(key),
        lambda: blobs.read(key),
        lambda: blobs.delete([key]),
        lambda: blobs.keys(key),
    ):
        with pytest.raises(ValueError, match="not a blob key"):
            act()


def test_a_refused_key_opens_no_file(blobs: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a blob key"):
        blobs.put("../escaped", b"x")
    assert blobs.half_written_by() == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_writing_what_others_delete_at_once_always_succeeds(blobs: BlobStore) -> None:
    over = threading.Event()

    def delete() -> None:
        while not over.is_set():
            blobs.delete(["alone/blob"])

    threads = [threading.Thread(target=delete) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(50):
            blobs.put("alone/blob", b"x")
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_writing_beside_a_deletion_in_the_same_folder_always_succeeds(blobs: BlobStore) -> None:
    stop = threading.Event()

    def delete() -> None:
        while not stop.is_set():
            blobs.delete(["jobs/j/parts/other"])

    thread = threading.Thread(target=delete)
    thread.start()
    try:
        for _ in range(60):
            blobs.put("jobs/j/parts/mine", b"x")
            assert blobs.read("jobs/j/parts/mine") == b"x"
            blobs.delete(["jobs/j/parts/mine"])
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("size", [4, 9_000_000])
@pytest.mark.parametrize("key", ["a/left", None])
def test_what_a_dead_process_left_half_written_is_swept_and_nothing_else(
    new_blobs: Callable[[str], BlobStore], key: str | None, size: int
) -> None:
    dead, alive = new_blobs("host.example-1-dead"), new_blobs("host.example-1-alive")
    left, fresh = dead.writer(key), alive.writer("a/fresh")
    left.write(b"h" * size)
    fresh.write(b"h" * size)
    dead.put("a/whole", b"whole")
    # Small ones are in memory where the store is not on this machine, and there is nothing to sweep.
    authors = alive.half_written_by()
    assert authors in ([], ["host.example-1-alive", "host.example-1-dead"])
    assert authors or size == 4
    alive.sweep_incoming(["host.example-1-dead", "unknown"])
    assert alive.half_written_by() == [name for name in authors if "alive" in name]
    fresh.commit()
    left.abort()
    assert alive.half_written_by() == []
    assert alive.keys("a") == ["a/fresh", "a/whole"]


def test_what_was_swept_can_not_be_committed_any_more(new_blobs: Callable[[str], BlobStore]) -> None:
    dead, alive = new_blobs("dead"), new_blobs("alive")
    left = dead.writer("a/left")
    left.write(b"h" * 9_000_000)
    alive.sweep_incoming(["dead"])
    with pytest.raises(Unavailable):
        left.commit()
    left.abort()
    assert alive.keys("a") == []
    assert alive.half_written_by() == []


@pytest.mark.parametrize("key", ["a/large", None])
def test_a_large_blob_arrives_as_it_was_sent(blobs: BlobStore, tmp_path: Path, key: str | None) -> None:
    block = random.Random(4).randbytes(1_300_007)
    data = block * 16
    writer = blobs.writer(key)
    for _ in range(16):
        writer.write(block)
    assert blobs.keys("a") == []
    assert (writer.size, writer.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    writer.commit(None if key else "a/large")
    writer.abort()
    assert blobs.keys("a") == ["a/large"]
    assert blobs.half_written_by() == []
    assert blobs.read("a/large") == data
    assert blobs.read("a/large", 8_388_600, 20) == data[8_388_600:8_388_620]
    blobs.fetch("a/large", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data
    with blobs.open("a/large") as stream:
        assert hashlib.file_digest(stream, "sha256").hexdigest() == writer.sha256


@pytest.mark.parametrize("size", [8 << 20, (8 << 20) + 1, 16 << 20])
def test_a_blob_may_end_where_a_part_of_it_does(blobs: BlobStore, size: int) -> None:
    data = random.Random(size).randbytes(size)
    blobs.put("a/even", data)
    assert blobs.read("a/even") == data


def test_an_open_blob_can_be_read_at_any_place(blobs: BlobStore) -> None:
    data = random.Random(3).randbytes(3_000_000)
    blobs.put("a/b", data)
    with blobs.open("a/b") as stream:
        assert stream.seekable()
        for offset in (
            0,
            5,
            2_999_990,
            2_000_000,
            262_140,
            1_500_000,
            1_500_100,
            100,
            2_999_999,
            3_000_000,
            9_000_000,
        ):
            assert stream.seek(offset) == offset
            assert stream.tell() == offset
            assert stream.read(1000) == data[offset : offset + 1000]
        assert stream.seek(-10, os.SEEK_END) == 2_999_990
        assert stream.read() == data[-10:]
        stream.seek(-4, os.SEEK_CUR)
        assert stream.read(2) == data[-4:-2]
        stream.seek(7)
        assert stream.read() == data[7:]


def test_an_archive_and_a_table_are_read_from_where_they_lie(blobs: BlobStore, tmp_path: Path) -> None:
    noise = random.Random(2).randbytes(700_000)
    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        for name in ("one", "two", "three"):
            archive.writestr(name, name.encode() + noise)
    blobs.keep("a/archive", tmp_path / "archive")
    with blobs.open("a/archive") as stream, zipfile.ZipFile(stream) as archive:
        assert archive.read("two") == b"two" + noise
        assert archive.testzip() is None
    table = pa.table({"x": np.random.default_rng(1).random(300_000), "y": np.arange(300_000)})
    pq.write_table(table, tmp_path / "table", row_group_size=10_000)
    blobs.keep("a/table", tmp_path / "table")
    with blobs.open("a/table") as stream:
        assert pq.ParquetFile(stream).read_row_group(17).equals(table.slice(170_000, 10_000))


def test_of_many_that_write_a_new_blob_one_does(
    blobs: BlobStore, at_once: Callable[[Callable[[int], Any]], Sequence[Any]]
) -> None:
    for key in ("a/1", "a/2", "a/3"):
        won = at_once(lambda thread, key=key: blobs.put_new(key, bytes([thread]) * 1000))
        assert sorted(won) == [False] * 7 + [True]
        assert blobs.read(key) == bytes([won.index(True)]) * 1000
    assert blobs.put_new("a/1", b"late") is False
    assert blobs.half_written_by() == []


def test_blobs_are_deleted_and_listed_beyond_one_page(
    blobs: BlobStore, at_once: Callable[[Callable[[int], Any]], Sequence[Any]]
) -> None:
    keys = sorted(f"many/{number % 7}/{number}" for number in range(1100))
    at_once(lambda thread: [blobs.put(key, b"x") for key in keys[thread::8]])
    assert blobs.keys("many") == keys
    blobs.delete(keys[1:])
    assert blobs.keys("many") == keys[:1]


def test_the_name_of_a_blob_may_begin_like_another_ones(blobs: BlobStore) -> None:
    names = ["a/b", "a/b c", "a/b+c", "a/b%20c", "a/b-c", "a/b.c", "a/bé", "a/b=c&d", "a/b?c#d"]
    for name in names:
        blobs.put(name, name.encode())
    assert blobs.keys("a") == sorted(names)
    assert [blobs.read(name) for name in names] == [name.encode() for name in names]
    blobs.delete(names)
    assert blobs.keys("a") == []
