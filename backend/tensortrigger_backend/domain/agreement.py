"""Do the answers of an endpoint agree with those of the original, and if not, where and most likely why?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.errors import Fault
from tensortrigger_backend.domain.publishing import ATOL, RTOL
from tensortrigger_backend.domain.receipts import Example, Tensors, text_of

FAULT_LIMIT: Final = 10
"""How many single values a refusal names."""
_ORDERS_TRIED: Final = 5
"""With so many columns every order of them is tried; with more, only those that people mix up."""

SAVED_SINCE = (
    "Was the model fit after the file was saved, or after these outputs were computed? "
    "Save it, predict and publish in one go."
)
PREPROCESSING = (
    "Is there preprocessing outside of the model, such as a scaler or an encoder? Send the inputs as the model "
    "itself gets them, or put the preprocessing into the model as a layer. "
)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How answers compare.

    Attributes:
        max_deviation: the largest |y - y0|; None where one of the two is no number or the shapes differ.
        faults: one for each value that is out of the tolerance, the first ``FAULT_LIMIT`` of them.
    """

    max_deviation: float | None
    faults: tuple[Fault, ...] = ()

    @property
    def agrees(self) -> bool:
        return not self.faults


def compare(expected: Tensors, got: Tensors) -> Agreement:
    """Hold answers against the original's, element by element, within ``ATOL + RTOL |y0|``.

    Text, integers and booleans must be equal. A NaN that is expected stands for any value that is not finite.
    """
    largest: float | None = 0.0
    faults: list[Fault] = []
    for name, want in expected.items():
        have = got.get(name)
        if have is None or have.shape != want.shape:
            shown = "nothing" if have is None else f"shape {have.shape}"
            message = f"Output {name!r}: the endpoint gives {shown}, the notebook gave shape {want.shape}."
            faults.append(Fault((*_LOC, name), "receipt_shape", message, f"shape {want.shape}", shown))
            largest = None
            continue
        distance, outside = _distances(want, have)
        worst = float(distance.max(initial=0.0))
        largest = None if largest is None or not np.isfinite(worst) else max(largest, worst)
        for place in np.argwhere(outside)[: max(0, FAULT_LIMIT - len(faults))]:
            faults.append(_differs(name, tuple(int(n) for n in place), want, have))
    return Agreement(largest, tuple(faults))


def likely_cause(
    example: Example,
    got: Tensors,
    answer: Callable[[Tensors], Tensors],
    columns: Sequence[str] = (),
) -> str:
    """Why the two disagree, as one would guess from how they do, and what to do about it.

    Args:
        got: the endpoint's outputs.
        answer: the endpoint; asked again with the columns of its vector in other orders.
        columns: names of the vector's numbers in order; empty for a model that takes tensors.
    """
    if any(name not in got or got[name].shape != want.shape for name, want in example.outputs.items()):
        return "These outputs are those of another model: predict with the very model that is in the file."
    if _rows_moved(example.outputs, got):
        return "The outputs are the endpoint's, but in another order of rows: send each row's own output beside it."
    order = _other_order(example, answer, columns)
    if order:
        return (
            f"The outputs agree when the columns are taken in the order {order}: the schema's index does not match "
            "the order of the columns that the model was fit with. Mend the index in model_schema."
        )
    if _alike(example.outputs, got):
        return SAVED_SINCE
    return PREPROCESSING + SAVED_SINCE


_LOC = ("example", "outputs")


def _distances(
    want: npt.NDArray[Any], have: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """|y - y0|, and where it is out of the tolerance."""
    if want.dtype.kind not in "fc":
        texts = want.dtype.kind in "OSU"
        differs = _texts(want) != _texts(have) if texts else want != have
        return np.zeros(want.shape), np.asarray(differs, np.bool_)
    y0, y = want.astype(np.float64), have.astype(np.float64)
    alike = (y == y0) | (np.isnan(y0) & ~np.isfinite(y))
    with np.errstate(invalid="ignore"):
        distance = np.where(alike, 0.0, np.abs(y - y0))
        # Of an infinity any distance would be a small part.
        outside = ~(alike | (np.isfinite(distance) & (distance <= ATOL + RTOL * np.abs(y0))))
    return distance, outside


def _differs(name: str, place: tuple[int, ...], want: npt.NDArray[Any], have: npt.NDArray[Any]) -> Fault:
    row, within = place[0] if place else 0, list(place[1:])
    where = f"Output {name!r} of row {row}" + (f" at {within}" if within and want[row].size > 1 else "")
    expected, got = _shown(want[place]), _shown(have[place])
    message = f"{where}: the notebook's model answered {expected}, the endpoint answers {got}."
    return Fault((*_LOC, name, *place), "receipt_mismatch", message, expected, got, row)


def _shown(value: Any) -> str:
    if isinstance(value, np.floating | float):
        return "not finite" if not np.isfinite(value) else f"{float(value):.7g}"
    return repr(text_of(value))[:80] if isinstance(value, str | bytes) else str(value)


def _texts(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.array([text_of(entry) for entry in values.ravel().tolist()], dtype=object).reshape(values.shape)


def _rows_moved(expected: Tensors, got: Tensors) -> bool:
    """Whether the same rows came in another order."""
    for name, want in expected.items():
        if want.dtype.kind not in "fiub" or len(want) < 2:
            return False
        left, right = (side.reshape(len(side), -1).astype(np.float64) for side in (want, got[name]))
        # Rounded for the order only, so that noise in the last digits does not shuffle equal rows.
        left, right = (side[np.lexsort(np.round(side, 4).T[::-1])] for side in (left, right))
        if not np.allclose(right, left, rtol=RTOL, atol=ATOL, equal_nan=True):
            return False
    return True


def _other_order(
    example: Example, answer: Callable[[Tensors], Tensors], columns: Sequence[str]
) -> str | None:
    """The order of columns with which the endpoint would have answered the same."""
    if len(columns) < 2 or len(example.inputs) != 1:
        return None
    ((name, vectors),) = example.inputs.items()
    for order in _orders(columns):
        agreement = compare(example.outputs, answer({name: np.ascontiguousarray(vectors[:, list(order)])}))
        if agreement.agrees:
            return ", ".join(columns[place] for place in order)
    return None


def _orders(columns: Sequence[str]) -> list[tuple[int, ...]]:
    places = range(len(columns))
    if len(columns) <= _ORDERS_TRIED:
        return list(permutations(places))[1:]
    by_name = tuple(sorted(places, key=lambda place: columns[place]))
    back = tuple(sorted(places, key=lambda place: by_name[place]))
    tried = [by_name, back, tuple(reversed(places)), (*places[1:], 0), (places[-1], *places[:-1])]
    return [order for order in dict.fromkeys(tried) if order != tuple(places)]


def _alike(expected: Tensors, got: Tensors) -> bool:
    """Whether the answers move together, as those of the same model a few steps of training later do."""
    for name, want in expected.items():
        if want.dtype.kind != "f":
            return False
        y0, y = want.astype(np.float64).ravel(), got[name].astype(np.float64).ravel()
        finite = np.isfinite(y0) & np.isfinite(y)
        if not finite.any():
            return False
        distance = np.abs(y[finite] - y0[finite])
        if np.median(distance) <= 0.05 * max(float(np.abs(y0[finite]).max()), ATOL):
            continue
        if finite.sum() < 8 or y0[finite].std() == 0 or y[finite].std() == 0:
            return False
        if np.corrcoef(y0[finite], y[finite])[0, 1] < 0.95:
            return False
    return True
