"""Scores a CSV file or a DataFrame in the background of the backend, streaming both ways."""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO

from tensortrigger_lab.background import Job
from tensortrigger_lab.client import Client
from tensortrigger_lab.display import size_told
from tensortrigger_lab.errors import BadInput, RowsRejected
from tensortrigger_lab.notebook_objects import is_frame
from tensortrigger_lab.progress import Progress, progress_for

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 1 << 18
"""Bytes of the upload that are in memory at once."""


def score(client: Client, reference: str, source: Any, *, progress: bool = True) -> pd.DataFrame:
    """The model's outputs for every row of ``source``.

    Args:
        reference: the model's id, ``name`` or ``name/3``.
        source: path of a CSV file with a header, or a DataFrame; columns are matched by name.
        progress: whether to show it.

    Returns:
        one column an output, with the index of the DataFrame (counting from 0 for a file); NaN where a row
        was rejected. ``attrs`` holds ``job_id``, ``model_id``, ``rows_rejected`` and ``rejects``.

    Raises:
        BadInput: no such file, or an empty table.
        JobFailed: the job failed, or somebody cancelled it.
        TensorTriggerError: see the tree in ``errors``. A KeyboardInterrupt cancels the job.

    Warns:
        RowsRejected: rows have no score; with the first one's reason.
    """
    with progress_for(progress) as shown:
        with csv_file(source) as path:
            job = start(client, reference, path, shown)
        job.wait(shown)
        shown.show("reading the results")
        frame = job.results()
        shown.finish(job.summary(explained=False))
    _warn_of_rejects(frame)
    if is_frame(source):
        if len(frame) != len(source):
            raise BadInput(
                f"The backend read {len(frame)} rows of a table that has {len(source)}: "
                "is there a row without any value?"
            )
        frame.index = source.index
    return frame


def score_to(
    client: Client, reference: str, source: Any, output: str | Path | BinaryIO, *, progress: bool = True
) -> Job:
    """Score ``source`` into a CSV, streamed: ``row`` (from 0), then the outputs; rejected rows are absent.

    Args:
        output: a file's path, which exists only when it is complete, or where to write the bytes.

    Raises:
        OSError: the file cannot be written.
        TensorTriggerError: as for ``score``.
    """
    with progress_for(progress) as shown:
        with csv_file(source) as path:
            job = start(client, reference, path, shown)
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


def start(client: Client, reference: str, path: Path, progress: Progress) -> Job:
    """Stream the file up and queue the job."""
    size = path.stat().st_size

    def body() -> Iterator[bytes]:
        sent = 0
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
                sent += len(chunk)
                progress.show("uploading", sent, size, size_told(size, sent))

    job_id = client.start_job(reference, body, idempotency_key=uuid.uuid4().hex)
    return Job(client.job(job_id), client)


@contextmanager
def csv_file(source: Any) -> Iterator[Path]:
    """The path of ``source`` as a CSV file; a DataFrame is written to a temporary one.

    Raises:
        BadInput: no such file, not a file, or an empty table.
    """
    if is_frame(source):
        if source.empty:
            raise BadInput("The DataFrame is empty: there is nothing to score.", got=f"shape {source.shape}")
        with TemporaryDirectory(prefix="tensortrigger-") as folder:
            path = Path(folder) / "rows.csv"
            flags = source.select_dtypes(include=["bool", "boolean"]).columns
            # The API's CSV holds numbers only.
            source.astype(dict.fromkeys(flags, "Int8")).to_csv(path, index=False)
            yield path
        return
    if not isinstance(source, str | Path):
        raise BadInput(
            "This cannot be scored as a CSV.",
            expected="a path or a DataFrame",
            got=type(source).__name__,
        )
    path = Path(source).expanduser()
    if not path.is_file():
        raise BadInput(f"There is no file {str(path)!r}.")
    yield path
