"""Publishes a Keras model: schema from the example, upload, and a check that the endpoint answers alike."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tensortrigger_lab import answers, artifacts, signature
from tensortrigger_lab.client import Client, reference_to
from tensortrigger_lab.comparison import Check, compare, in_order
from tensortrigger_lab.display import size_told
from tensortrigger_lab.endpoint import Model
from tensortrigger_lab.errors import BadInput, ModelRefused, TensorTriggerError
from tensortrigger_lab.example_rows import ExampleRows, example_rows
from tensortrigger_lab.notebook_objects import is_frame, is_keras_model
from tensortrigger_lab.progress import Progress, progress_for
from tensortrigger_lab.session import session
from tensortrigger_lab.wire import ModelRecord

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
POLL = 0.25
"""Seconds between two looks at a version that is not ready yet."""


def publish(
    model: Any,
    name: str,
    example: Any = None,
    description: str = "",
    schema: Mapping[str, Any] | None = None,
    *,
    progress: bool = True,
    client: Client | None = None,
) -> Model:
    """Make a Keras model an endpoint, and see that it answers as ``model.predict`` does.

    Args:
        model: a built Keras model, or the path of a ``.keras`` or ``.h5`` file.
        name: 1 to 63 of a-z, 0-9, ``.``, ``_``, ``-``; publishing again under a name makes its next version.
        example: rows that the model takes: a DataFrame of shape (n, k), whose columns name the inputs and
            whose dtypes say INT or FLOAT; an array, batch axis first; a list or mapping of arrays for several
            inputs. The first 32 rows with finite values are run on both sides.
        description: for people.
        schema: ``{name: {var_type, index}}`` or ``{input_schema, output_schema}``, not to be inferred.
        progress: whether to show it.

    Raises:
        BadInput: name, example or schema cannot be right; nothing was sent.
        ModelRefused: the backend does not accept the model; the faults name the layer and the remedy.
        TensorTriggerError: see the tree in ``errors``.

    Example:
        >>> tt.publish(model, name="churn", example=X_train)  # doctest: +SKIP
        Model 'churn' version 1, ready
    """
    _check_name(name)
    declared = _schema(model, example, schema)
    rows = example_rows(example) if example is not None else None
    predicted = _predicted(model, rows) if rows is not None else None
    client = client or session().client
    with progress_for(progress) as shown:
        shown.show("saving the model")
        content = artifacts.model_bytes(model)
        shown.show("checking, rebuilding and verifying", note=size_told(len(content)))
        record = client.publish(
            artifacts.encoded(content),
            name=name,
            title=name,
            description=description,
            schema=declared,
            idempotency_key=uuid.uuid4().hex,
        )
        record = _ready(client, record, shown)
        if rows is not None:
            shown.show("comparing with model.predict")
        check = _check(client, record, rows, predicted, given=example is not None)
        shown.finish(f"published {record.name!r} version {record.version}: {check}")
    return Model(record, client, example=_example_body(record, rows), check=check)


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        made = re.sub(r"[^a-z0-9._-]+", "-", name.strip().lower()).strip("-._")[:63]
        hint = f", such as {made!r}" if made else ""
        raise BadInput(
            "The name cannot stand in a URL.",
            field="name",
            expected=f"1 to 63 of a-z, 0-9, '.', '_' and '-'{hint}",
            got=repr(name[:80]),
        )


def _schema(model: Any, example: Any, schema: Mapping[str, Any] | None) -> dict[str, Any] | None:
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


def _ready(
    client: Client, record: ModelRecord, shown: Progress, sleep: Callable[[float], None] = time.sleep
) -> ModelRecord:
    """Follow a version until it is ready.

    Raises:
        ModelRefused: with the report's faults.
    """
    while record.state not in ("ready", "refused"):
        shown.show(record.state)
        sleep(POLL)
        record = client.model(record.model_id)
    if record.state == "refused":
        first = record.faults[0].message if record.faults else "the backend gave no reason."
        raise ModelRefused(f"The model was refused: {first}", faults=record.faults, status=400)
    return record


def _check(
    client: Client, record: ModelRecord, rows: ExampleRows | None, predicted: Any, *, given: bool
) -> Check:
    if rows is None:
        return Check(None, reason="no row of the example is finite." if given else "no example was given.")
    if predicted is None:
        return Check(None, reason="it was published from a file.")
    try:
        served = _served(client, record, rows)
    except TensorTriggerError as error:
        return Check(None, reason=f"the endpoint did not answer the example: {error.detail}")
    names = tuple(spec.name for spec in record.signature.outputs) if record.signature else ()
    return compare(in_order(served, names), in_order(predicted, names), rows.count)


def _served(client: Client, record: ModelRecord, rows: ExampleRows) -> Any:
    """What the endpoint says to the rows: an array, or arrays by output name."""
    reference = reference_to(record.model_id)
    if record.schema is None:
        return answers.tensors(client.run_tensors(reference, rows.inputs(record, rows.count)).output)
    outputs = client.run_batch(reference, rows.vectors(record.schema["input_schema"])).output
    if record.output_names:
        return np.array([[row[name] for name in record.output_names] for row in outputs], np.float64)
    if outputs and isinstance(outputs[0], Mapping):
        return {name: answers.tensor([row[name] for row in outputs]) for name in outputs[0]}
    return answers.tensor(outputs)


def _example_body(record: ModelRecord, rows: ExampleRows | None) -> dict[str, Any] | None:
    if rows is None:
        return None
    if record.schema is not None:
        return {"input_vector": rows.vectors(record.schema["input_schema"])[0]}
    return {"inputs": rows.inputs(record, 1)}
