"""Shows how far a long call has come: a bar in a terminal, one updated line in a notebook, else lines or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from html import escape
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

NOTEBOOK_INTERVAL = 0.25
"""Seconds between two updates of a notebook's line; more would only fill its message log."""


class Progress(Protocol):
    """One long call's progress; a context manager."""

    def show(self, stage: str, done: float | None = None, total: float | None = None, note: str = "") -> None:
        """Tell the stage, and within it ``done`` of ``total``; None where that cannot be counted."""

    def finish(self, summary: str) -> None:
        """Replace what was shown by one line that stays."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class SilentProgress:
    """Shows nothing."""

    def show(self, stage: str, done: float | None = None, total: float | None = None, note: str = "") -> None:
        """Nothing."""

    def finish(self, summary: str) -> None:
        """Nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


class TerminalProgress:
    """A bar on standard error that gives way to the summary."""

    def __init__(self) -> None:
        self._bar: RichProgress | None = None
        self._task: Any = None
        self._summary = ""

    def show(self, stage: str, done: float | None = None, total: float | None = None, note: str = "") -> None:
        """Move the bar."""
        if self._bar is None:
            self._bar, self._task = _rich_bar()
        self._bar.update(self._task, description=stage, completed=done or 0, total=total, note=note)

    def finish(self, summary: str) -> None:
        """What is printed when the bar is gone."""
        self._summary = summary

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._summary and kind is None:
            sys.stderr.write(f"{self._summary}\n")


class PlainProgress:
    """A line a stage, and one a tenth of it, on standard error: for logs and pipes."""

    def __init__(self) -> None:
        self._shown: tuple[str, int] | None = None

    def show(self, stage: str, done: float | None = None, total: float | None = None, note: str = "") -> None:
        """Write a line where there is news."""
        share = (done or 0) / total if total else 0.0
        if self._shown != (stage, int(share * 10)):
            self._shown = (stage, int(share * 10))
            told = (stage, f"{share:.0%}" if total else "", note)
            self.finish("  ".join(part for part in told if part))

    def finish(self, summary: str) -> None:
        """The last line."""
        sys.stderr.write(f"{summary}\n")
        sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


class NotebookProgress:
    """One output that is updated in place and ends as the summary; it needs no widgets.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._handle: Any = None
        self._shown_at = -NOTEBOOK_INTERVAL
        self._stage = ""

    def show(self, stage: str, done: float | None = None, total: float | None = None, note: str = "") -> None:
        """Update the line, unless it has just been."""
        now = self._clock()
        if stage == self._stage and now - self._shown_at < NOTEBOOK_INTERVAL:
            return
        self._shown_at, self._stage = now, stage
        share = f"{done / total:.0%}" if done is not None and total else ""
        line = "  ".join(part for part in (stage, share, note) if part)
        limits = f' value="{min(done, total):g}" max="{total:g}"' if done is not None and total else ""
        self._write(line, f"{escape(stage)} <progress{limits}></progress> {escape(f'{share} {note}')}")

    def finish(self, summary: str) -> None:
        """The line that is stored with the notebook."""
        self._write(summary, escape(summary))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self._handle is not None:
            self._write(f"{self._stage}: stopped", escape(f"{self._stage}: stopped"))

    def _write(self, line: str, html: str) -> None:
        from IPython.display import display

        bundle = {"text/plain": line, "text/html": html}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)


def progress_for(enabled: bool = True, *, lines: bool = False) -> Progress:
    """The progress that fits where this runs: notebook kernel, terminal, or neither.

    Args:
        lines: whether there are lines where it is neither.
    """
    if not enabled:
        return SilentProgress()
    if in_notebook():
        return NotebookProgress()
    if sys.stderr.isatty():
        return TerminalProgress()
    return PlainProgress() if lines else SilentProgress()


def in_notebook() -> bool:
    """Whether this is a Jupyter kernel; IPython is not imported to find out."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return shell is not None and hasattr(shell, "kernel")


def _rich_bar() -> tuple[RichProgress, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn

    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
        transient=True,
    )
    bar.start()
    return bar, bar.add_task("", total=None, note="")
