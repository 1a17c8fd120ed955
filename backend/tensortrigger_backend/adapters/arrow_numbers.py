"""Numbers between NumPy and Arrow without pandas.

Arrow's own conversions import pandas where there is one: 40 MB and a quarter of a second for nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def from_numbers(values: npt.NDArray[Any]) -> Any:
    """An Arrow array of the same numbers; one of anything else, or of truth values, as Arrow makes it."""
    import pyarrow as pa

    if values.dtype.kind not in "iuf" or not values.dtype.isnative:
        return pa.array(values)
    memory = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, memory])


def to_numbers(array: Any) -> npt.NDArray[Any]:
    """The numbers of an Arrow array, none of them null, read-only; of anything else what Arrow makes of it."""
    from pyarrow import types

    if types.is_integer(array.type) or types.is_floating(array.type):
        return np.from_dlpack(array)
    found: npt.NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return found
