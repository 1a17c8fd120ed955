"""Which variables were assigned last, and how long it may take to find out."""

from __future__ import annotations

import time

import pytest

from tensortrigger_lab.kernel.assigned import newest_first


def test_the_last_assigned_stands_first_and_what_no_cell_assigns_last() -> None:
    cells = ["a = 1\nb: int = 2", "c, d = 3, 4", "a == b", "b = 5"]
    assert newest_first(["x", "a", "b", "c", "d"], cells) == ["b", "c", "d", "a", "x"]


@pytest.mark.parametrize("cell", ["name, " * 3000, "name = other(1) == 2\n" * 900])
def test_a_long_history_is_not_read_to_its_beginning(cell: str) -> None:
    began = time.thread_time()
    assert newest_first(["first", "last"], ["first = 1", *[cell] * 500, "last = 2"]) == ["last", "first"]
    assert time.thread_time() - began < 0.2
