"""Which names a new version keeps from the one before, where nobody has named its inputs or outputs anew.

Callers send fields by name. A version that was published from a bare array would quietly ask them for ``x0, x1``
where the one before took ``age, income``; so the earlier names stay, and that is told.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensortrigger_lab.client import Client
from tensortrigger_lab.display import version_name
from tensortrigger_lab.errors import ApiError
from tensortrigger_lab.example_rows import ExampleRows
from tensortrigger_lab.signature import input_side
from tensortrigger_lab.wire import ModelRecord, VectorSide, names_in_order

SHOWN = 6


def with_earlier_names(
    client: Client,
    name: str,
    schema: dict[str, Any] | None,
    rows: ExampleRows | None,
    *,
    guessed: bool,
    outputs: int | None,
) -> tuple[dict[str, Any] | None, str]:
    """The schema to declare, and what is to be told about it; the same and nothing where nothing is kept.

    Args:
        schema: as the example or the model's shape gives it.
        rows: the example, which says whether an earlier whole number is still one.
        guessed: whether the schema's input names stand for nothing that the user wrote.
        outputs: how many numbers the model gives, where that is known and nobody has named them.

    Raises:
        TensorTriggerError: no answer came; what the backend refuses to tell is taken as nothing to keep.
    """
    if schema is None and not guessed:
        return schema, ""
    earlier = _latest(client, name)
    if earlier is None or earlier.schema is None:
        return schema, ""
    if schema is None:
        if all(field == f"x{index}" for index, field in enumerate(earlier.input_names)):
            return schema, ""
        told = f"{version_name(earlier)} takes named numbers ({_listed(earlier.input_names)}), "
        return schema, f"{told}none were named for this version"
    side = input_side(schema)
    kept: list[str] = []
    if guessed and len(side) == len(earlier.input_names) and names_in_order(side) != earlier.input_names:
        side = _typed(earlier.schema["input_schema"], rows)
        kept.append(_listed(earlier.input_names))
    named = earlier.schema.get("output_schema")
    if named and outputs == len(named) and set(side) == set(earlier.input_names):
        schema = {"input_schema": side, "output_schema": named}
        kept.append(f"outputs {_listed(earlier.output_names)}")
    elif kept:
        schema = dict(side)
    return schema, f"names kept from {version_name(earlier)}: {'; '.join(kept)}" if kept else ""


def _latest(client: Client, name: str) -> ModelRecord | None:
    """The name's latest version; None where there is none, or where the key may only publish."""
    try:
        found = client.models(name=name, state="ready", limit=1)
    except ApiError:
        return None
    return found[0] if found else None


def _typed(side: VectorSide, rows: ExampleRows | None) -> VectorSide:
    """The earlier fields; one that was INT is FLOAT now where the example holds a fraction in its place."""
    fractions = np.zeros(len(side), bool)
    if rows is not None and rows.arrays[0].ndim == 2 and rows.arrays[0].shape[1] == len(side):
        values = rows.arrays[0].astype(np.float64)
        fractions = (values != np.floor(values)).any(axis=0)
    return {
        name: {**entry, "var_type": "FLOAT"}
        if entry["var_type"].upper() == "INT" and fractions[entry["index"]]
        else entry
        for name, entry in side.items()
    }


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
