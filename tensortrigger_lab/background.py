"""A job on the backend: follow it, cancel it, read its results."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensortrigger_lab import display
from tensortrigger_lab.errors import JobFailed, UnexpectedAnswer
from tensortrigger_lab.job_handle import JobHandle
from tensortrigger_lab.progress import Progress
from tensortrigger_lab.rows_file import check_output, results_type_of
from tensortrigger_lab.wire import LogLine, PartitionRecord, Reject

if TYPE_CHECKING:
    import pandas as pd

FIRST_POLL, LONGEST_POLL = 0.05, 1.0
"""Seconds between two looks at a job: short ones answer at once, long ones are not pestered."""


class Job(JobHandle):
    """A handle on one job that scores a table; ``record`` is how it stood at the last look."""

    def wait(self, progress: Progress | None = None, sleep: Callable[[float], None] = time.sleep) -> Job:
        """Return when it has succeeded; a KeyboardInterrupt cancels the job first.

        Raises:
            JobFailed: it failed, or somebody cancelled it.
        """
        try:
            self.follow(progress, sleep)
        except KeyboardInterrupt:
            self.client.cancel_job(self.job_id)
            raise
        if self.state != "succeeded":
            raise JobFailed(self.ended(), self.job_id)
        return self

    def results(self) -> pd.DataFrame:
        """One row a data row of the table, in its order: kept columns, then outputs; NaN where a row was rejected.

        Columns kept of a Parquet or Arrow file have their own types where pyarrow is installed.

        ``attrs`` holds ``job_id``, ``model_id``, ``rows_rejected`` and the first 1,000 ``rejects``.
        """
        frame = self._results()
        rejected = self.record.progress.rows_rejected
        rejects = self.client.rejects(self.job_id) if rejected else []
        frame.attrs = {
            "job_id": self.job_id,
            "model_id": self.record.model_id,
            "rows_rejected": rejected,
            "rejects": [display.reject_members(reject) for reject in rejects],
        }
        return frame

    def _results(self) -> pd.DataFrame:
        from tensortrigger_lab.scored import formats, read_results

        total, keep = self.record.progress.rows_total, self.record.keep
        *better, last = formats(self.record)
        for media_type in better:
            with (
                contextlib.suppress(UnexpectedAnswer),
                self.client.results_stream(self.job_id, media_type) as chunks,
            ):
                return read_results(chunks, total, keep, media_type)
        with self.client.results_stream(self.job_id, last) as chunks:
            return read_results(chunks, total, keep, last)

    def results_csv(self) -> Any:
        """A context manager that gives the results as CSV bytes, streamed; rejected rows are absent."""
        return self.client.results_csv(self.job_id)

    def rejects(self, limit: int = 1000) -> list[Reject]:
        """The first ``limit`` rows that could not be scored."""
        return self.client.rejects(self.job_id, limit=limit)

    def save(self, output: str | Path) -> None:
        """Stream the results into a file, which appears under its name only when it is complete.

        Args:
            output: ``.parquet``, ``.ndjson`` or ``.jsonl`` at its end gives that format, ``.csv`` or nothing a CSV.

        Raises:
            BadInput: another ending, or no such folder.
        """
        check_output(output)
        with self.client.results_stream(self.job_id, results_type_of(output)) as chunks:
            _write_whole(output, chunks)

    def save_rejects(self, output: str | Path) -> None:
        """Stream every rejected row into a CSV file, with line, field and reason."""
        with self.client.rejects_csv(self.job_id) as chunks:
            _write_whole(output, chunks)

    def partitions(self) -> list[PartitionRecord]:
        """What it is cut into, and how far each is."""
        return self.client.job_partitions(self.job_id)

    def log(self) -> list[LogLine]:
        """What happened to it, oldest first."""
        return self.client.job_log(self.job_id)

    def retry(self) -> Job:
        """Try what failed of it again; what is done stays done. Safe to repeat."""
        self.client.retry_job(self.job_id)
        return self.refresh()

    def delete(self) -> None:
        """Delete it with its upload and results; it must have ended."""
        self.client.delete_job(self.job_id)

    @property
    def all_rejected(self) -> bool:
        """Whether there were rows and none of them could be scored."""
        progress = self.record.progress
        return 0 < progress.rows_done <= progress.rows_rejected

    def summary(self, *, explained: bool = True) -> str:
        """How the job ended, in one line; ``explained`` adds why the first reject is one."""
        progress = self.record.progress
        parts = [f"{progress.rows_done - progress.rows_rejected:,} rows scored"]
        if progress.rows_rejected:
            first = self.client.rejects(self.job_id, limit=1) if explained else []
            why = f" (first: {first[0].message})" if first else ""
            parts.append(f"{progress.rows_rejected:,} rejected{why}")
        if progress.rows_per_second:
            parts.append(f"{progress.rows_per_second:,.0f} rows/s")
        return f"{', '.join(parts)}, job {self.job_id}"

    def ended(self) -> str:
        """How it ended, with the cause where there is one."""
        return f"Job {self.job_id} is {self.state}{f': {self.record.error}' if self.record.error else '.'}"

    def follow(self, progress: Progress | None, sleep: Callable[[float], None] = time.sleep) -> None:
        """Return when it has ended in whatever way."""
        for pause in pauses():
            self.refresh()
            if progress is not None:
                now = self.record.progress
                progress.show(self.state, now.rows_done, now.rows_total, display.speed(now))
            if self.record.final:
                return
            sleep(pause)


def _write_whole(output: str | Path, chunks: Iterable[bytes]) -> None:
    partial = Path(f"{output}.part")
    try:
        with partial.open("wb") as file:
            file.writelines(chunks)
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)


def pauses() -> Iterator[float]:
    """Seconds between two looks, from short to long."""
    pause = FIRST_POLL
    while True:
        yield pause
        pause = min(LONGEST_POLL, pause * 1.3)
