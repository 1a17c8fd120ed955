"""The panel's third tab: score a CSV file in the background, and save the results beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path, PurePosixPath, PureWindowsPath
from tempfile import TemporaryDirectory
from threading import Event
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import ipywidgets as widgets

from tensortrigger_lab import display, scoring
from tensortrigger_lab.errors import BadInput
from tensortrigger_lab.panels import told
from tensortrigger_lab.panels.model_choice import ModelChoice
from tensortrigger_lab.panels.task import Task
from tensortrigger_lab.progress import SilentProgress
from tensortrigger_lab.rows_file import ENDINGS, RowsFile, rows_file

if TYPE_CHECKING:
    from tensortrigger_lab.background import Job
    from tensortrigger_lab.client import Client

INTERVAL = 0.5
"""Seconds between two looks at the job."""
ACCEPTED = ",".join((*ENDINGS, ".gz"))


class CsvTab:
    """One job at a time. The job goes on in the backend when the panel is closed.

    Args:
        closed: set when the panel is closed; nothing is saved after that.
    """

    def __init__(self, client: Callable[[], Client], closed: Event) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._client = client
        self._task = Task()
        self._closed = closed
        self._cancelled = False
        self.models = ModelChoice(client)
        self.path = widgets.Text(
            description="CSV file",
            placeholder="path, such as data/customers.csv",
            layout=widgets.Layout(width="100%", max_width="440px"),
        )
        self.upload = widgets.FileUpload(accept=ACCEPTED, multiple=False, description="or upload")
        self.score = widgets.Button(description="Score", button_style="primary")
        self.cancel = widgets.Button(description="Cancel", disabled=True, tooltip="Nothing is being scored.")
        self.bar = widgets.FloatProgress(max=1.0, layout=widgets.Layout(width="100%", max_width="440px"))
        self.status = widgets.HTML()
        self.box = widgets.VBox(
            [
                self.models.box,
                widgets.HBox([self.path, self.upload]),
                widgets.HBox([self.score, self.cancel]),
                self.bar,
                self.status,
            ]
        )
        self.score.on_click(lambda _: self._score())
        self.cancel.on_click(lambda _: self._cancel())

    def tick(self) -> bool:
        """Have the models listed when it is first seen; the job reports by itself."""
        self.models.refresh_once()
        return False

    def wait(self, seconds: float) -> None:
        """Until the job is over."""
        self._task.wait(seconds)

    def show(self, stage: str, done: float | None = None, total: float | None = None, note: str = "") -> None:
        """Move the bar."""
        self.bar.value = done / total if done is not None and total else 0.0
        self.status.value = told.note(f"{stage} {note}".strip())

    def _score(self) -> None:
        record = self.models.record
        files = tuple(self.upload.value)
        typed = self.path.value.strip()
        if self._task.working:
            return
        if record is None:
            self.status.value = told.fault("Choose a model first.")
            return
        if not typed and not files:
            self.status.value = told.fault("Name a CSV file, or upload one.")
            return
        self._cancelled = False

        def work() -> None:
            with _source(typed, files) as (rows, target):
                self._follow(scoring.start(self._client(), record.model_id, rows, _Bar(self.show)), target)

        self._busy(True)
        self.show("uploading")
        self._task.begin(work, self._failed)

    def _follow(self, job: Job, target: Path) -> None:
        while not job.refresh().record.final:
            progress = job.record.progress
            self.show(job.state, progress.rows_done, progress.rows_total, display.speed(progress))
            if self._cancelled:
                job.cancel()
            if self._closed.wait(INTERVAL):
                line = f"tt.job({job.job_id!r}).save({str(target)!r})"
                self._over(told.note("The panel was closed; the job goes on:") + told.code(line), 0.0)
                return
        if job.state != "succeeded":
            reason = f": {job.record.error}" if job.record.error else ""
            self._over(told.fault(f"The job is {job.state}{reason}."), 0.0)
            return
        output = unused(target)
        job.save(output)
        self._over(told.note(job.summary()) + _link(output), 1.0)

    def _cancel(self) -> None:
        self._cancelled = True
        self.cancel.disabled = True

    def _busy(self, busy: bool) -> None:
        self.score.disabled, self.cancel.disabled = busy, not busy
        self.score.tooltip = "One file is being scored." if busy else "Score the file"
        self.cancel.tooltip = "Stop the job" if busy else "Nothing is being scored."

    def _over(self, html: str, share: float) -> None:
        self.bar.value = share
        self.status.value = html
        self._busy(False)

    def _failed(self, error: Exception) -> None:
        self._over(told.error_told(error), 0.0)


class _Bar(SilentProgress):
    """Progress that is told to the tab."""

    def __init__(self, show: Callable[..., None]) -> None:
        self._show = show

    def show(self, stage: str, done: float | None = None, total: float | None = None, note: str = "") -> None:
        """Move the bar."""
        self._show(stage, done, total, note)


@contextmanager
def _source(typed: str, files: tuple[Any, ...]) -> Iterator[tuple[RowsFile, Path]]:
    """The rows, and the file that its scores should be written to.

    Raises:
        BadInput: there is no such file.
    """
    if typed:
        path = Path(typed).expanduser()
        if not path.is_file():
            raise BadInput(f"There is no file {typed!r}.")
        with rows_file(path) as rows:
            yield rows, path.with_name(f"{path.stem}.scored.csv")
        return
    (file,) = files
    # The browser's name may hold folders of either kind.
    name = PurePosixPath(PureWindowsPath(file["name"]).name).name or "upload.csv"
    with TemporaryDirectory(prefix="tensortrigger-") as folder:
        path = Path(folder) / f"rows{''.join(Path(name).suffixes[-2:])}"
        path.write_bytes(bytes(file["content"]))
        with rows_file(path) as rows:
            yield rows, Path(f"{Path(name).stem}.scored.csv")


def unused(target: Path) -> Path:
    """``target``, or with a number that no file has: nothing is ever overwritten."""
    number, found = 1, target
    while found.exists():
        number += 1
        found = target.with_name(f"{target.stem}-{number}{target.suffix}")
    return found


def _link(output: Path) -> str:
    """The path, and a link for front ends that serve the notebook's folder."""
    told_path = told.note(f"Saved as {output}")
    try:
        relative = output.resolve().relative_to(Path.cwd().resolve())
    except (ValueError, OSError):
        return told_path
    address = quote(str(relative).replace(os.sep, "/"))
    return f'{told_path}<a href="{escape(address, quote=True)}" download>{escape(output.name)}</a>'
