"""A receipt's hashes are the same everywhere, and a disagreement is told with its place and likely cause."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tensortrigger_backend.domain.agreement import FAULT_LIMIT, compare, likely_cause
from tensortrigger_backend.domain.receipts import (
    EngineCheck,
    Example,
    Receipt,
    ReceiptSource,
    canonical_json_sha256,
    tensors_sha256,
)

Tensors = Mapping[str, npt.NDArray[Any]]


def number(value: int) -> bytes:
    return struct.pack("<Q", value)


def text(value: str) -> bytes:
    return number(len(value.encode())) + value.encode()


def test_the_hash_of_tensors_can_be_recomputed_from_its_description() -> None:
    tensors = {
        "y": np.array([[1.5, -2.0]], np.float32),
        "a": np.array([["Zürich", ""]], dtype=object),
        "flag": np.array([True, False]),
    }
    told = text("a") + text("string") + number(2) + number(1) + number(2) + text("Zürich") + text("")
    told += text("flag") + text("bool") + number(1) + number(2) + b"\x01\x00"
    told += text("y") + text("float32") + number(2) + number(1) + number(2) + struct.pack("<ff", 1.5, -2.0)
    assert tensors_sha256(tensors) == hashlib.sha256(told).hexdigest()


def test_hashes_stay_what_they_are_for_ever() -> None:
    numbers = {"x": np.arange(6, dtype=np.int64).reshape(2, 3)}
    assert tensors_sha256(numbers) == "d1acd012825532aaa92da6ae61423a0a41176c05e464b7886958e4019f114d90"
    words = {"words": np.array([["a"], ["b"]])}
    assert tensors_sha256(words) == "032b8b2b9888eba793e1e6201be5b52332073689caad70621f7d6c493d7f90a6"
    assert (
        canonical_json_sha256({"b": 1.5, "a": ["é"]})
        == hashlib.sha256(b'{"a":["\\u00e9"],"b":1.5}').hexdigest()
    )


def test_the_hash_does_not_depend_on_memory_layout_or_kind_of_text() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    same = [values, np.asfortranarray(values), values.astype(">f4"), np.repeat(values, 2, axis=0)[::2]]
    assert len({tensors_sha256({"x": array}) for array in same}) == 1
    words = [np.array(["ab", "ü"]), np.array(["ab", "ü"], object), np.array([b"ab", "ü".encode()], object)]
    assert len({tensors_sha256({"x": array}) for array in words}) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"x": np.zeros((3, 2), np.float32)},
        {"x": np.zeros((2, 3), np.float64)},
        {"z": np.zeros((2, 3), np.float32)},
        {"x": np.zeros((2, 3), np.float32), "y": np.zeros(0, np.float32)},
        {"x": np.full((2, 3), np.nan, np.float32)},
    ],
)
def test_the_hash_tells_shape_dtype_name_and_values(other: Tensors) -> None:
    assert tensors_sha256({"x": np.zeros((2, 3), np.float32)}) != tensors_sha256(other)


def a_receipt(**members: Any) -> Receipt:
    first = EngineCheck("1.20.0", "2026-01-01T00:00:00.000Z", 1e-7, True)
    return Receipt(
        "m1",
        ReceiptSource.CLIENT,
        2,
        "1" * 64,
        "2" * 64,
        1e-7,
        "onnxruntime",
        "1.20.0",
        "2026-01-01T00:00:00.000Z",
        checks=(first,),
    )


def test_later_checks_do_not_change_a_receipt() -> None:
    receipt = a_receipt()
    later = receipt.with_check(EngineCheck("1.21.0", "2026-01-02T00:00:00.000Z", None, False))
    assert later.sha256 == receipt.sha256
    assert later.check_on("1.21.0") == EngineCheck("1.21.0", "2026-01-02T00:00:00.000Z", None, False)
    assert later.check_on("1.22.0") is None
    assert Receipt.from_dict(later.to_dict()) == later
    told = {key: value for key, value in later.to_dict().items() if key not in ("sha256", "checks")}
    assert canonical_json_sha256(told) == later.sha256


def test_answers_agree_within_the_tolerance_and_not_beyond() -> None:
    expected = {"y": np.array([[1.0], [100.0]], np.float32)}
    near = compare(expected, {"y": np.array([[1.0001], [100.009]], np.float32)})
    assert near.agrees
    assert near.max_deviation == pytest.approx(0.009, rel=0.01)
    far = compare(expected, {"y": np.array([[1.0], [100.02]], np.float32)})
    (fault,) = far.faults
    assert fault.loc == ("example", "outputs", "y", 1, 0)
    assert (fault.row, fault.expected, fault.got) == (1, "100", "100.02")


def test_whole_numbers_and_text_must_be_equal() -> None:
    assert not compare({"n": np.array([1, 2])}, {"n": np.array([1, 3])}).agrees
    words = {"w": np.array([["a"], ["b"]], object)}
    assert compare(words, {"w": np.array([[b"a"], [b"b"]], object)}).agrees
    (fault,) = compare(words, {"w": np.array([["a"], ["c"]], object)}).faults
    assert (fault.expected, fault.got, fault.row) == ("'b'", "'c'", 1)


def test_what_is_not_finite_agrees_only_with_what_is_not_finite() -> None:
    nothing = {"y": np.array([[np.nan]], np.float32)}
    assert compare(nothing, {"y": np.array([[np.inf]], np.float32)}).agrees
    told = compare(nothing, {"y": np.array([[1.0]], np.float32)})
    assert told.max_deviation is None
    assert told.faults[0].expected == "not finite"
    assert not compare({"y": np.array([[1.0]], np.float32)}, nothing).agrees
    infinite = {"y": np.array([[np.inf]], np.float32)}
    assert compare(infinite, infinite).max_deviation == 0.0
    for other in (1.0, -np.inf, np.nan):
        assert compare(infinite, {"y": np.array([[other]], np.float32)}).faults


def test_a_missing_output_or_another_shape_is_told() -> None:
    expected = {"y": np.zeros((2, 1), np.float32)}
    assert compare(expected, {}).faults[0].got == "nothing"
    (fault,) = compare(expected, {"y": np.zeros((2, 3), np.float32)}).faults
    assert (fault.expected, fault.got) == ("shape (2, 1)", "shape (2, 3)")


def test_however_many_outputs_are_missing_not_every_value_is_named() -> None:
    missing = {f"y{number:02}": np.zeros((2, 1), np.float32) for number in range(FAULT_LIMIT + 2)}
    expected = {**missing, "z": np.zeros((1000, 1), np.float32)}
    assert len(compare(expected, {"z": np.ones((1000, 1), np.float32)}).faults) == len(missing)


WEIGHTS = np.array([[1.0], [-2.0], [0.5]], np.float32)


def linear(inputs: Tensors) -> Tensors:
    return {"y": inputs["x"] @ WEIGHTS}


def cause(inputs: npt.NDArray[Any], outputs: npt.NDArray[Any]) -> str:
    example = Example({"x": inputs.astype(np.float32)}, {"y": outputs.astype(np.float32)})
    return likely_cause(example, linear(example.inputs), linear, ("tenure", "charges", "calls"))


def test_the_likely_cause_of_a_disagreement_is_told() -> None:
    rows = np.random.default_rng(3).normal(size=(12, 3)).astype(np.float32)
    answers = rows @ WEIGHTS
    assert "order calls, tenure, charges" in cause(rows, rows[:, [2, 0, 1]] @ WEIGHTS)
    assert "another order of rows" in cause(rows, answers[::-1])
    assert cause(rows, answers * 1.01).startswith("Was the model fit after")
    assert "preprocessing" in cause(rows, np.random.default_rng(4).normal(size=(12, 1)))
    assert "another model" in cause(rows, np.zeros((12, 2)))
