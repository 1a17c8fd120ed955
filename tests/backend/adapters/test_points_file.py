"""The points of a training on a disk that refuses them: is it told, and does nothing stay?"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tensortrigger_backend.adapters.points_file import NpzPoints, read_points
from tensortrigger_backend.domain.errors import Unavailable

ROWS = np.ones((100_000, 2), np.float32)


@contextmanager
def full() -> Iterator[None]:
    """No file can grow, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def no_more_files(left: int) -> Iterator[None]:
    """Only so many more can be opened."""
    with Path("/dev/null").open("rb") as free:
        first = free.fileno()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (first + left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_disk_that_is_full_when_points_come_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    writer = NpzPoints().writer(tmp_path)
    with full():
        with pytest.raises(Unavailable, match="The points cannot be written: ") as told:
            writer.add(ROWS, ROWS)
        writer.close()
        writer.close()
    assert told.value.retry_after >= 1.0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rows", [2, len(ROWS)])
def test_a_disk_that_is_full_when_all_have_come_is_told_and_leaves_nothing(tmp_path: Path, rows: int) -> None:
    writer = NpzPoints().writer(tmp_path)
    writer.add(ROWS[:rows], ROWS[:rows])
    with full():
        # A few rows have waited in memory until now.
        with pytest.raises(Unavailable, match="The points cannot be written: "):
            writer.finish()
        writer.close()
    assert list(tmp_path.iterdir()) == []


def test_points_that_nobody_wants_any_more_go_from_a_full_disk(tmp_path: Path) -> None:
    writer = NpzPoints().writer(tmp_path)
    writer.add(ROWS[:2], ROWS[:2])
    with full():
        writer.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left", [0, 1])
def test_where_no_file_can_be_opened_it_is_told(tmp_path: Path, left: int) -> None:
    with no_more_files(left), pytest.raises(Unavailable, match="Too many open files"):
        NpzPoints().writer(tmp_path)
    with pytest.raises(Unavailable, match="No such file or directory"):
        NpzPoints().writer(tmp_path / "gone")


def test_with_room_they_can_be_read_again(tmp_path: Path) -> None:
    writer = NpzPoints().writer(tmp_path)
    writer.add(ROWS[:2], 2 * ROWS[:2])
    writer.add(ROWS[:1], 3 * ROWS[:1])
    (inputs,), (targets,) = read_points(writer.finish())
    assert (inputs.shape, targets[:, 0].tolist()) == ((3, 2), [2, 2, 3])
    writer.close()
    assert list(tmp_path.iterdir()) == []
