"""What publishing needs of a model, taken at one moment, and what of it cannot be right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tensortrigger_lab import signature
from tensortrigger_lab.artifacts import Artifact, artifact_of
from tensortrigger_lab.errors import BadInput
from tensortrigger_lab.example_rows import ExampleRows, example_rows
from tensortrigger_lab.notebook_objects import is_frame, is_keras_model
from tensortrigger_lab.proof import Answered, answered, sample
from tensortrigger_lab.provenance import Details
from tensortrigger_lab.reference import NAME


@dataclass(frozen=True, slots=True)
class Package:
    """What publishing needs of a model: taken while nothing changes it, sent whenever.

    Attributes:
        artifact: the bytes of the saved file; to be closed.
        schema: what is declared; None for a model that takes tensors.
        rows: the example's first rows; None where there was no example or none of its rows is finite.
        predicted: what the model said to them; None where nothing in this process could.
        given: whether there was an example.
        guessed: whether the schema's input names stand for nothing that the user wrote.
        outputs: how many numbers the model gives, where that is known and nobody has named them.
        answered: rows and answers that the endpoint shall reproduce; None where there are none.
        details: what is told of the version beside its bytes.
    """

    name: str
    title: str
    description: str
    artifact: Artifact
    schema: dict[str, Any] | None
    rows: ExampleRows | None
    predicted: Any
    given: bool
    guessed: bool = False
    outputs: int | None = None
    answered: Answered | None = None
    details: Details = field(default_factory=Details)


def packed(
    model: Any,
    name: str,
    example: Any = None,
    description: str = "",
    schema: Mapping[str, Any] | None = None,
    *,
    title: str = "",
    details: Details | None = None,
) -> Package:
    """Save the model and ask it the example, without a word to any backend; see ``publish``.

    Raises:
        BadInput: name, example or schema cannot be right.
    """
    check_name(name)
    declared = declared_schema(model, example, schema)
    rows = example_rows(example) if example is not None else None
    predicted = _predicted(model, rows) if rows is not None else None
    if predicted is not None and rows is not None:
        found: Answered | None = answered(model, rows, predicted)
    else:
        found = sample(model) if example is None and is_keras_model(model) else None
    return Package(
        name,
        title or name,
        description,
        artifact_of(model),
        declared,
        rows,
        predicted,
        given=example is not None,
        guessed=schema is None and not is_frame(example),
        outputs=schema_width(getattr(model, "output_shape", None)) if schema is None else None,
        answered=found,
        details=details or Details(),
    )


def check_name(name: str) -> None:
    """Refuse a name that cannot stand in a URL.

    Raises:
        BadInput: with one that could, where that can be made of it.
    """
    if not isinstance(name, str):
        raise BadInput("The name is no text.", field="name", expected="text", got=type(name).__name__)
    if not NAME.fullmatch(name):
        made = re.sub(r"[^a-z0-9._-]+", "-", name.strip().lower()).strip("-._")[:63]
        hint = f", such as {made!r}" if made else ""
        raise BadInput(
            "The name cannot stand in a URL.",
            field="name",
            expected=f"1 to 63 of a-z, 0-9, '.', '_' and '-'{hint}",
            got=repr(name[:80]),
        )


def declared_schema(model: Any, example: Any, schema: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The schema to declare, None for a model that takes tensors; it fits the model where that is at hand."""
    keras = is_keras_model(model)
    shape = getattr(model, "input_shape", None) if keras and model.built else None
    vector = schema_width(shape)
    if schema is not None:
        found: dict[str, Any] | None = signature.checked_schema(schema)
    elif example is not None:
        found = dict(signature.infer_schema(example) or {}) or None
        if shape is not None and vector is None and not is_frame(example):
            # Rows of numbers, but the model reads them as a sequence of free length or as more axes.
            found = None
    else:
        found = dict(signature.schema_of_shape(shape) or {}) or None
    if found is not None:
        signature.check_width(found, vector)
    return found


def schema_width(shape: Any) -> int | None:
    """k of an ``input_shape`` (None, k); None for any other."""
    return len(signature.schema_of_shape(shape) or ()) or None


def _predicted(model: Any, rows: ExampleRows) -> Any:
    """What the model in this process says to the rows; None where there is only a file."""
    if not is_keras_model(model):
        return None
    try:
        return model.predict(rows.for_keras, verbose=0)
    except (ValueError, TypeError) as error:
        told = str(error).strip().splitlines()
        raise BadInput(f"model.predict does not take the example: {told[0] if told else error}") from error
