"""Do nested lists become tensors of the signature, or an error with the shape that was due?"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tensortrigger_backend.domain.arrays import json_from_tensor, tensors_from_json
from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.tensors import Signature, TensorSpec


def taking(*specs: TensorSpec) -> Signature:
    return Signature(specs, (TensorSpec("y", "float32", (-1, 1)),))


def one(dtype: str, *shape: int) -> Signature:
    return taking(TensorSpec("x", dtype, shape))


def fault_of(inputs: object, signature: Signature) -> Fault:
    with pytest.raises(InvalidInput) as caught:
        tensors_from_json(inputs, signature)
    return caught.value.faults[0]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32", "int64", "uint8"])
def test_a_bare_list_fills_the_only_input(dtype: str) -> None:
    array = tensors_from_json([[1, 2], [3, 4]], one(dtype, -1, 2))["x"]
    assert array.dtype == np.dtype(dtype)
    assert array.flags.c_contiguous
    np.testing.assert_array_equal(array, [[1, 2], [3, 4]])


def test_named_lists_fill_several_inputs() -> None:
    signature = taking(TensorSpec("a", "float32", (-1, 2)), TensorSpec("b", "int32", (-1, -1, 1)))
    tensors = tensors_from_json({"b": [[[1], [2]]], "a": [[0.5, 1]]}, signature)
    assert list(tensors) == ["a", "b"]
    assert tensors["b"].shape == (1, 2, 1)


def test_free_axes_take_any_length() -> None:
    assert tensors_from_json([[1.0, 2, 3, 4]], one("float32", -1, -1))["x"].shape == (1, 4)


def test_whole_floats_are_whole_numbers() -> None:
    assert tensors_from_json([[1.0], [2.0]], one("int32", -1, 1))["x"].tolist() == [[1], [2]]


def test_booleans_and_texts_are_kept_as_such() -> None:
    assert tensors_from_json([[True], [False]], one("bool", -1, 1))["x"].tolist() == [[True], [False]]
    texts = tensors_from_json([["ü"], ["long text"]], one("string", -1, 1))["x"]
    assert (texts.dtype, texts.tolist()) == (np.dtype(object), [["ü"], ["long text"]])


@pytest.mark.parametrize(
    ("inputs", "signature", "code"),
    [
        ([[1.0], [2.0, 3.0]], one("float32", -1, 2), "ragged"),
        ([[1.0, 2.0], 3.0], one("float32", -1, 2), "ragged"),
        ("text", one("float32", -1, 2), "tensor_type"),
        (5, one("float32", -1, 2), "tensor_type"),
        (None, one("float32", -1, 2), "tensor_type"),
        ([["1", "2"]], one("float32", -1, 2), "tensor_dtype"),
        ([[1, "2"]], one("float32", -1, 2), "tensor_dtype"),
        ([[None, 1.0]], one("float32", -1, 2), "tensor_dtype"),
        ([[True, False]], one("float32", -1, 2), "tensor_dtype"),
        ([[1.5, 2.0]], one("int32", -1, 2), "tensor_dtype"),
        ([[float("nan"), 2.0]], one("int32", -1, 2), "tensor_dtype"),
        ([[1, 0]], one("bool", -1, 2), "tensor_dtype"),
        ([[1, 2]], one("string", -1, 2), "tensor_dtype"),
        ([[1.0, 2.0, 3.0]], one("float32", -1, 2), "tensor_shape"),
        ([1.0, 2.0], one("float32", -1, 2), "tensor_shape"),
        ([[[1.0, 2.0]]], one("float32", -1, 2), "tensor_shape"),
        ([[]], one("float32", -1, -1), "tensor_shape"),
        ([], one("float32", -1, 2), "tensor_shape"),
        ([[300]], one("uint8", -1, 1), "out_of_range"),
        ([[-1]], one("uint8", -1, 1), "out_of_range"),
        ([[2**31]], one("int32", -1, 1), "out_of_range"),
        ([[2**63]], one("int64", -1, 1), "out_of_range"),
        ([[2.0**63]], one("int64", -1, 1), "out_of_range"),
        ([[1e39]], one("float32", -1, 1), "out_of_range"),
        ([[70000.0]], one("float16", -1, 1), "out_of_range"),
        ([[float("inf")]], one("float32", -1, 1), "out_of_range"),
        ([[float("nan")]], one("float32", -1, 1), "out_of_range"),
        ([[10**400]], one("float32", -1, 1), "out_of_range"),
    ],
)
def test_each_misfit_is_refused_with_its_code(inputs: object, signature: Signature, code: str) -> None:
    fault = fault_of(inputs, signature)
    assert (fault.code, fault.loc) == (code, ("inputs", "x"))
    assert "'x'" in fault.message


def test_a_boolean_among_numbers_is_no_number() -> None:
    assert fault_of([[1.5, True]], one("float32", -1, 2)).code == "tensor_dtype"
    assert fault_of([[2, True]], one("int32", -1, 2)).code == "tensor_dtype"


def test_a_number_among_texts_is_no_text() -> None:
    assert fault_of([["a", 1]], one("string", -1, 2)).code == "tensor_dtype"


def test_the_wrong_shape_is_told_beside_the_right_one() -> None:
    fault = fault_of([[1.0, 2.0]], one("float32", -1, 4, -1))
    assert (fault.expected, fault.got) == ("(any, 4, any)", "(1, 2)")


def test_several_inputs_must_be_named() -> None:
    signature = taking(TensorSpec("a", "float32", (-1, 1)), TensorSpec("b", "float32", (-1, 1)))
    assert fault_of([[1.0]], signature).code == "inputs_type"
    assert fault_of({"a": [[1.0]]}, signature).code == "missing"
    fault = fault_of({"a": [[1.0]], "b": [[1.0]], "c": [[1.0]]}, signature)
    assert (fault.code, fault.loc) == ("extra", ("inputs", "c"))


def test_inputs_of_different_batch_length_are_refused() -> None:
    signature = taking(TensorSpec("a", "float32", (-1, 1)), TensorSpec("b", "float32", (-1, 1)))
    fault = fault_of({"a": [[1.0]], "b": [[1.0], [2.0]]}, signature)
    assert (fault.code, fault.got) == ("batch_length", "a: 1, b: 2")


def test_absurd_nesting_is_refused_and_not_a_crash() -> None:
    nested: Any = 1.0
    for _ in range(100):
        nested = [nested]
    assert fault_of(nested, one("float32", -1, 2)).code in ("ragged", "tensor_shape", "tensor_dtype")


@given(
    arrays.arrays(
        st.sampled_from([np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_]),
        arrays.array_shapes(min_dims=2, max_dims=4, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False},
    )
)
def test_a_tensor_survives_the_way_to_json_and_back(array: npt.NDArray[Any]) -> None:
    nested, bad = json_from_tensor(array)
    assert bad == 0
    signature = one(array.dtype.name, -1, *array.shape[1:])
    np.testing.assert_array_equal(tensors_from_json(nested, signature)["x"], array)


def test_non_finite_answers_become_null_and_are_counted() -> None:
    nested, bad = json_from_tensor(np.array([[1.0, np.nan], [np.inf, -np.inf]], np.float32))
    assert (nested, bad) == ([[1.0, None], [None, None]], 3)


def test_texts_are_decoded_and_booleans_stay_booleans() -> None:
    assert json_from_tensor(np.array([b"a", "b", b"\xff"], object)) == (["a", "b", "�"], 0)
    nested, _ = json_from_tensor(np.array([[True]]))
    assert nested[0][0] is True
