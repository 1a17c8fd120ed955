"""Texts in Arrow arrays: what number each has in a STRING field, and which are no text."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.field_rules import FieldRules, place_of
from tensortrigger_backend.domain.fields import Wrong


def texts(text: Any, rules: FieldRules) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int8]]:
    """The number of each text of a STRING, and what is wrong with it; a category must be there to the letter.

    Args:
        text: an array of Arrow's type binary.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    field = rules.field
    names = pa.array([name.encode("utf-8", "surrogatepass") for name in field.numbers], pa.binary())
    places = pc.fill_null(pc.index_in(text, names), -1).to_numpy(zero_copy_only=False)
    numbers = np.array([*field.numbers.values(), np.nan])[places]
    wrong = np.zeros(len(numbers), np.int8)
    strange = np.flatnonzero(places < 0)
    if not len(strange):
        return numbers, wrong
    others = text.take(pa.array(strange))
    blank = pc.equal(pc.binary_length(trimmed(others)), 0).to_numpy(zero_copy_only=False)
    fill, missing = rules.absent(Wrong.MISSING)
    numbers[strange[blank]], wrong[strange[blank]] = fill, fault_of(missing)
    if field.unknown is None:
        wrong[strange[~blank]] = fault_of(Wrong.UNKNOWN_CATEGORY)
    else:
        numbers[strange[~blank]] = field.unknown
    wrong[strange[not_utf_8(others)]] = fault_of(Wrong.NOT_TEXT)
    return numbers, wrong


def trimmed(text: Any) -> Any:
    """Binary as strings, white space taken off both ends."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.ascii_trim_whitespace(text.cast(pa.string(), safe=False))


def not_utf_8(text: Any) -> npt.NDArray[np.intp]:
    """Places of binary values that are not UTF-8."""
    import pyarrow as pa

    try:
        text.cast(pa.string())
    except pa.ArrowInvalid:
        return np.array([at for at, value in enumerate(text) if not _is_utf_8(value.as_py())], np.intp)
    return np.empty(0, np.intp)


def _is_utf_8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def fault_of(wrong: Wrong | None) -> int:
    """As columns of faults have it: 0 for nothing."""
    return 0 if wrong is None else place_of(wrong)
