"""Do these arrays fit the signature, and if not, which of them and why?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.errors import Fault
from tensortrigger_backend.domain.tensors import Signature, TensorSpec


def shape_faults(signature: Signature, inputs: Mapping[str, npt.NDArray[Any]]) -> list[Fault]:
    """What about these arrays does not fit the signature, by tensor name."""
    faults = []
    batch_sizes = {array.shape[0] for array in inputs.values() if array.ndim}
    for spec in signature.inputs:
        array = inputs.get(spec.name)
        if array is None:
            faults.append(
                Fault(("inputs", spec.name), "missing", f"Input '{spec.name}' is missing.", describe(spec))
            )
        elif not _fits(spec, array):
            faults.append(
                Fault(
                    loc=("inputs", spec.name),
                    code="shape",
                    message=f"Input '{spec.name}' has the wrong shape or type.",
                    expected=describe(spec),
                    got=describe_array(array),
                )
            )
    if not faults and len(batch_sizes) > 1:
        got = ", ".join(str(size) for size in sorted(batch_sizes))
        faults.append(
            Fault(("inputs",), "batch", "The inputs differ in their number of rows.", "one number", got)
        )
    known = {spec.name for spec in signature.inputs}
    faults.extend(
        Fault(("inputs", name), "extra", f"The model has no input '{name}'.", ", ".join(sorted(known)))
        for name in inputs
        if name not in known
    )
    return faults


def describe(spec: TensorSpec) -> str:
    """A tensor as a person reads it: ``float32 (rows, 4)``."""
    axes = ["rows", *("any" if length < 0 else str(length) for length in spec.shape[1:])]
    return f"{spec.dtype} ({', '.join(axes)})"


def describe_array(array: npt.NDArray[Any]) -> str:
    """The same of a tensor that came."""
    kind = "string" if array.dtype.kind in "OSU" else array.dtype.name
    return f"{kind} ({', '.join(str(length) for length in array.shape)})"


def _fits(spec: TensorSpec, array: npt.NDArray[Any]) -> bool:
    if array.ndim != len(spec.shape):
        return False
    if spec.dtype == "string":
        if array.dtype.kind not in "OSU":
            return False
    elif array.dtype != np.dtype(spec.dtype):
        return False
    return all(want in (-1, have) for want, have in zip(spec.shape, array.shape, strict=True))
