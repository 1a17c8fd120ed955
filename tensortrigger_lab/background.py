"""A job on the backend: follow it, cancel it, read its results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensortrigger_lab import display
from tensortrigger_lab.client import Client
from tensortrigger_lab.errors import JobFailed
from tensortrigger_lab.progress import Progress
from tensortrigger_lab.wire import JobRecord, Reject

if TYPE_CHECKING:
    import pandas as pd

FIRST_POLL, LONGEST_POLL = 0.05, 1.0
"""Seconds between two looks at a job: short ones answer at once, long ones are not pestered."""


class Job:
    """A handle on one job; ``record`` is how it stood at the last look."""

    def __init__(self, record: JobRecord, client: Client) -> None:
        self.record = record
        self.client = client

    @property
    def job_id(self) -> str:
        """Names the job for ever."""
        return self.record.job_id

    @property
    def state(self) -> str:
        """queued, running, succeeded, failed or cancelled."""
        return self.record.state

    def refresh(self) -> Job:
        """Look again."""
        self.record = self.client.job(self.job_id)
        return self

    def cancel(self) -> Job:
        """Stop it. Safe to repeat."""
        self.client.cancel_job(self.job_id)
        return self.refresh()

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
            reason = f": {self.record.error}" if self.record.error else "."
            raise JobFailed(f"Job {self.job_id} is {self.state}{reason}", self.job_id)
        return self

    def results(self) -> pd.DataFrame:
        """One row a data row of the CSV, in its order; NaN where a row was rejected.

        ``attrs`` holds ``job_id``, ``model_id``, ``rows_rejected`` and the first 1,000 ``rejects``.
        """
        from tensortrigger_lab.scored import read_results

        with self.client.results_csv(self.job_id) as chunks:
            frame = read_results(chunks, self.record.progress.rows_total)
        rejected = self.record.progress.rows_rejected
        rejects = self.client.rejects(self.job_id) if rejected else []
        frame.attrs = {
            "job_id": self.job_id,
            "model_id": self.record.model_id,
            "rows_rejected": rejected,
            "rejects": [display.reject_members(reject) for reject in rejects],
        }
        return frame

    def results_csv(self) -> Any:
        """A context manager that gives the results as CSV bytes, streamed; rejected rows are absent."""
        return self.client.results_csv(self.job_id)

    def rejects(self, limit: int = 1000) -> list[Reject]:
        """The first ``limit`` rows that could not be scored."""
        return self.client.rejects(self.job_id, limit=limit)

    def save(self, output: str | Path) -> None:
        """Stream the results into a CSV file, which appears under its name only when it is complete."""
        partial = Path(f"{output}.part")
        try:
            with self.results_csv() as chunks, partial.open("wb") as file:
                file.writelines(chunks)
            partial.replace(output)
        finally:
            partial.unlink(missing_ok=True)

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

    def __repr__(self) -> str:
        return display.job_text(self.record)

    def _repr_html_(self) -> str:
        return display.job_html(self.record)


def pauses() -> Iterator[float]:
    """Seconds between two looks, from short to long."""
    pause = FIRST_POLL
    while True:
        yield pause
        pause = min(LONGEST_POLL, pause * 1.3)
