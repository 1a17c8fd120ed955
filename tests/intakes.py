"""Uploads through the intake, and what jobs make of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tensortrigger_backend.domain.access import Principal, Scope
from tensortrigger_backend.domain.job_options import JobOptions, RowFormat
from tensortrigger_backend.domain.jobs import Job
from tensortrigger_backend.domain.models import ModelVersion
from tensortrigger_backend.services.intake import feed_all
from tensortrigger_backend.services.results import Span, column_names

if TYPE_CHECKING:
    from tests.backend.services.conftest import JobLine


ANN = Principal("ann", frozenset(Scope))
SCHEMA = {"a": {"var_type": "FLOAT", "index": 0}, "b": {"var_type": "FLOAT", "index": 1}}
CSV = b"id,a,b\r\n" + b"".join(b'"n\n%d",%d,%d\r\n' % (at, at, at + 1) for at in range(25))


def upload(
    line: JobLine,
    version: ModelVersion,
    data: bytes,
    block: int = 1 << 16,
    row_format: RowFormat | None = None,
    **options: Any,
) -> Job:
    """Have rows scored, sent so many bytes at a time."""
    scoring = line.scoring()
    intake = scoring.intake(ANN, version.model_id, None, JobOptions(**options), row_format)
    try:
        feed_all(intake, (data[at : at + block] for at in range(0, len(data), block)))
        return scoring.submit(intake)[0]
    finally:
        intake.abort()


def stored(line: JobLine, job: Job) -> bytes:
    """The upload of a job, as it lies in storage."""
    with line.scoring().upload(ANN, job.job_id) as stream:
        return stream.read()


def table(line: JobLine, job: Job, span: Span | None = None) -> dict[str, list[Any]]:
    """Columns of the results by name."""
    columns: dict[str, list[Any]] = {name: [] for name in column_names(line.state(job))}
    for part in line.scoring().results(ANN, job.job_id, span):
        for name, column in part.table().items():
            columns[name] += column.tolist() if isinstance(column, np.ndarray) else column.values()
    return columns
