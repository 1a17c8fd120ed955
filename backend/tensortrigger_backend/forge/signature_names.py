"""Under which names and dtypes may a tensor of a model be addressed, and which axis of it is the batch?"""

from __future__ import annotations

import re
from typing import Final

from tensortrigger_backend.forge.refusal import refuse

_NUMBERS: Final = [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
NUMPY_DTYPES: Final = frozenset([*_NUMBERS, "bool", "float16", "float32", "float64", "string"])
"""What a signature may hold: NumPy's own, and text."""

_UNCLEAN: Final = re.compile(r"[^A-Za-z0-9_.\-]+")


def clean(name: str, taken: set[str]) -> str:
    """The name in plain characters, and different from those that are ``taken``, which it joins."""
    plain = _UNCLEAN.sub("_", name).strip("_") or "tensor"
    unique, number = plain, 0
    while unique in taken:
        number += 1
        unique = f"{plain}_{number}"
    taken.add(unique)
    return unique


def one_batch_axis(lengths: set[int]) -> int:
    """How many rows a model takes at a time, from the first lengths of its inputs; -1 for any number.

    Raises:
        Refused: the inputs differ in it, so that their first axes cannot be rows of one batch.
    """
    if len(lengths) == 1 and lengths <= {-1} | set(range(1, 1 << 16)):
        return next(iter(lengths))
    told = ", ".join("free" if length < 0 else str(length) for length in sorted(lengths))
    raise refuse(
        "fixed_batch",
        f"the inputs differ in their first axis ({told}), so it is not the same batch of rows for each",
        remedy="export the model with a free first axis for every input",
    )
