"""Does the model take and give as many numbers as the declared schema names?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tensortrigger_backend.domain.errors import Fault
from tensortrigger_backend.domain.publishing import ForgeOrder
from tensortrigger_backend.domain.tensors import Signature, TensorSpec
from tensortrigger_backend.forge.refusal import SCHEMA, Refused

_INFER = "leave model_schema out, and the signature is taken from the model"
# Layers after which a vector is as long as it was before.
_KEEP_LENGTH = {"Activation", "Dropout", "Softmax", "ReLU", "LeakyReLU", "ELU", "PReLU", "BatchNormalization"}


def check_declared_widths(config: Mapping[str, Any], order: ForgeOrder) -> None:
    """Hold the schema against what the config alone tells, where it tells.

    Raises:
        Refused: a length that differs.
    """
    _check(order, _input_width(config), _output_width(config))


def check_signature(signature: Signature, order: ForgeOrder) -> None:
    """Hold the schema against the loaded model.

    Raises:
        Refused: a length that differs, or a model that is not one vector in or out.
    """
    faults = []
    if order.input_names and signature.vector_width is None:
        faults.append(_no_vector("input", signature.inputs, len(order.input_names)))
    if order.output_names and signature.output_width is None:
        faults.append(_no_vector("output", signature.outputs, len(order.output_names)))
    if faults:
        raise Refused(*faults)
    _check(order, signature.vector_width, signature.output_width)


def _check(order: ForgeOrder, input_width: int | None, output_width: int | None) -> None:
    faults = []
    declared = len(order.input_names)
    if declared and input_width is not None and input_width != declared:
        message = f"the schema names {_count(declared, 'input')}, the model's input layer takes {input_width}"
        faults.append(_width("input_schema", message, declared, input_width))
    declared = len(order.output_names)
    if declared and output_width is not None and output_width != declared:
        message = (
            f"the schema names {_count(declared, 'output')}, the model's output layer gives {output_width}"
        )
        faults.append(_width("output_schema", message, declared, output_width))
    if faults:
        raise Refused(*faults)


def _width(part: str, message: str, declared: int, actual: int) -> Fault:
    return Fault(
        (SCHEMA, part),
        "schema_width",
        message,
        expected=str(actual),
        got=str(declared),
        remedy="name each of the model's numbers once, by its index",
    )


def _no_vector(side: str, specs: tuple[TensorSpec, ...], declared: int) -> Fault:
    shapes = ", ".join(f"{spec.name} {('rows', *spec.shape[1:])}" for spec in specs).replace("'", "")
    return Fault(
        (SCHEMA, f"{side}_schema"),
        "schema_rank",
        f"the schema names {_count(declared, side)} of one vector, the model's {side} is no such vector",
        expected=shapes,
        got=f"(rows, {declared})",
        remedy=_INFER,
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _input_width(config: Mapping[str, Any]) -> int | None:
    layers = _layers(config)
    if not layers:
        return None
    first = layers[0]
    if config.get("class_name") != "Sequential":
        inputs = [layer for layer in layers if layer.get("class_name") == "InputLayer"]
        if len(inputs) != 1:
            return None
        first = inputs[0]
    inner = first.get("config")
    if not isinstance(inner, Mapping):
        return None
    shape = inner.get("batch_shape") or inner.get("batch_input_shape")
    if isinstance(shape, Mapping):
        shape = shape.get("items")
    if isinstance(shape, list) and len(shape) == 2 and isinstance(shape[1], int):
        return shape[1]
    return None


def _output_width(config: Mapping[str, Any]) -> int | None:
    # In a functional model the last layer of the list need not be the output; the loaded model tells.
    if config.get("class_name") != "Sequential":
        return None
    layers = _layers(config)
    while layers and layers[-1].get("class_name") in _KEEP_LENGTH:
        layers.pop()
    if len(layers) < 2 or layers[-1].get("class_name") != "Dense" or _input_width(config) is None:
        return None
    inner = layers[-1].get("config")
    units = inner.get("units") if isinstance(inner, Mapping) else None
    return units if isinstance(units, int) else None


def _layers(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    inner = config.get("config")
    layers = inner.get("layers") if isinstance(inner, Mapping) else inner
    if not isinstance(layers, list):
        return []
    return [layer for layer in layers if isinstance(layer, Mapping)]
