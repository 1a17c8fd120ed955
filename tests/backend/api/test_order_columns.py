"""Which columns does an order name? Each once, in as many words as the limit allows, and soon."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import pytest

from tensortrigger_backend.api.job_orders import columns_of
from tensortrigger_backend.domain.errors import InvalidInput
from tensortrigger_backend.domain.upload_columns import MAX_COLUMNS

MANY = [f"column_{at}" for at in range(MAX_COLUMNS)]


def test_as_many_columns_as_may_be_are_read_at_once() -> None:
    began = perf_counter()
    assert columns_of(MANY, "keep") == tuple(MANY)
    # Comparing each with each took two seconds, in which nobody was answered.
    assert perf_counter() - began < 0.2


@pytest.mark.parametrize(
    ("names", "told", "got"),
    [
        ([*MANY[1:], "column_7"], "keep must name each column once.", "column_7"),
        (["a", "", "b"], "keep must name each column once.", ""),
        ([*MANY, "one more"], "keep must name 10000 columns at most.", "10001"),
        (["a", 3], "keep must name columns.", "['a', 3]"),
    ],
)
def test_what_is_wrong_with_the_columns_is_named(names: list[Any], told: str, got: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        columns_of(names, "keep")
    (fault,) = refused.value.faults
    assert (fault.loc, fault.message, fault.got) == (("keep",), told, got)
