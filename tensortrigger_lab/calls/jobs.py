"""What a client asks about background work: score a CSV, train a model, watch, cancel, collect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from tensortrigger_lab.calls.call import PAGE, Call, Pages, Seen, read_answer, read_member
from tensortrigger_lab.calls.models import reference_to, suggesting
from tensortrigger_lab.request import KEY_HEADER, Body, Request, segment
from tensortrigger_lab.wire import JobRecord, LogLine, PartitionRecord, Reject, listed, member, text, whole

T = TypeVar("T")


def start_job(
    seen: Seen,
    model: str,
    body: Body,
    *,
    idempotency_key: str,
    media_type: str = "text/csv",
    keep: Sequence[str] = (),
    priority: int | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    webhook: str | None = None,
) -> Call[str]:
    """Stream a table up and queue its scoring; the id of the job.

    Args:
        model: an id, ``name``, ``name/3`` or ``name@alias``.
        body: opens the table's bytes, anew each time it is called; gzipped text is told from its bytes.
        media_type: of the bytes: CSV, NDJSON, Parquet or Arrow.
        keep: columns that the results carry through.
        priority: 0 to 9, 5 where it is not said; higher goes first among your own jobs.
        delimiter, encoding: of a CSV that has not commas, or is not UTF-8.
        webhook: an address that is told when the job has ended.
    """
    chosen: Mapping[str, str | int | None] = {
        "keep": columns_told(keep) or None,
        "priority": priority,
        "delimiter": delimiter,
        "encoding": encoding,
        "webhook": webhook,
    }
    params: dict[str, str | int | Sequence[str]] = {
        name: str(value) for name, value in reference_to(model).items()
    }
    params |= {name: value for name, value in chosen.items() if value is not None}
    request = Request(
        "POST",
        "/jobs",
        params=params,
        headers={"Content-Type": media_type, KEY_HEADER: idempotency_key},
        body=body,
    )
    return (yield from _started(seen, model, request))


def start_stored_job(
    seen: Seen,
    model: str,
    source: str,
    key: str,
    choices: Mapping[str, Any] | None = None,
    *,
    idempotency_key: str,
) -> Call[str]:
    """Queue the scoring of a file that lies in one of the backend's configured sources; the id of the job.

    Args:
        model: an id, ``name``, ``name/3`` or ``name@alias``.
        source, key: the source's name, and the file's path in it; see ``job_sources``.
        choices: ``keep``, ``priority``, ``delimiter``, ``encoding`` and ``webhook`` as for ``start_job``.
    """
    members = {**reference_to(model), "source": {"name": source, "key": key}, **(choices or {})}
    request = Request("POST", "/jobs", members, headers={KEY_HEADER: idempotency_key})
    return (yield from _started(seen, model, request))


def job_sources(_: Seen) -> Call[list[str]]:
    """The names of the sources from which jobs may read files."""
    answer = yield Request("GET", "/jobs/sources")
    return list(read_member(answer, "sources", listed(text)))


def start_training(seen: Seen, model: str, body: Mapping[str, Any], *, idempotency_key: str) -> Call[str]:
    """Queue a training; the id of the job, which is the id of its run too.

    Args:
        model: an id, ``name``, ``name/3`` or ``name@alias``.
        body: ``input_vectors`` and ``output_vectors``, or ``inputs`` and ``outputs``, and what else
            ``PATCH /tensor/train`` takes: ``epochs``, ``batch_size`` and so on.
    """
    members = {**reference_to(model), **body}
    request = Request("PATCH", "/tensor/train", members, headers={KEY_HEADER: idempotency_key})
    job_id = yield from _started(seen, model, request)
    seen.runs.add(job_id)
    return job_id


def start_file_training(
    seen: Seen,
    model: str,
    body: Body,
    *,
    idempotency_key: str,
    labels: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> Call[str]:
    """Stream a CSV with label columns up and queue a training on it; the id of the job and of its run.

    Args:
        model: an id, ``name``, ``name/3`` or ``name@alias``.
        body: opens the CSV's bytes, anew each time it is called.
        labels: the columns that are learnt; none means the model's declared outputs.
        options: ``epochs``, ``batch_size``, ``delimiter``, ``rejects`` and what else ``POST /tensor/train`` takes.
    """
    params: dict[str, str | int | Sequence[str]] = {
        name: str(value) for name, value in reference_to(model).items()
    }
    if labels:
        params["labels"] = columns_told(labels)
    for name, value in (options or {}).items():
        params[name] = str(value).lower() if isinstance(value, bool) else str(value)
    headers = {"Content-Type": "text/csv", KEY_HEADER: idempotency_key}
    request = Request("POST", "/tensor/train", params=params, headers=headers, body=body)
    job_id = yield from _started(seen, model, request)
    seen.runs.add(job_id)
    return job_id


def job(seen: Seen, job_id: str) -> Call[JobRecord]:
    """The job as it stands now."""
    answer = yield Request("GET", f"/jobs/{segment(job_id)}")
    return _noted(seen, read_member(answer, "job", JobRecord.read))


def job_pages(seen: Seen, *, kind: str | None = None, state: str | None = None) -> Pages[JobRecord]:
    """Every job, newest first, page by page as they are asked for.

    Args:
        kind: ``score`` or ``train``; None for both.
    """
    filters = {"kind": kind, "state": state}
    return Pages("/jobs", "jobs", JobRecord.read, filters, lambda record: _noted(seen, record))


def jobs(
    seen: Seen, *, kind: str | None = None, state: str | None = None, limit: int = 100
) -> Call[list[JobRecord]]:
    """The newest ``limit`` jobs, newest first."""
    return (yield from job_pages(seen, kind=kind, state=state).first(limit))


def cancel_job(_: Seen, job_id: str) -> Call[None]:
    """Stop a job. Safe to repeat."""
    yield Request("POST", f"/jobs/{segment(job_id)}/cancel", idempotent=True)


def reject_pages(_: Seen, job_id: str) -> Pages[Reject]:
    """Every row that could not be scored, page by page as they are asked for."""
    return Pages(f"/jobs/{segment(job_id)}/rejects", "rejects", Reject.read, {})


def rejects(seen: Seen, job_id: str, *, limit: int = 1000) -> Call[list[Reject]]:
    """The first ``limit`` rows that could not be scored."""
    return (yield from reject_pages(seen, job_id).first(limit))


def job_partitions(_: Seen, job_id: str) -> Call[list[PartitionRecord]]:
    """The partitions that the job is cut into, in order."""
    return (
        yield from _numbered(f"/jobs/{segment(job_id)}/partitions", "partitions", PartitionRecord.read, -2)
    )


def job_log(_: Seen, job_id: str) -> Call[list[LogLine]]:
    """What happened to the job, oldest first."""
    return (yield from _numbered(f"/jobs/{segment(job_id)}/log", "log", LogLine.read, 0))


def retry_job(_: Seen, job_id: str) -> Call[None]:
    """Try what failed of a failed job again. Safe to repeat."""
    yield Request("POST", f"/jobs/{segment(job_id)}/retry", idempotent=True)


def delete_job(seen: Seen, job_id: str) -> Call[None]:
    """Delete an ended job with its upload and results."""
    yield Request("DELETE", f"/jobs/{segment(job_id)}")
    seen.jobs.discard(job_id)


def webhook_secret(_: Seen) -> Call[str]:
    """What the signatures of your webhooks are made with."""
    answer = yield Request("GET", "/jobs/webhook_secret")
    return read_member(answer, "secret", text)


def results_request(job_id: str, media_type: str = "text/csv") -> Request:
    """The results as CSV, NDJSON or Parquet: ``row`` (from 0), kept columns, outputs; rejected rows are absent."""
    return Request("GET", f"/jobs/{segment(job_id)}/results", headers={"Accept": media_type})


def rejects_request(job_id: str) -> Request:
    """Every rejected row as CSV."""
    return Request("GET", f"/jobs/{segment(job_id)}/rejects", headers={"Accept": "text/csv"})


def columns_told(names: Sequence[str]) -> str:
    """Names of columns as a query has them: a record of a CSV, in which one with a comma stands in marks.

    A text is one name, and not as many as it has letters.
    """
    return ",".join(
        '"{}"'.format(name.replace('"', '""')) if any(mark in name for mark in ', "\r\n') else name
        for name in ((names,) if isinstance(names, str) else names)
    )


def _numbered(path: str, key: str, read: Callable[[Any], T], after: int) -> Call[list[T]]:
    """Every entry of a list whose pages go by number."""
    found: list[T] = []
    following: int | None = after
    while following is not None:
        answer = yield Request("GET", path, params={"after": following, "limit": PAGE})
        entries = read_member(answer, key, listed(read))
        found += entries
        following = read_answer(answer, lambda members: member(members, "next_after", whole, None))
        if not entries:
            break
    return found


def _started(seen: Seen, model: str, request: Request) -> Call[str]:
    answer = yield from suggesting(seen, model, request)
    job_id = read_member(answer, "job_id", text)
    seen.jobs.add(job_id)
    return job_id


def _noted(seen: Seen, record: JobRecord) -> JobRecord:
    seen.jobs.add(record.job_id)
    if record.run_id is not None:
        seen.runs.add(record.run_id)
    return record
