"""A model's JSON outputs as arrays and as a table's columns; null stands for not finite and becomes NaN."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tensortrigger_lab.wire import TensorSpec

if TYPE_CHECKING:
    import pandas as pd


def tensor(values: Any) -> npt.NDArray[Any]:
    """A nested list as an array; text stays text."""
    array = np.array(values)
    return array.astype(np.float64) if array.dtype.kind == "O" else array


def tensors(output: Any) -> npt.NDArray[Any] | dict[str, npt.NDArray[Any]]:
    """One output as an array, several as arrays by name; batch axis first."""
    if isinstance(output, Mapping):
        return {str(name): tensor(values) for name, values in output.items()}
    return tensor(output)


def by_output(outputs: Sequence[Any]) -> npt.NDArray[Any] | dict[str, npt.NDArray[Any]]:
    """The answers to the vectors of a batch: one output as an array, several as arrays by name.

    Args:
        outputs: what the API gave for each row: a list, or an object of numbers or lists.
    """
    if outputs and all(isinstance(output, Mapping) for output in outputs):
        return {str(name): tensor([output[name] for output in outputs]) for name in outputs[0]}
    return tensor(outputs)


def joined(
    parts: Sequence[npt.NDArray[Any] | dict[str, npt.NDArray[Any]]],
) -> npt.NDArray[Any] | dict[str, npt.NDArray[Any]]:
    """The answers to consecutive slices of a batch, put together along the batch axis."""
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    if len(arrays) == len(parts):
        return np.concatenate(arrays)
    named = [part for part in parts if isinstance(part, dict)]
    return {name: np.concatenate([part[name] for part in named]) for name in named[0]}


def table(
    outputs: Sequence[Any], specs: Sequence[TensorSpec], index: pd.Index[Any] | None = None
) -> pd.DataFrame:
    """One row an answer, one column a number of it, named as the results of a CSV job are.

    Args:
        outputs: what the API gave for each row: a list, or an object of numbers or lists.
        specs: the model's outputs; the first names the columns where an answer is a list.
        index: the index of the result, as long as ``outputs``.
    """
    import pandas as pd

    lone = specs[0].name if specs else "output"
    rows = [dict(_cells(output if isinstance(output, Mapping) else {lone: output})) for output in outputs]
    return pd.DataFrame(rows, index=index, dtype=np.float64)


def _cells(named: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(column, number) pairs: the output's name for a lone number, ``name_0`` and so on for several."""
    for name, value in named.items():
        numbers = list(_flat(value))
        if len(numbers) == 1:
            yield name, numbers[0]
        else:
            yield from ((f"{name}_{place}", number) for place, number in enumerate(numbers))


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for entry in value:
            yield from _flat(entry)
    else:
        yield value
