"""What goes into this Keras model and comes out, under which names?"""

from __future__ import annotations

from typing import Any

import keras

from tensortrigger_backend.domain.errors import Fault
from tensortrigger_backend.domain.tensors import Signature, TensorSpec
from tensortrigger_backend.forge.refusal import MODEL, Refused, refuse
from tensortrigger_backend.forge.signature_names import NUMPY_DTYPES, clean


def signature_of(model: Any) -> Signature:
    """The inputs and outputs of a model, in the model's own order.

    Raises:
        Refused: the model has no fixed inputs, or a tensor that is no batch of rows.
    """
    inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
    if not inputs or not outputs:
        raise refuse(
            "not_built",
            "the model was never given the shape of its input",
            remedy="start it with keras.Input(shape=...), or call it once, before saving",
        )
    taken: set[str] = set()
    in_names = [clean(name, taken) for name in _input_names(model)]
    out_names = [clean(name, taken) for name in _output_names(model)]
    faults: list[Fault] = []
    specs = [_spec(name, tensor, "input", faults) for name, tensor in zip(in_names, inputs, strict=True)]
    answers = [_spec(name, tensor, "output", faults) for name, tensor in zip(out_names, outputs, strict=True)]
    if faults:
        raise Refused(*faults)
    return Signature(tuple(specs), tuple(answers))


def structured(model: Any, tensors: list[Any]) -> Any:
    """The model's inputs, flat and in order, in the structure it is called with."""
    if isinstance(model, keras.Sequential):
        return tensors[0]
    return keras.tree.pack_sequence_as(model.input, tensors)


def _spec(name: str, tensor: Any, side: str, faults: list[Fault]) -> TensorSpec:
    shape = tuple(tensor.shape)
    dtype = str(keras.backend.standardize_dtype(tensor.dtype))
    # NumPy has no bfloat16; the servable takes and gives float32 in its place.
    dtype = "float32" if dtype == "bfloat16" else dtype

    def fault(code: str, message: str, remedy: str) -> None:
        faults.append(Fault((MODEL, side, name), code, message, got=str(shape), remedy=remedy))

    if getattr(tensor, "sparse", False) or getattr(tensor, "ragged", False):
        fault("sparse_tensor", f"{side} '{name}' is sparse or ragged", f"make the {side} dense")
    elif not shape or (side == "output" and shape[0] is not None):
        fault(
            "no_batch_axis",
            f"{side} '{name}' has no free batch axis, so its rows cannot be told apart",
            "let every output keep the batch axis of the inputs",
        )
    elif shape[0] is not None:
        fault(
            "fixed_batch",
            f"{side} '{name}' takes exactly {shape[0]} rows at a time",
            "build the model without batch_size, and recurrent layers without stateful=True",
        )
    elif dtype not in NUMPY_DTYPES:
        fault("unknown_dtype", f"{side} '{name}' is of dtype {dtype}", f"cast the {side} to float32")
    return TensorSpec(name, dtype, (-1, *(-1 if length is None else int(length) for length in shape[1:])))


def _input_names(model: Any) -> list[str]:
    return _keys(model, "input") or [str(tensor.name) for tensor in model.inputs]


def _output_names(model: Any) -> list[str]:
    return _keys(model, "output") or [_maker(tensor) for tensor in model.outputs]


def _keys(model: Any, side: str) -> list[str]:
    """The names that a model built from a dict of tensors has given them itself, in Keras' order."""
    structure = None if isinstance(model, keras.Sequential) else getattr(model, side)
    if isinstance(structure, dict) and len(keras.tree.flatten(structure)) == len(structure):
        return sorted(str(key) for key in structure)
    return []


def _maker(tensor: Any) -> str:
    history = getattr(tensor, "_keras_history", None)
    return str(history.operation.name) if history is not None else str(tensor.name)
