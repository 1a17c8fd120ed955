"""What only blobs on a file system meet: folders that vanish, and a disk that refuses."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tensortrigger_backend.adapters.blobs_local import LocalBlobs
from tensortrigger_backend.domain.errors import Unavailable

Act = Callable[[LocalBlobs, Path], Any]


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    blobs = LocalBlobs(tmp_path / "store", "here")
    blobs.put("a/whole", b"whole")
    return blobs


def test_blobs_can_be_listed_while_their_folders_go(blobs: LocalBlobs, tmp_path: Path) -> None:
    for _ in range(5):
        keys = [f"jobs/{number}/upload" for number in range(200)]
        for key in keys:
            place = tmp_path / "store" / "blobs" / key
            place.parent.mkdir(parents=True)
            place.touch()
        deleting = threading.Thread(target=blobs.delete, args=(keys,))
        deleting.start()
        while deleting.is_alive():
            assert set(blobs.keys("jobs")) <= set(keys)
        deleting.join()
        assert blobs.keys("jobs") == []


def test_nothing_is_below_a_blob(blobs: LocalBlobs) -> None:
    assert blobs.keys("a/whole") == []


def keep(blobs: LocalBlobs, folder: Path) -> None:
    (folder / "made").write_bytes(b"made")
    blobs.keep("a/kept", folder / "made")


@pytest.mark.parametrize(
    "act",
    [
        lambda blobs, _: blobs.writer("a/b"),
        lambda blobs, _: blobs.put("a/b", b"x"),
        lambda blobs, _: blobs.put_new("a/b", b"x"),
        keep,
        lambda blobs, _: blobs.half_written_by(),
        lambda blobs, _: blobs.sweep_incoming(["dead"]),
    ],
)
def test_where_nothing_can_be_written_the_storage_is_unavailable(
    blobs: LocalBlobs, tmp_path: Path, act: Act
) -> None:
    begun = blobs.writer("a/begun")
    incoming = tmp_path / "store" / "incoming"
    incoming.rename(tmp_path / "elsewhere")
    incoming.touch()
    with pytest.raises(Unavailable, match=r"The storage cannot .*: Not a directory\.") as told:
        act(blobs, tmp_path)
    assert told.value.retry_after > 1.0
    begun.write(b"half")
    with pytest.raises(Unavailable):
        begun.commit()
    begun.abort()
    assert blobs.keys("a") == ["a/whole"]


@pytest.mark.parametrize(
    "act",
    [
        lambda blobs, _: blobs.open("a/b"),
        lambda blobs, _: blobs.read("a/b"),
        lambda blobs, folder: blobs.fetch("a/b", folder / "copy"),
        lambda blobs, _: blobs.keys("a/b"),
    ],
)
def test_what_cannot_be_opened_is_unavailable(blobs: LocalBlobs, tmp_path: Path, act: Act) -> None:
    place = tmp_path / "store" / "blobs" / "a" / "b"
    place.symlink_to(place)
    with pytest.raises(Unavailable, match=r"The storage cannot be .*: Too many levels of symbolic links\."):
        act(blobs, tmp_path)
    assert not (tmp_path / "copy").exists()


def test_what_cannot_be_read_is_unavailable(blobs: LocalBlobs, tmp_path: Path) -> None:
    damaged = Path("/proc/self/mem")
    if not damaged.exists():
        pytest.skip("No file here that opens and cannot be read.")
    (tmp_path / "store" / "blobs" / "a" / "b").symlink_to(damaged)
    with pytest.raises(Unavailable, match="The storage cannot be read: Input/output error"):
        blobs.read("a/b")
    with pytest.raises(Unavailable, match="Input/output error"):
        blobs.fetch("a/b", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_what_cannot_be_deleted_is_unavailable(blobs: LocalBlobs) -> None:
    blobs.put("a/b/c", b"x")
    with pytest.raises(Unavailable, match="The storage cannot delete: "):
        blobs.delete(["a/b"])
    assert blobs.keys("a") == ["a/b/c", "a/whole"]


def test_a_file_that_is_not_there_cannot_be_kept(blobs: LocalBlobs, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="What is to be stored cannot be read: No such file or directory"):
        blobs.keep("a/b", tmp_path / "gone")
    assert blobs.half_written_by() == []
