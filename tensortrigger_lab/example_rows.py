"""The first rows of an example, as the model in the notebook takes them and as the endpoint does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tensortrigger_lab import payload
from tensortrigger_lab.errors import BadInput
from tensortrigger_lab.notebook_objects import is_frame
from tensortrigger_lab.signature import as_array, written_value
from tensortrigger_lab.wire import ModelRecord, VectorSide, names_in_order

ROWS = 32


@dataclass(frozen=True, slots=True)
class ExampleRows:
    """Rows of finite values.

    Attributes:
        for_keras: what ``model.predict`` takes: one array, a list of them, or a mapping.
        arrays: the same, input by input, batch axis first.
        names: the inputs' names where the example was a mapping, else empty.
        columns: the DataFrame's columns, else empty.
    """

    for_keras: Any
    arrays: tuple[npt.NDArray[Any], ...]
    names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many rows, 32 at most."""
        return len(self.arrays[0])

    def vectors(self, side: VectorSide) -> list[dict[str, Any]]:
        """Each row as ``{field: value}`` for a vector schema: what a caller sends to give the model these numbers."""
        names = self.columns if set(self.columns) == set(side) else names_in_order(side)
        return [
            {name: written_value(side[name], value) for name, value in zip(names, row.tolist(), strict=True)}
            for row in self.arrays[0]
        ]

    def inputs(self, record: ModelRecord, rows: int) -> Any:
        """The first ``rows`` as the ``inputs`` of a request."""
        if len(self.arrays) == 1 and not self.names:
            return payload.nested(self.arrays[0][:rows])
        names = self.names or tuple(
            spec.name for spec in (record.signature.inputs if record.signature else ())
        )
        return {
            name: payload.nested(array[:rows], name) for name, array in zip(names, self.arrays, strict=True)
        }


def example_rows(example: Any) -> ExampleRows | None:
    """The first 32 rows of ``example`` that hold only finite values; None where there are none.

    Args:
        example: a DataFrame, an array with the batch axis first, or a list or mapping of arrays.

    Raises:
        BadInput: no array can be made of it, or it has no batch axis.
    """
    if is_frame(example):
        head = example.head(ROWS * 4)
        table = head.to_numpy(dtype=np.float64, na_value=np.nan)
        rows = _finite((table,))
        if not len(rows):
            return None
        kept = table[rows]
        return ExampleRows(kept, (kept,), columns=tuple(str(name) for name in example.columns))
    if isinstance(example, Mapping):
        names, parts = tuple(str(name) for name in example), [as_array(part) for part in example.values()]
    elif isinstance(example, list | tuple) and any(hasattr(part, "shape") for part in example):
        names, parts = (), [as_array(part) for part in example]
    else:
        names, parts = (), [as_array(example)]
    for part in parts:
        if part.ndim < 2 and part.dtype.kind not in "UO":
            raise BadInput(
                "The example needs a batch axis and a feature axis.",
                expected="shape (rows, features) or more axes",
                got=f"shape {part.shape}",
            )
    if any(part.ndim == 0 for part in parts):
        raise BadInput(
            "The example has no rows.",
            field="example",
            expected="a DataFrame, or an array with the batch axis first",
            got=type(example).__name__,
        )
    arrays = tuple(part[: ROWS * 4] for part in parts)
    if len({len(array) for array in arrays}) > 1:
        raise BadInput(
            "The example's inputs differ in their number of rows.",
            got=", ".join(str(len(part)) for part in parts),
        )
    rows = _finite(arrays)
    if not len(rows):
        return None
    arrays = tuple(array[rows] for array in arrays)
    if names:
        return ExampleRows(dict(zip(example, arrays, strict=True)), arrays, names)
    single = not (isinstance(example, list | tuple) and len(parts) > 1)
    return ExampleRows(arrays[0] if single else list(arrays), arrays)


def _finite(arrays: tuple[npt.NDArray[Any], ...]) -> npt.NDArray[np.intp]:
    """The first 32 row numbers at which every array is finite."""
    good = np.ones(len(arrays[0]), bool)
    for array in arrays:
        if array.dtype.kind == "f":
            good &= np.isfinite(array.reshape(len(array), -1)).all(axis=1)
    return np.flatnonzero(good)[:ROWS]
