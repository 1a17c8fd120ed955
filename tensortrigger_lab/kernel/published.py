"""What a front end shows once a model is published: the model, the check, and lines to copy."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tensortrigger_lab.comparison import Check
from tensortrigger_lab.display import version_name
from tensortrigger_lab.kernel.wanted import Wanted
from tensortrigger_lab.wire import ModelRecord, Signature

LONGEST_CELL = 2000
"""Characters; a longer example is replaced by its shape, since no one reads an image in a cell."""


def model_members(record: ModelRecord) -> dict[str, Any]:
    """The version in the API's own words, as far as the client keeps them."""
    return {
        "model_id": record.model_id,
        "name": record.name,
        "version": record.version,
        "model_name": record.title,
        "model_description": record.description,
        "model_schema": record.schema,
        "state": record.state,
        "created": record.created,
        "size": record.size,
        "signature": _signature(record.signature),
        "engine": record.engine,
        "engine_reason": record.engine_reason,
        "max_deviation": record.max_deviation,
        "report": {"faults": [asdict(fault) for fault in record.faults]},
        "aliases": list(record.aliases),
        "tags": dict(record.tags),
        "receipt": asdict(record.receipt) if record.receipt is not None else None,
        "repairs": [asdict(repair) for repair in record.repairs],
        "checks": list(record.checks),
    }


def check_members(check: Check) -> dict[str, Any]:
    """The comparison with ``model.predict``."""
    return {
        "matched": check.equal,
        "largest_deviation": check.largest_difference,
        "rows": check.rows,
        "reason": check.reason or None,
    }


def publish_line(wanted: Wanted) -> str | None:
    """A line for a notebook that publishes the same; None where no variable holds the model."""
    if wanted.variable is None:
        return None
    options = f" --example {wanted.example_name}" if wanted.example_name else ""
    options += f" --alias {wanted.alias}" if wanted.alias else ""
    options += "".join(f" --tag {shlex.quote(f'{key}={value}')}" for key, value in wanted.tags.items())
    told = " ".join(wanted.description.split())
    options += f" --description {shlex.quote(told)}" if told else ""
    return f"%tt publish {wanted.variable} --name {wanted.name}{options}"


def scoring_cell(record: ModelRecord, body: Mapping[str, Any]) -> str:
    """A cell that asks the version for the example's first row, and says how to score a file."""
    reference = version_name(record)
    if "input_vector" in body:
        x, imports = _vector(body["input_vector"]), ""
    else:
        x, imports = _tensors(body["inputs"])
    return (
        f"import tensortrigger_lab as tt\n{imports}\n"
        f"tt.run({reference!r}, {x})\n"
        f"# A whole table, in the background: tt.score({reference!r}, 'rows.csv')\n"
    )


def _vector(values: Any) -> str:
    if not isinstance(values, Mapping) or len(repr(values)) < 80:
        return repr(values)
    return "{\n" + "".join(f"    {name!r}: {value!r},\n" for name, value in values.items()) + "}"


def _tensors(inputs: Any) -> tuple[str, str]:
    """The expression, and the import that it needs."""
    if isinstance(inputs, Mapping):
        parts = {name: _tensor(values) for name, values in inputs.items()}
        return "{" + ", ".join(
            f"{name!r}: {part}" for name, part in parts.items()
        ) + "}", "import numpy as np\n"
    return _tensor(inputs), "import numpy as np\n"


def _tensor(values: Any) -> str:
    told = repr(values)
    if len(told) <= LONGEST_CELL:
        return f"np.array({told})"
    shape: list[int] = []
    while isinstance(values, list):
        shape.append(len(values))
        values = values[0] if values else None
    return f"np.zeros({tuple(shape)})"


def _signature(signature: Signature | None) -> dict[str, Any] | None:
    return asdict(signature) if signature is not None else None
