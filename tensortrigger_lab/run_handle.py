"""A run as a notebook holds it: its state, its curves as a table, and a live drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensortrigger_lab import display
from tensortrigger_lab.client import Client
from tensortrigger_lab.curves import frame_of, history_of
from tensortrigger_lab.wire import RunRecord

if TYPE_CHECKING:
    import pandas as pd


class Run:
    """A handle on one run; ``record`` is how it stood at the last look."""

    def __init__(self, record: RunRecord, client: Client) -> None:
        self.record = record
        self.client = client

    @property
    def run_id(self) -> str:
        """Names the run for ever."""
        return self.record.run_id

    @property
    def name(self) -> str:
        """What whoever started it called it."""
        return self.record.name

    @property
    def state(self) -> str:
        """running, succeeded, failed, cancelled, or lost where a notebook has fallen silent."""
        return self.record.state

    def refresh(self) -> Run:
        """Look again."""
        self.record = self.client.run_record(self.run_id)
        return self

    def metrics(self) -> pd.DataFrame:
        """Every point: kind (batch or epoch), step, epoch, time, then a column a metric; NaN where it has none."""
        return frame_of(self.client.points(self.run_id))

    def history(self) -> pd.DataFrame:
        """One row an epoch, one column a metric."""
        return history_of(self.client.points(self.run_id, kind="epoch"))

    def watch(self) -> Run:
        """Draw it live until it ends; an interrupt ends the watching only."""
        from tensortrigger_lab.watching import watch_run

        return watch_run(self)

    def delete(self) -> None:
        """Remove it and its points for good; a training's is kept while it runs."""
        self.client.delete_run(self.run_id)

    def __repr__(self) -> str:
        return display.facts_text(*display.run_facts(self.record))

    def _repr_html_(self) -> str:
        return display.facts_html(*display.run_facts(self.record))
