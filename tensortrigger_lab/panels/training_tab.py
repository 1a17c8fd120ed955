"""The panel's fourth tab: the runs, and the curves of one of them as they grow."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from tensortrigger_lab.chart import line_chart
from tensortrigger_lab.curves import Curves
from tensortrigger_lab.errors import TensorTriggerError
from tensortrigger_lab.panels import told
from tensortrigger_lab.panels.choices import fill
from tensortrigger_lab.pictures import run_line

if TYPE_CHECKING:
    from tensortrigger_lab.client import Client
    from tensortrigger_lab.wire import RunRecord

LISTED = 50
LIST_EVERY = 3.0
"""Seconds between two looks at the list."""
CHARTS, WIDTH, HEIGHT = 4, 620, 230
NO_RUNS = (
    "There are no trainings yet: start one with model.fit(..., callbacks=[tt.callback('first try')]), "
    "or with tt.train(model, x, y)."
)


class TrainingTab:
    """Asks the backend only while it is in view; each time for the points that are new."""

    def __init__(self, client: Callable[[], Client], clock: Callable[[], float] = time.monotonic) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._client = client
        self._clock = clock
        self._listed_at = float("-inf")
        self._ids: tuple[str, ...] = ()
        self._labels: tuple[str, ...] = ()
        self._followed: RunRecord | None = None
        self._curves = Curves()
        self._drawn: tuple[Any, ...] = ()
        self.run = widgets.Dropdown(description="Run", layout=widgets.Layout(width="100%", max_width="560px"))
        self.log = widgets.Checkbox(description="Logarithmic", indent=False)
        self.status = widgets.HTML()
        self.chart = widgets.HTML()
        self.box = widgets.VBox([widgets.HBox([self.run, self.log]), self.status, self.chart])
        self.run.observe(lambda _: self.wake(), "value")
        self.log.observe(lambda _: self.wake(), "value")

    def tick(self) -> bool:
        """Fetch what is new and draw it."""
        try:
            if self._clock() - self._listed_at >= LIST_EVERY:
                self._list()
            return self._draw()
        except TensorTriggerError as error:
            self.status.value = told.error_told(error)
            return False

    def _list(self) -> None:
        runs = self._client().runs(limit=LISTED)
        self._listed_at = self._clock()
        ids = tuple(run.run_id for run in runs)
        labels = tuple(f"{run.name or run.run_id[:8]}, {run.state}, {run.created[:19]}" for run in runs)
        if (ids, labels) != (self._ids, self._labels):
            chosen = self.run.value
            newest_was_chosen = not self._ids or chosen == self._ids[0]
            self._ids, self._labels = ids, labels
            # Whoever looks at the newest run wants to see the next one too.
            wanted = ids[0] if newest_was_chosen and ids else chosen
            fill(self.run, list(zip(labels, ids, strict=True)), lambda run_id: run_id == wanted)
        if not runs:
            self.status.value, self.chart.value = told.note(NO_RUNS), ""

    def _draw(self) -> bool:
        run_id = self.run.value
        if run_id is None:
            return False
        if self._followed is None or self._followed.run_id != run_id:
            self._curves, self._drawn, self._followed = Curves(), (), None
        if self._followed is None or not self._followed.final:
            self._followed, points = self._client().run_news(run_id, self._curves.last_seq)
            self._curves.add(points)
        record = self._followed
        seen = (run_id, self._curves.last_seq, record.state, self.log.value)
        if seen != self._drawn:
            self._drawn = seen
            error = told.fault(record.error) if record.error else ""
            self.status.value = told.note(run_line(record)) + error
            self.chart.value = "".join(
                line_chart(lines, width=WIDTH, height=HEIGHT, log=self.log.value, title=title)
                for title, lines in self._curves.charts[:CHARTS]
            )
        return not record.final
