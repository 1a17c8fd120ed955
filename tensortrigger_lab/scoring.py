"""Scores a file of rows or a DataFrame in the background of the backend, streaming both ways."""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from tensortrigger_lab.background import Job
from tensortrigger_lab.client import Client
from tensortrigger_lab.display import size_told
from tensortrigger_lab.errors import BadInput, RowsRejected
from tensortrigger_lab.notebook_objects import is_frame
from tensortrigger_lab.progress import Progress, progress_for
from tensortrigger_lab.rows_file import RowsFile, check_output, rows_file

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 1 << 18
"""Bytes of the upload that are in memory at once."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What may be chosen for a job.

    Attributes:
        keep: columns of the source that stand before the outputs; a text is one name.
        priority: 0 to 9, 5 where it is None; higher goes first among your own jobs.
        delimiter, encoding: of a CSV file that has not commas, or is not UTF-8.
        webhook: an address that is told when the job has ended.
    """

    keep: Sequence[str] = ()
    priority: int | None = None
    delimiter: str | None = None
    encoding: str | None = None
    webhook: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.keep, str):
            object.__setattr__(self, "keep", (self.keep,))


DEFAULTS: Final = Choices()


def score(
    client: Client, reference: str, source: Any, *, choices: Choices = DEFAULTS, progress: bool = True
) -> pd.DataFrame:
    """The model's outputs for every row of ``source``.

    Args:
        reference: the model's id, ``name``, ``name/3`` or ``name@alias``.
        source: a DataFrame, or the path of a CSV, NDJSON, Parquet or Arrow file; columns are matched by name.
        progress: whether to show it.

    Returns:
        one column an output, with the index of the DataFrame (counting from 0 for a file); NaN where a row
        was rejected. ``attrs`` holds ``job_id``, ``model_id``, ``rows_rejected`` and ``rejects``.

    Raises:
        BadInput: no such file, an empty table, or one without a column that is to be kept.
        JobFailed: the job failed, or somebody cancelled it.
        TensorTriggerError: see the tree in ``errors``. A KeyboardInterrupt cancels the job.

    Warns:
        RowsRejected: rows have no score; with the first one's reason.
    """
    sent = choices
    if is_frame(source):
        # What a DataFrame holds need not travel there and back.
        sent = replace(choices, keep=())
        missing = next((name for name in choices.keep if name not in source.columns), None)
        if missing is not None:
            raise BadInput(f"The DataFrame has no column {missing!r}, which is to be kept.", field="keep")
    with progress_for(progress) as shown:
        with rows_file(source) as rows:
            job = start(client, reference, rows, shown, sent)
        job.wait(shown)
        shown.show("reading the results")
        frame = job.results()
        shown.finish(job.summary(explained=False))
    _warn_of_rejects(frame)
    if is_frame(source):
        import pandas as pd

        if len(frame) != len(source):
            raise BadInput(
                f"The backend read {len(frame)} rows of a table that has {len(source)}: "
                "is there a row without any value?"
            )
        frame.index = source.index
        attrs = frame.attrs
        frame = pd.concat([source[list(choices.keep)], frame], axis=1) if choices.keep else frame
        frame.attrs = attrs
    return frame


def order(
    client: Client, reference: str, source: Any, *, choices: Choices = DEFAULTS, progress: bool = True
) -> Job:
    """The job that scores ``source``, once everything is sent; what a DataFrame keeps goes along.

    Raises:
        TensorTriggerError: as for ``score``, but that the job failed.
    """
    with progress_for(progress) as shown, rows_file(source) as rows:
        return start(client, reference, rows, shown, choices)


def score_to(
    client: Client,
    reference: str,
    source: Any,
    output: str | Path | BinaryIO,
    *,
    choices: Choices = DEFAULTS,
    progress: bool = True,
) -> Job:
    """Score ``source`` into a file, streamed: ``row`` (from 0), kept columns, outputs; rejected rows are absent.

    Args:
        output: a file's path, which exists only when it is complete: ``.parquet``, ``.ndjson``, else a CSV; or where
            to write the bytes of a CSV.

    Raises:
        BadInput: no results are written under a file's name like that; no job was ordered.
        OSError: the file cannot be written.
        TensorTriggerError: as for ``score``.
    """
    if isinstance(output, str | Path):
        check_output(output)
    with progress_for(progress) as shown:
        with rows_file(source) as rows:
            job = start(client, reference, rows, shown, choices)
        job.wait(shown)
        if isinstance(output, str | Path):
            job.save(output)
        else:
            with job.results_csv() as chunks:
                output.writelines(chunks)
            output.flush()
    return job


def _warn_of_rejects(frame: pd.DataFrame) -> None:
    """One warning a job, which its id keeps Python from taking for one that was shown already."""
    count, rejects = frame.attrs["rows_rejected"], frame.attrs["rejects"]
    if count:
        why = f" The first: {rejects[0]['message']}" if rejects else ""
        told = f"{count:,} of {len(frame):,} rows were rejected by job {frame.attrs['job_id']}.{why}"
        # The caller of tt.score_csv or Model.score_csv, which called score.
        warnings.warn(told, RowsRejected, stacklevel=4)


def start(
    client: Client, reference: str, rows: RowsFile, progress: Progress, choices: Choices = DEFAULTS
) -> Job:
    """Stream the file up and queue the job."""
    size = rows.path.stat().st_size

    def body() -> Iterator[bytes]:
        sent = 0
        with rows.path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
                sent += len(chunk)
                progress.show("uploading", sent, size, size_told(size, sent))

    job_id = client.start_job(
        reference,
        body,
        idempotency_key=uuid.uuid4().hex,
        media_type=rows.media_type,
        keep=choices.keep,
        priority=choices.priority,
        delimiter=choices.delimiter or rows.delimiter,
        encoding=choices.encoding,
        webhook=choices.webhook,
    )
    return Job(client.job(job_id), client)
