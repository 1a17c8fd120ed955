"""Publishes a Keras model: schema from the example, upload, and a check that the endpoint answers alike."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensortrigger_lab import answers, artifacts, signature
from tensortrigger_lab.client import Client, reference_to
from tensortrigger_lab.comparison import Check, compare, in_order
from tensortrigger_lab.display import size_told
from tensortrigger_lab.earlier_names import with_earlier_names
from tensortrigger_lab.endpoint import Model
from tensortrigger_lab.errors import BadInput, ModelRefused, NotReady, TensorTriggerError
from tensortrigger_lab.example_rows import ExampleRows, example_rows
from tensortrigger_lab.notebook_objects import is_frame, is_keras_model
from tensortrigger_lab.progress import progress_for
from tensortrigger_lab.session import session
from tensortrigger_lab.wire import ModelRecord

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
POLL = 0.25
"""Seconds between two looks at a version that is not ready yet."""
TIMEOUT = 900.0
"""Seconds until a version must be ready: several times what a large model takes on a small machine."""


def publish(
    model: Any,
    name: str,
    example: Any = None,
    description: str = "",
    schema: Mapping[str, Any] | None = None,
    *,
    progress: bool = True,
    timeout: float = TIMEOUT,
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
        schema: ``{name: {var_type, index}}`` or ``{input_schema, output_schema}``, not to be inferred. Where
            neither it nor a DataFrame names the inputs, and the latest version of the same name has names for
            as many, those stay: whoever calls the endpoint goes on as before. This is told.
        progress: whether to show it.
        timeout: seconds to wait until the version is ready.

    Raises:
        BadInput: name, example or schema cannot be right; nothing was sent.
        ModelRefused: the backend does not accept the model; the faults name the layer and the remedy.
        NotReady: it took longer than ``timeout``; the error names the version, which may still become ready.
        TensorTriggerError: see the tree in ``errors``.

    Example:
        >>> tt.publish(model, name="churn", example=X_train)  # doctest: +SKIP
        Model 'churn' version 1, ready
    """
    check_name(name)
    client = client or session().client
    with progress_for(progress) as shown:
        shown.show("saving the model")
        package = packed(model, name, example, description, schema)
        declared, remark = with_earlier_names(
            client, name, package.schema, package.rows, guessed=package.guessed, outputs=package.outputs
        )
        shown.show("checking, rebuilding and verifying", note=size_told(len(package.content)))
        record = client.publish(
            artifacts.encoded(package.content),
            name=name,
            title=package.title,
            description=description,
            schema=declared,
            idempotency_key=uuid.uuid4().hex,
        )
        record = ready(client, record, lambda now: shown.show(now.state), timeout)
        if package.rows is not None:
            shown.show("comparing with model.predict")
        check = compared(client, record, package)
        told = f"published {record.name!r} version {record.version}: {check}"
        shown.finish(f"{told}; {remark}" if remark else told)
    return Model(record, client, example=example_body(record, package.rows), check=check, remark=remark)


@dataclass(frozen=True, slots=True)
class Package:
    """What publishing needs of a model: taken while nothing changes it, sent whenever.

    Attributes:
        content: the bytes of the saved file.
        schema: what is declared; None for a model that takes tensors.
        rows: the example's first rows; None where there was no example or none of its rows is finite.
        predicted: what the model said to them; None where nothing in this process could.
        given: whether there was an example.
        guessed: whether the schema's input names stand for nothing that the user wrote.
        outputs: how many numbers the model gives, where that is known and nobody has named them.
    """

    name: str
    title: str
    description: str
    content: bytes
    schema: dict[str, Any] | None
    rows: ExampleRows | None
    predicted: Any
    given: bool
    guessed: bool = False
    outputs: int | None = None


def packed(
    model: Any,
    name: str,
    example: Any = None,
    description: str = "",
    schema: Mapping[str, Any] | None = None,
    *,
    title: str = "",
) -> Package:
    """Save the model and ask it the example, without a word to any backend; see ``publish``.

    Raises:
        BadInput: name, example or schema cannot be right.
    """
    check_name(name)
    declared = declared_schema(model, example, schema)
    rows = example_rows(example) if example is not None else None
    predicted = _predicted(model, rows) if rows is not None else None
    content = artifacts.model_bytes(model)
    return Package(
        name,
        title or name,
        description,
        content,
        declared,
        rows,
        predicted,
        given=example is not None,
        guessed=schema is None and not is_frame(example),
        outputs=schema_width(getattr(model, "output_shape", None)) if schema is None else None,
    )


def check_name(name: str) -> None:
    """Refuse a name that cannot stand in a URL.

    Raises:
        BadInput: with one that could, where that can be made of it.
    """
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


def ready(
    client: Client,
    record: ModelRecord,
    seen: Callable[[ModelRecord], object],
    timeout: float = TIMEOUT,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> ModelRecord:
    """Follow a version until it is ready.

    Args:
        seen: is told how it stands at each look; what it raises ends the waiting.
        timeout: seconds.

    Raises:
        ModelRefused: with the report's faults.
        NotReady: it takes longer than ``timeout``.
    """
    until = clock() + timeout
    seen(record)
    while record.state not in ("ready", "refused"):
        if clock() >= until:
            raise NotReady(
                f"Version {record.model_id} of {record.name!r} is still {record.state} after {timeout:g} s. It goes "
                f"on: look with tt.model({record.model_id!r}), or wait longer with publish(..., timeout=...).",
                record.model_id,
                record.state,
            )
        sleep(POLL)
        record = client.model(record.model_id)
        seen(record)
    if record.state == "refused":
        first = record.faults[0].message if record.faults else "the backend gave no reason."
        raise ModelRefused(f"The model was refused: {first}", faults=record.faults, status=400)
    return record


def compared(client: Client, record: ModelRecord, package: Package) -> Check:
    """Ask the endpoint the example's rows, and compare; never raises an error of ours."""
    rows, predicted = package.rows, package.predicted
    if rows is None:
        return Check(
            None, reason="no row of the example is finite." if package.given else "no example was given."
        )
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


def example_body(record: ModelRecord, rows: ExampleRows | None) -> dict[str, Any] | None:
    """The members, less the model, of a request that runs the example's first row."""
    if rows is None:
        return None
    if record.schema is not None:
        return {"input_vector": rows.vectors(record.schema["input_schema"])[0]}
    return {"inputs": rows.inputs(record, 1)}
