"""What a client asks about background work: score a CSV, train a model, watch, cancel, collect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tensortrigger_lab.calls.call import Call, Pages, Seen, read_member
from tensortrigger_lab.calls.models import reference_to, suggesting
from tensortrigger_lab.request import KEY_HEADER, Body, Request, segment
from tensortrigger_lab.wire import JobRecord, Reject, text


def start_job(seen: Seen, model: str, body: Body, *, idempotency_key: str) -> Call[str]:
    """Stream a CSV up and queue it; the id of the job.

    Args:
        model: an id, ``name`` or ``name/3``.
        body: opens the CSV's bytes, anew each time it is called.
    """
    request = Request(
        "POST",
        "/jobs",
        params={name: str(value) for name, value in reference_to(model).items()},
        headers={"Content-Type": "text/csv", KEY_HEADER: idempotency_key},
        body=body,
    )
    return (yield from _started(seen, model, request))


def start_training(seen: Seen, model: str, body: Mapping[str, Any], *, idempotency_key: str) -> Call[str]:
    """Queue a training; the id of the job, which is the id of its run too.

    Args:
        model: an id, ``name`` or ``name/3``.
        body: ``input_vectors`` and ``output_vectors``, or ``inputs`` and ``outputs``, and what else
            ``PATCH /tensor/train`` takes: ``epochs``, ``batch_size`` and so on.
    """
    members = {**reference_to(model), **body}
    request = Request("PATCH", "/tensor/train", members, headers={KEY_HEADER: idempotency_key})
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


def results_request(job_id: str) -> Request:
    """The results as CSV: ``row`` (from 0), then the outputs; rejected rows are absent."""
    return Request("GET", f"/jobs/{segment(job_id)}/results", headers={"Accept": "text/csv"})


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
