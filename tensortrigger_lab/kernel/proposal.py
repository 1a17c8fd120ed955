"""What publishing a model would declare, for somebody to look at before it is done."""

from __future__ import annotations

from typing import Any

from tensortrigger_lab.kernel.description import tensors
from tensortrigger_lab.signature import input_side


def proposal(model: Any, example: Any) -> dict[str, Any]:
    """The schema (None for a model that takes tensors), the tensors, and the example's first row by name.

    Raises:
        BadInput: the example does not fit the model, or holds what is no number.
    """
    from tensortrigger_lab.example_rows import example_rows
    from tensortrigger_lab.packing import declared_schema

    declared = declared_schema(model, example, None)
    side = input_side(declared) if declared is not None else None
    rows = example_rows(example) if side is not None and example is not None else None
    return {
        "schema": None if side is None else {"input_schema": side},
        "signature": tensors(model),
        "example_row": rows.vectors(side)[0] if rows is not None and side is not None else None,
    }
