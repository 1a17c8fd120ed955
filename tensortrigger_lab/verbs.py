"""The functions that a notebook calls about what is there already: run, score, models, jobs, runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from tensortrigger_lab import display, inference, scoring
from tensortrigger_lab.background import Job
from tensortrigger_lab.client import PAGE, Client
from tensortrigger_lab.endpoint import Model
from tensortrigger_lab.errors import BadInput, TensorTriggerError
from tensortrigger_lab.run_handle import Run
from tensortrigger_lab.session import session
from tensortrigger_lab.training import Training
from tensortrigger_lab.watching import found_target
from tensortrigger_lab.wire import JobRecord, PartitionRecord

if TYPE_CHECKING:
    import pandas as pd


def run(model: Model | str, x: Any, *, client: Client | None = None) -> Any:
    """The model's answer to ``x``, in the form in which ``x`` came.

    Args:
        model: a ``Model``, an id, ``name`` (its ``production``, else its latest), ``name/3`` or ``name@alias``.
        x: one vector (a dict of numbers, a Series, a list or array of shape (k,)) or a batch: a DataFrame,
            a list of dicts, an array of shape (n, k) or with more axes, or, for a model with several inputs,
            a dict or list of arrays; batch axis first.

    Returns:
        for one vector its output, a list, or a dict where outputs have names; for a DataFrame a DataFrame
        with the same index; for a list of lists or dicts a list; for arrays an array, or arrays by output
        name where there are several.

    Raises:
        BadInput: a value that cannot be sent, by field and row.
        TensorTriggerError: see the tree in ``errors``.

    Example:
        >>> tt.run("churn", {"age": 41, "visits": 3})  # doctest: +SKIP
        [0.173]
    """
    if isinstance(model, Model):
        return inference.infer(client or model.client, model.model_id, x, model.record)
    return inference.infer(client or session().client, model, x)


@overload
def score(
    model: Model | str,
    source: Any,
    *,
    keep: Sequence[str] = (),
    priority: int | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    webhook: str | None = None,
    wait: Literal[True] = True,
    progress: bool = True,
    client: Client | None = None,
) -> pd.DataFrame: ...


@overload
def score(
    model: Model | str,
    source: Any,
    *,
    keep: Sequence[str] = (),
    priority: int | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    webhook: str | None = None,
    wait: Literal[False],
    progress: bool = True,
    client: Client | None = None,
) -> Job: ...


def score(
    model: Model | str,
    source: Any,
    *,
    keep: Sequence[str] = (),
    priority: int | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    webhook: str | None = None,
    wait: bool = True,
    progress: bool = True,
    client: Client | None = None,
) -> pd.DataFrame | Job:
    """The model's outputs for every row of a file or DataFrame, computed in the backend's background.

    Args:
        model: a ``Model``, an id, ``name``, ``name/3`` or ``name@alias``.
        source: a DataFrame, or the path of a file, which is streamed from disk: ``.csv`` with a header, ``.tsv``,
            ``.ndjson``, ``.parquet`` or ``.arrow``, the text ones perhaps with ``.gz``. Columns are matched by name,
            whatever their order.
        keep: columns of the source that stand before the outputs, such as an id; a text is one name.
        priority: 0 to 9, 5 where it is None; higher goes first among your own jobs.
        delimiter, encoding: of a CSV file that has not commas, or is not UTF-8.
        webhook: an address that is told when the job has ended.
        wait: whether to return only when it is done; else the ``Job`` comes back, once everything is sent.
        progress: whether to show it.

    Returns:
        one float column an output, with the index of the DataFrame (counting from 0 for a file); NaN where a
        row was rejected. ``attrs`` holds ``job_id``, ``model_id``, ``rows_rejected`` and 1,000 ``rejects``.

    Raises:
        BadInput: no such file, or an empty table.
        JobFailed: the job failed, or somebody cancelled it.
        TensorTriggerError: see the tree in ``errors``. A KeyboardInterrupt cancels the job.

    Warns:
        RowsRejected: rows have no score; with the first one's reason.

    Example:
        >>> tt.score("churn", "customers.parquet", keep=["customer"])  # doctest: +SKIP
    """
    choices = scoring.Choices(keep, priority, delimiter, encoding, webhook)
    if isinstance(model, Model):
        client, model = client or model.client, model.model_id
    if not wait:
        return scoring.order(client or session().client, model, source, choices=choices, progress=progress)
    return scoring.score(client or session().client, model, source, choices=choices, progress=progress)


score_csv = score
"""``score`` by its earlier name."""


def model(reference: str, *, client: Client | None = None) -> Model:
    """A published version by id, ``name`` (its ``production``, else its latest), ``name/3`` or ``name@alias``.

    Example:
        >>> tt.model("churn/2").engine  # doctest: +SKIP
        'onnxruntime'
    """
    client = client or session().client
    return Model(client.model(reference), client)


def models(
    name: str | None = None,
    *,
    alias: str | None = None,
    tag: str | Sequence[str] | Mapping[str, str] | None = None,
    q: str | None = None,
    state: str | None = None,
    author: str | None = None,
    format: str | None = None,  # noqa: A002 - the API's own word
    engine: str | None = None,
    limit: int = 100,
    client: Client | None = None,
) -> display.Listing[Model]:
    """The newest published versions, newest first, as a list that shows itself as a table.

    Args:
        name: only the versions of this model.
        alias: only those which an alias of that name means now.
        tag: ``key:value``, several of them, or a mapping; only those that have all of them.
        q: only those with this text in name, title or description.
        state, author, format, engine: only those that are so.

    Example:
        >>> [model.name for model in tt.models()]  # doctest: +SKIP
        ['churn', 'churn']
    """
    client = client or session().client
    records = client.models(
        name=name,
        state=state,
        alias=alias,
        tag=tag,
        author=author,
        format=format,
        engine=engine,
        q=q,
        limit=limit,
    )
    found = [Model(record, client) for record in records]
    return display.Listing(
        found,
        display.MODEL_HEADINGS,
        lambda model: display.model_row(model.record),
        "No models yet: publish one with tt.publish(model, name=..., example=X).",
    )


def delete(reference: str, *, force: bool = False, client: Client | None = None) -> Model:
    """Remove one version for good; the model that it was.

    Args:
        reference: an id or ``name/3``; a bare name or an alias is refused, since it means another version at
            another time.
        force: although an alias means it; the alias goes too.

    Raises:
        Conflict: an alias means it.
    """
    found = model(reference, client=client)
    if reference == found.name or "@" in reference:
        raise BadInput(
            "A name or an alias does not say for certain which version shall go.",
            expected=f"an id or {display.version_name(found.record)}",
            got=reference,
        )
    found.delete(force=force)
    return found


def job(job_id: str, *, client: Client | None = None) -> Job | Training:
    """One job: a ``Job`` that scores a CSV, or a ``Training``; both with ``wait()`` and ``cancel()``.

    Example:
        >>> tt.job(job_id).wait()  # doctest: +SKIP
    """
    client = client or session().client
    return handle_of(client.job(job_id), client)


def scored_job(job_id: str, *, client: Client | None = None) -> Job:
    """One job that scores a CSV.

    Raises:
        BadInput: it is a training, which has curves and no results.
    """
    found = job(job_id, client=client)
    if isinstance(found, Training):
        raise BadInput(
            f"Job {job_id} is a training: see its metrics instead.", expected="a CSV job", got="a training"
        )
    return found


def handle_of(record: JobRecord, client: Client) -> Job | Training:
    """What a notebook holds of a job of this kind."""
    return Training(record, client) if record.kind == "train" else Job(record, client)


def jobs(
    kind: str | None = None, *, limit: int = 100, client: Client | None = None
) -> display.Listing[Job | Training]:
    """The newest jobs, newest first, as a list that shows itself as a table.

    Args:
        kind: ``score`` or ``train``; None for both.

    Example:
        >>> [job.state for job in tt.jobs()]  # doctest: +SKIP
        ['succeeded']
    """
    client = client or session().client
    records = client.jobs(kind=kind, limit=limit)
    unnamed = any(record.model_name is None for record in records)
    names = _model_names(client) if unnamed else {}
    return display.Listing(
        [handle_of(record, client) for record in records],
        display.JOB_HEADINGS,
        lambda job: display.job_row(job.record, names.get(job.record.model_id)),
        "No jobs yet: start one with tt.score(model, path_or_DataFrame) or tt.train(model, x, y).",
    )


def partitions(job_id: str, *, client: Client | None = None) -> display.Listing[PartitionRecord]:
    """What a job is cut into, and how far each partition is, as a list that shows itself as a table.

    Example:
        >>> [part.state for part in tt.job(job_id).partitions()]  # doctest: +SKIP
        ['done', 'claimed']
    """
    client = client or session().client
    return display.Listing(
        client.job_partitions(job_id),
        display.PARTITION_HEADINGS,
        display.partition_row,
        "No partitions: a training is not cut, nor a table without rows.",
    )


def runs(
    model: str | None = None, *, state: str | None = None, limit: int = 100, client: Client | None = None
) -> display.Listing[Run]:
    """The newest training runs, newest first, as a list that shows itself as a table.

    Args:
        model: only those of this model's name.
        state: only those that are ``running``, ``succeeded``, ``failed``, ``cancelled`` or ``lost``.

    Example:
        >>> tt.runs("churn")[0].metrics()["loss"].plot()  # doctest: +SKIP
    """
    client = client or session().client
    return display.Listing(
        [Run(record, client) for record in client.runs(model=model, state=state, limit=limit)],
        display.RUN_HEADINGS,
        lambda run: display.run_row(run.record),
        "No runs yet: start one with tt.train(model, x, y), or with model.fit(..., callbacks=[tt.callback(name)]).",
    )


def run_of(run_id: str, *, client: Client | None = None) -> Run:
    """One training run: its state, ``metrics()``, ``history()``, ``watch()``.

    Example:
        >>> tt.run_of(run_id).history()["loss"].min()  # doctest: +SKIP
        0.21
    """
    client = client or session().client
    return Run(client.run_record(run_id), client)


def metrics(run: Run | Training | str | None = None, *, client: Client | None = None) -> pd.DataFrame:
    """A run's points as a table: kind, step, epoch, time, then a column a metric.

    Args:
        run: a ``Run``, a ``Training``, an id, or None for the newest run.

    Example:
        >>> tt.metrics().query("kind == 'epoch'")["val_loss"].min()  # doctest: +SKIP
        0.31
    """
    found = found_target(run, client or session().client)
    if isinstance(found, Job):
        raise BadInput(f"Job {found.job_id} scores a CSV: it has no metrics.", expected="a run or a training")
    return found.metrics()


def _model_names(client: Client) -> dict[str, str]:
    """``name/3`` by id of the newest models; empty where the key may not list them."""
    try:
        return {record.model_id: display.version_name(record) for record in client.models(limit=PAGE)}
    except TensorTriggerError:
        return {}
