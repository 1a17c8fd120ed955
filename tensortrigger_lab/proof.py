"""What the model in the notebook answers, sent along so that the endpoint is held to it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tensortrigger_lab import payload
from tensortrigger_lab.example_rows import ExampleRows
from tensortrigger_lab.signature import input_side

MOST_BYTES = 4_000_000
"""Bytes of numbers; fewer rows go where that does it, none where one row alone is larger."""
BYTES_A_NUMBER = 8
SAMPLE_ROWS = 4
SAMPLE_NUMBERS = 1_000_000
"""Numbers that a row made here may have; the backend's own sample does for larger ones."""
SAMPLE_PARAMETERS = 20_000_000
"""Weights of a model that is asked rows made here: larger ones would take a notebook's time for it."""
PICKY = frozenset(
    {
        *("CategoryEncoding", "Discretization", "HashedCrossing", "Hashing", "IntegerLookup", "StringLookup"),
        *(
            "TextVectorization",
            "Lambda",
            "TFSMLayer",
            "TorchModuleWrapper",
            "MelSpectrogram",
            "STFTSpectrogram",
        ),
    }
)
"""Layers of which nobody but the user knows what they take."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Rows and what the model said to them, free of the model itself.

    Attributes:
        outputs: by output name, batch axis first.
        input_names: as the model has them; empty where it has none.
        made: whether the rows were made here, and not given by the user.
    """

    rows: ExampleRows
    outputs: dict[str, npt.NDArray[Any]]
    input_names: tuple[str, ...]
    made: bool = False


@dataclass(frozen=True, slots=True)
class Proof:
    """What is sent of an example.

    Attributes:
        members: the ``example`` of a publish; None where nothing is sent.
        remark: what is to be told about it; empty where nothing is.
    """

    members: dict[str, Any] | None
    remark: str = ""


def answered(model: Any, rows: ExampleRows, predicted: Any, *, made: bool = False) -> Answered:
    """What the model said, with its names for it."""
    names = tuple(str(tensor.name) for tensor in getattr(model, "inputs", None) or ())
    return Answered(rows, _named_outputs(model, predicted), names, made)


def proof_of(schema: Mapping[str, Any] | None, found: Answered | None) -> Proof:
    """What is sent of it.

    Args:
        schema: as it is declared; None for a model that takes tensors.
        found: None where there is neither an example nor a sample.
    """
    if found is None or (found.made and not _takes_any_number(schema)):
        return Proof(None)
    rows, outputs = found.rows, found.outputs
    count = min(rows.count, _affordable([*rows.arrays, *outputs.values()]))
    if count == 0:
        return Proof(
            None, "" if found.made else "a row of the example is over 4 MB, so none is kept as proof"
        )
    kept = [row for row in range(count) if all(_finite(part[row]) for part in outputs.values())]
    if not kept:
        told = "the model's answers to the example are not finite, so they are not kept as proof"
        return Proof(None, "" if found.made else told)
    answers = {name: part[kept].tolist() for name, part in outputs.items()}
    members = {
        "inputs": _inputs(schema, found, kept),
        "outputs": next(iter(answers.values())) if len(answers) == 1 else answers,
        "versions": package_versions(),
    }
    return Proof(members)


def sample(model: Any) -> Answered | None:
    """What the model says to a few rows made here, the same every time; None where it cannot safely be asked.

    Nothing that goes wrong here may keep a model from being published: the backend has a sample of its own.
    """
    try:
        rows = _sample_rows(model)
        return (
            None if rows is None else answered(model, rows, model(rows.for_keras, training=False), made=True)
        )
    except Exception:  # noqa: BLE001 - whatever a layer of the user's may raise
        return None


def package_versions() -> dict[str, str]:
    """Of what the model was made with, as far as it is loaded."""
    found = {
        name: getattr(sys.modules.get(name), "__version__", None) for name in ("keras", "tensorflow", "numpy")
    }
    return {name: str(version) for name, version in found.items() if version}


def _sample_rows(model: Any) -> ExampleRows | None:
    """Rows for a model of the functional kind whose inputs have a fixed shape, that keeps no state between calls,
    and in which no layer asks more of its input than to be a number, or below the size of an Embedding.
    """
    tensors = list(getattr(model, "inputs", None) or ())
    layers = _layers(model)
    if not tensors or not layers or any(type(layer).__name__ in PICKY for layer in layers):
        return None
    if any(getattr(layer, "stateful", False) for layer in layers) or model.count_params() > SAMPLE_PARAMETERS:
        return None
    sizes = [int(layer.input_dim) for layer in layers if type(layer).__name__ == "Embedding"]
    rng = np.random.default_rng(0)
    made = [_sample(tensor, min(sizes, default=None), rng) for tensor in tensors]
    arrays = tuple(array for array in made if array is not None)
    if len(arrays) < len(made):
        return None
    return ExampleRows(arrays[0] if len(arrays) == 1 else list(arrays), arrays)


def _takes_any_number(schema: Mapping[str, Any] | None) -> bool:
    """Whether every field is a FLOAT without further conditions: what else fits one is for the user to say."""
    return schema is None or all(
        set(entry) == {"var_type", "index"} and entry["var_type"].upper() == "FLOAT"
        for entry in input_side(schema).values()
    )


def _finite(values: npt.NDArray[Any]) -> bool:
    return values.dtype.kind not in "fc" or bool(np.isfinite(values).all())


def _sample(tensor: Any, below: int | None, rng: np.random.Generator) -> npt.NDArray[Any] | None:
    shape, dtype = tuple(tensor.shape)[1:], str(tensor.dtype)
    if any(size is None for size in shape) or np.prod(shape, dtype=np.int64) > SAMPLE_NUMBERS:
        return None
    if getattr(tensor, "sparse", False) or getattr(tensor, "ragged", False):
        return None
    if below is not None and dtype in ("float32", "int32", "int64"):
        return rng.integers(0, below, (SAMPLE_ROWS, *shape)).astype(dtype)
    return rng.standard_normal((SAMPLE_ROWS, *shape)).astype(dtype) if dtype == "float32" else None


def _layers(model: Any) -> list[Any]:
    """Every layer, nested ones too."""
    found: list[Any] = []
    waiting = list(getattr(model, "layers", ()))
    while waiting:
        layer = waiting.pop()
        found.append(layer)
        waiting += getattr(layer, "layers", ()) or ()
        waiting += [
            getattr(layer, inner) for inner in ("layer", "forward_layer", "cell") if hasattr(layer, inner)
        ]
    return found


def _named_outputs(model: Any, predicted: Any) -> dict[str, npt.NDArray[Any]]:
    """Arrays by output name; one that has none is called ``output``."""
    if isinstance(predicted, Mapping):
        return {str(name): np.asarray(part) for name, part in predicted.items()}
    parts = predicted if isinstance(predicted, list | tuple) else [predicted]
    names = _names(getattr(model, "output_names", ()), len(parts), "output")
    return {name: np.asarray(part) for name, part in zip(names, parts, strict=True)}


def _inputs(schema: Mapping[str, Any] | None, found: Answered, kept: list[int]) -> Any:
    rows = found.rows
    if schema is not None:
        vectors = rows.vectors(input_side(schema))
        return [vectors[row] for row in kept]
    if len(rows.arrays) == 1 and not rows.names:
        return payload.nested(rows.arrays[0][kept])
    names = rows.names or _names(found.input_names, len(rows.arrays), "input")
    return {name: payload.nested(array[kept], name) for name, array in zip(names, rows.arrays, strict=True)}


def _names(given: Sequence[str], count: int, otherwise: str) -> tuple[str, ...]:
    if len(given) == count:
        return tuple(given)
    return (otherwise,) if count == 1 else tuple(f"{otherwise}_{place}" for place in range(count))


def _affordable(arrays: Sequence[npt.NDArray[Any]]) -> int:
    """How many rows are within ``MOST_BYTES``."""
    a_row = sum(array[:1].size for array in arrays) * BYTES_A_NUMBER
    return MOST_BYTES // max(1, a_row)
