"""A drop-down of the published models that fills itself without holding the kernel up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from tensortrigger_lab.display import version_name
from tensortrigger_lab.panels import told
from tensortrigger_lab.panels.choices import fill
from tensortrigger_lab.panels.task import Task

if TYPE_CHECKING:
    from tensortrigger_lab.client import Client
    from tensortrigger_lab.wire import ModelRecord

LISTED = 100


class ModelChoice:
    """The newest ready versions; ``changed`` is called with the one that is chosen."""

    def __init__(
        self, client: Callable[[], Client], changed: Callable[[ModelRecord], None] = lambda _: None
    ) -> None:
        self._client = client
        self._changed = changed
        self._task = Task()
        self._asked = False
        self._ids: tuple[str, ...] = ()
        self.choice = widgets.Dropdown(
            description="Model", layout=widgets.Layout(width="100%", max_width="440px")
        )
        self.again = widgets.Button(description="Look again")
        self.status = widgets.HTML()
        self.box = widgets.VBox([widgets.HBox([self.choice, self.again]), self.status])
        self.choice.observe(self._chosen, "value")
        self.again.on_click(lambda _: self.refresh())

    @property
    def record(self) -> ModelRecord | None:
        """The version that is chosen."""
        record: ModelRecord | None = self.choice.value
        return record

    def refresh(self) -> None:
        """Ask the backend, behind the scenes."""
        self._asked = True
        self._task.begin(self._fill, self._failed)

    def refresh_once(self) -> None:
        """Ask the backend unless it was asked before."""
        if not self._asked:
            self.refresh()

    def wait(self, seconds: float) -> None:
        """Until the backend has answered."""
        self._task.wait(seconds)

    def _fill(self) -> None:
        records = self._client().models(state="ready", limit=LISTED)
        ids = tuple(record.model_id for record in records)
        if ids != self._ids:
            chosen = self.record.model_id if self.record is not None else None
            self._ids = ids
            options = [(version_name(record), record) for record in records]
            fill(self.choice, options, lambda record: record.model_id == chosen)
        self.status.value = "" if records else told.note("Nothing is published yet: use the tab Publish.")

    def _failed(self, error: Exception) -> None:
        self.status.value = told.error_told(error)

    def _chosen(self, _: Any) -> None:
        if self.record is not None:
            self._changed(self.record)
