"""What every handle on a job has, whatever the job does: its id, its state, another look, and the stop button."""

from __future__ import annotations

from typing import Self

from tensortrigger_lab import display
from tensortrigger_lab.client import Client
from tensortrigger_lab.wire import JobRecord


class JobHandle:
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

    def refresh(self) -> Self:
        """Look again."""
        self.record = self.client.job(self.job_id)
        return self

    def cancel(self) -> Self:
        """Stop it; a training that is stopped makes no version. Safe to repeat."""
        self.client.cancel_job(self.job_id)
        return self.refresh()

    def __repr__(self) -> str:
        return display.job_text(self.record)

    def _repr_html_(self) -> str:
        return display.job_html(self.record)
