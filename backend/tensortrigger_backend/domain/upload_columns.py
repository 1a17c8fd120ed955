"""Does an upload hold the columns that the model takes, and those that are to be kept, each of them once?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tensortrigger_backend.domain.errors import Fault, InvalidInput

MAX_COLUMNS = 10_000


def check_columns(columns: Sequence[str], required: Iterable[str], keep: Iterable[str], kind: str) -> None:
    """Raises InvalidInput for every column that is missing or there twice.

    Args:
        kind: of the upload, for the codes of the faults.
    """
    if len(columns) > MAX_COLUMNS:
        message = f"The upload names {len(columns)} columns, {MAX_COLUMNS} at most."
        raise InvalidInput.of(
            Fault(("input_data",), f"{kind}_columns", message, str(MAX_COLUMNS), str(len(columns)))
        )
    required = tuple(required)
    there = Counter(columns)
    keep = tuple(keep)
    wanted: list[tuple[str, tuple[str, str], Sequence[str], str]]
    wanted = [(name, ("input_data", name), required, "") for name in required]
    wanted += [(name, ("keep", name), keep, ", which is to be kept,") for name in keep]
    faults = []
    for name, loc, expected, aside in wanted:
        if there[name] == 0:
            near = next(
                (column for column in columns if column.strip().lower() == name.strip().lower()), None
            )
            hint = f" (there is {near!r}: names must match exactly)" if near is not None else ""
            message = f"Column {name!r}{aside} is missing{hint}."
            known, got = ", ".join(expected[:20])[:400], ", ".join(columns[:20])[:400]
            faults.append(Fault(loc, f"{kind}_missing_column", message, known, got))
        elif there[name] > 1:
            message = f"Column {name!r}{aside} stands {there[name]} times in the header."
            faults.append(Fault(loc, f"{kind}_duplicate_column", message, "once", str(there[name])))
    if faults:
        raise InvalidInput.of(*faults[:100])
