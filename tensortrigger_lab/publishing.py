"""Publishes a Keras model: schema from the example, upload, and a check that the endpoint answers alike."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tensortrigger_lab import answers
from tensortrigger_lab.client import Client, reference_to
from tensortrigger_lab.comparison import Check, compare, in_order
from tensortrigger_lab.display import size_told
from tensortrigger_lab.earlier_names import with_earlier_names
from tensortrigger_lab.endpoint import Model
from tensortrigger_lab.errors import ModelRefused, NotReady, TensorTriggerError
from tensortrigger_lab.example_rows import ExampleRows
from tensortrigger_lab.packing import Package, check_name, packed
from tensortrigger_lab.progress import progress_for
from tensortrigger_lab.provenance import details_of
from tensortrigger_lab.sending import Sending
from tensortrigger_lab.session import session
from tensortrigger_lab.wire import ModelRecord

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
    alias: str | None = None,
    tags: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
    author: str | None = None,
    git_commit: str | None = None,
    notebook: str | None = None,
    progress: bool = True,
    timeout: float = TIMEOUT,
    client: Client | None = None,
) -> Model:
    """Make a Keras model an endpoint, and see that it answers as ``model.predict`` does.

    The example's rows and what the model says to them go along, and the version becomes ready only when the
    endpoint reproduces them; ``tt.receipt(model)`` is the proof. Without an example a few rows are made from the
    model's inputs where that is safe; else the backend makes some.

    Args:
        model: a built Keras model, or the path of a ``.keras``, ``.h5`` or ``.onnx`` file, of a SavedModel's
            folder, or of a ``.zip`` or ``.tar.gz`` of one.
        name: 1 to 63 of a-z, 0-9, ``.``, ``_``, ``-``; publishing again under a name makes its next version.
        example: rows that the model takes: a DataFrame of shape (n, k), whose columns name the inputs and
            whose dtypes say INT or FLOAT; an array, batch axis first; a list or mapping of arrays for several
            inputs. The first 32 rows with finite values are run on both sides.
        description: for people.
        schema: ``{name: {var_type, index}}`` or ``{input_schema, output_schema}``, not to be inferred. Where
            neither it nor a DataFrame names the inputs, and the latest version of the same name has names for
            as many, those stay: whoever calls the endpoint goes on as before. This is told.
        alias: a name such as ``production`` that shall mean this version from the moment it is ready.
        tags: ``{key: value}``, to find it by.
        metrics: ``{name: number}``; by default the last epoch of the model's own training in this process.
        author: by default the user of this JupyterHub; elsewhere nobody, unless you say so.
        git_commit: by default the commit of this folder, where it is in a git work tree.
        notebook: by default the file name of the notebook that this runs in. ``""`` keeps any of the three back.
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
    details = details_of(
        model,
        alias=alias,
        tags=tags,
        metrics=metrics,
        author=author,
        notebook=notebook,
        git_commit=git_commit,
    )
    with progress_for(progress) as shown:
        shown.show("saving the model")
        package = packed(model, name, example, description, schema, details=details)
        with package.artifact:
            declared, remark = with_earlier_names(
                client, name, package.schema, package.rows, guessed=package.guessed, outputs=package.outputs
            )
            sending = Sending(package, declared, client, uuid.uuid4().hex)
            size = size_told(package.artifact.size)
            record = sending.sent(
                told=lambda done, total: shown.show("uploading", done, total, size_told(total, done)),
                handed_over=lambda: shown.show("checking, rebuilding and verifying", note=size),
            )
        record = ready(client, record, lambda now: shown.show(now.state), timeout)
        if package.rows is not None:
            shown.show("comparing with model.predict")
        check = compared(client, record, package)
        remark = "; ".join(part for part in (remark, sending.remark) if part)
        told = f"published {record.name!r} version {record.version}: {check}"
        shown.finish(f"{told}; {remark}" if remark else told)
    return Model(record, client, example=example_body(record, package.rows), check=check, remark=remark)


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
            what = "no forge has taken it yet" if record.state == "received" else "it goes on"
            raise NotReady(
                f"Version {record.model_id} of {record.name!r} is still {record.state} after {timeout:g} s; "
                f"{what}: look with tt.model({record.model_id!r}), or wait longer with publish(..., timeout=...).",
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
