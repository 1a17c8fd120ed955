"""The promises of ``BlobStore``, whoever keeps them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tensortrigger_backend.adapters.blobs_local import LocalBlobs
from tensortrigger_backend.domain.errors import NotFound
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


def test_a_file_is_kept_as_it_is_and_stays_with_its_owner(blobs: BlobStore, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.write_bytes(b"block" * 500_000)
    assert blobs.keep("models/m1/servable", made) == (
        hashlib.sha256(made.read_bytes()).hexdigest(),
        2_500_000,
    )
    assert blobs.read("models/m1/servable") == made.read_bytes()


def test_an_aborted_blob_leaves_nothing(blobs: BlobStore, tmp_path: Path) -> None:
    writer = blobs.writer("jobs/j1/upload")
    writer.write(b"x" * 100_000)
    writer.abort()
    writer.abort()
    assert blobs.keys("jobs") == []
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
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


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


def test_what_a_dead_process_left_half_written_is_swept_and_nothing_else(tmp_path: Path) -> None:
    dead, alive = LocalBlobs(tmp_path, "dead"), LocalBlobs(tmp_path, "alive")
    left, fresh = dead.writer("a/left"), alive.writer("a/fresh")
    left.write(b"half")
    fresh.write(b"half")
    dead.put("a/whole", b"whole")
    assert alive.half_written_by() == ["alive", "dead"]
    alive.sweep_incoming(["dead", "unknown"])
    assert alive.half_written_by() == ["alive"]
    fresh.commit()
    left.abort()
    assert alive.half_written_by() == []
    assert alive.keys("a") == ["a/fresh", "a/whole"]
