"""Does the endpoint answer as ``model.predict`` does on the same rows?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

ATOL, RTOL = 1e-5, 1e-4
"""Two answers are equal when |y - y0| <= ATOL + RTOL |y0|, element by element."""


@dataclass(frozen=True, slots=True)
class Check:
    """The result of the comparison.

    Attributes:
        equal: whether every number agrees; None where nothing could be compared.
        largest_difference: max |y - y0|, None where nothing could be compared.
        rows: how many rows were compared.
        reason: why nothing could be compared.
    """

    equal: bool | None
    largest_difference: float | None = None
    rows: int = 0
    reason: str = ""

    def __str__(self) -> str:
        if self.equal is None:
            return f"not compared with model.predict: {self.reason}"
        return (
            f"answers as model.predict: {'yes' if self.equal else 'NO'}, "
            f"largest difference {self.largest_difference:.1e} over {self.rows} rows"
        )


def compare(served: Sequence[npt.NDArray[Any]], predicted: Sequence[npt.NDArray[Any]], rows: int) -> Check:
    """Compare output by output, in the model's order, batch axis first.

    A shape that differs counts as an infinite difference. What is not finite equals what is not finite: JSON
    has one word, null, for all of it.
    """
    if len(served) != len(predicted):
        return Check(False, float("inf"), rows)
    equal, largest = True, 0.0
    for y, y0 in zip(served, predicted, strict=True):
        if y.shape != y0.shape:
            return Check(False, float("inf"), rows)
        expected = np.where(np.isfinite(y0), y0, np.nan).astype(np.float64)
        answer = y.astype(np.float64)
        equal = equal and bool(np.allclose(answer, expected, rtol=RTOL, atol=ATOL, equal_nan=True))
        difference = np.abs(answer - expected)
        blank = np.isnan(answer) & np.isnan(expected)
        difference[blank] = 0.0
        if difference.size:
            largest = max(largest, float("inf") if np.isnan(difference).any() else float(difference.max()))
    return Check(equal, largest, rows)


def in_order(outputs: Any, names: Sequence[str]) -> list[npt.NDArray[Any]]:
    """Outputs as a list in the model's order.

    Args:
        outputs: an array, a list of arrays, or arrays by name.
        names: the output names in the model's order.
    """
    if isinstance(outputs, Mapping):
        ordered = names if set(names) == set(outputs) else tuple(outputs)
        return [np.asarray(outputs[name]) for name in ordered]
    if isinstance(outputs, list | tuple):
        return [np.asarray(output) for output in outputs]
    return [np.asarray(outputs)]
