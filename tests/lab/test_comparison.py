"""When two answers are equal."""

from __future__ import annotations

import numpy as np
import pytest

from tensortrigger_lab.comparison import compare, in_order

ONE = np.array([[1.0], [2.0]])


@pytest.mark.parametrize(
    ("difference", "equal"), [(0.0, True), (1.0e-5, True), (1.09e-4, True), (1.2e-4, False), (-1.2e-4, False)]
)
def test_the_tolerance_is_1e5_plus_1e4_of_the_value(difference: float, equal: bool) -> None:
    assert compare([np.array([1.0 + difference])], [np.array([1.0])], 1).equal is equal


def test_the_largest_difference_of_all_outputs_is_told() -> None:
    check = compare([ONE + 0.5, ONE], [ONE, ONE], 2)
    assert (check.equal, check.largest_difference) == (False, 0.5)


def test_what_is_not_finite_equals_what_is_not_finite_only() -> None:
    blank = np.array([np.nan])
    assert compare([blank], [np.array([np.inf])], 1).equal
    assert compare([blank], [np.array([1.0])], 1).equal is False
    assert compare([np.array([1.0])], [blank], 1).largest_difference == float("inf")


def test_another_shape_or_number_of_outputs_is_not_equal() -> None:
    assert compare([ONE], [ONE.T], 2).equal is False
    assert compare([ONE], [ONE, ONE], 2).equal is False


def test_outputs_are_paired_by_name_where_names_agree_else_by_order() -> None:
    named = {"b": ONE, "a": ONE + 1}
    assert in_order(named, ("a", "b"))[0] is named["a"]
    assert in_order(named, ("y", "z"))[0] is named["b"]
    assert len(in_order([ONE, ONE], ())) == 2
    assert in_order(ONE, ())[0] is ONE
