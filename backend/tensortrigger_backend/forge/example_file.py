"""Which example goes with a version that came without one? The forge's own sample, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[Any]]

ROWS = 7
ALL_BYTES = 4 << 20
ROW_BYTES = 16 << 20


def write_example(target: Path, inputs: Arrays, outputs: Arrays) -> bool:
    """Write inputs and the original's outputs beside the servable, as ``target`` with ``.example`` behind it.

    An npz without pickles: arrays ``in/<tensor>`` and ``out/<tensor>``, text as NumPy's ``U``. As many rows as fit
    4 MB, at most 7 and at least one.

    Returns:
        whether there is one: none where a single row is larger than 16 MB.
    """
    arrays = {f"in/{name}": values for name, values in inputs.items()}
    arrays |= {f"out/{name}": values for name, values in outputs.items()}
    plain = {name: _plain(values[:ROWS]) for name, values in arrays.items()}
    row = sum(values[:1].nbytes for values in plain.values())
    if row > ROW_BYTES:
        return False
    rows = max(1, min(ROWS, ALL_BYTES // max(row, 1)))
    with target.with_name(target.name + ".example").open("wb") as file:
        np.savez(file, allow_pickle=False, **{name: values[:rows] for name, values in plain.items()})
    return True


def _plain(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if values.dtype.kind not in "OS":
        return values
    texts = [
        text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text) for text in values.ravel()
    ]
    return np.array(texts, dtype=np.str_).reshape(values.shape)
