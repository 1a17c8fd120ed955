"""How a watched run looks while it goes: curves in a notebook, a live line in a terminal, else a line an epoch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from html import escape
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from tensortrigger_lab.chart import Series, line_chart
from tensortrigger_lab.curves import Curves, metrics_told
from tensortrigger_lab.display import epochs_told, printable
from tensortrigger_lab.progress import in_notebook
from tensortrigger_lab.wire import RunRecord

if TYPE_CHECKING:
    from rich.live import Live

CHARTS = 4
WIDTH, HEIGHT = 640, 240
LINES = 20
"""A notebook keeps what is drawn: neither more charts than these nor more lines in one."""


class Picture(Protocol):
    """Shows a run; a context manager."""

    def show(self, record: RunRecord, curves: Curves) -> None:
        """Draw how it stands now."""

    def finish(self, remark: str) -> None:
        """Leave what was drawn last, with a remark below it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def run_line(record: RunRecord) -> str:
    """The run in one line."""
    parts = [f"{record.name or record.run_id}: {record.state}"]
    if record.epoch is not None:
        parts.append(f"epoch {epochs_told(record.epoch, record.epochs)}")
    if record.step is not None:
        parts.append(f"step {record.step:,}")
    if record.metrics:
        parts.append(metrics_told(record.metrics))
    if record.error:
        parts.append(record.error)
    return printable("  ".join(parts))


def run_html(
    record: RunRecord, charts: Sequence[tuple[str, Sequence[Series]]], *, log: bool, remark: str
) -> str:
    """The run's line above its charts, everything in it escaped."""
    drawn = [
        line_chart(series[:LINES], width=WIDTH, height=HEIGHT, log=log, title=title)
        for title, series in charts[:CHARTS]
    ]
    more = len(charts) - CHARTS
    below = [remark] * bool(remark) + [f"{more} more metrics: see tt.metrics()"] * (more > 0)
    told = "".join(f"<div>{escape(line)}</div>" for line in below)
    return f"<div><strong>{escape(run_line(record))}</strong>{''.join(drawn)}{told}</div>"


class NotebookPicture:
    """One output that is updated in place; its last state is stored with the notebook.

    Args:
        log: whether the y axes are logarithmic.
    """

    def __init__(self, log: bool = False) -> None:
        self._log = log
        self._handle: Any = None
        self._last: tuple[RunRecord, Curves] | None = None

    def show(self, record: RunRecord, curves: Curves) -> None:
        """Draw the curves anew."""
        self._last = (record, curves)
        self._write("")

    def finish(self, remark: str) -> None:
        """The curves with a remark."""
        if self._last is not None and remark:
            self._write(remark)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def _write(self, remark: str) -> None:
        from IPython.display import display

        assert self._last is not None
        record, curves = self._last
        bundle = {
            "text/plain": "\n".join([run_line(record), *([remark] if remark else [])]),
            "text/html": run_html(record, curves.charts, log=self._log, remark=remark),
        }
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)


class TerminalPicture:
    """A live line on standard error."""

    def __init__(self) -> None:
        self._live: Live | None = None

    def show(self, record: RunRecord, curves: Curves) -> None:  # noqa: ARG002
        """Replace the line."""
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        if self._live is None:
            self._live = Live(console=Console(stderr=True), auto_refresh=False)
            self._live.start()
        self._live.update(Text(run_line(record)), refresh=True)

    def finish(self, remark: str) -> None:
        """The last line stays; the remark comes below it."""
        self._stop()
        if remark:
            sys.stderr.write(f"{remark}\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


class PlainPicture:
    """A line an epoch and a line a state on standard error: for logs and pipes."""

    def __init__(self) -> None:
        self._shown: tuple[str, int | None] | None = None

    def show(self, record: RunRecord, curves: Curves) -> None:  # noqa: ARG002
        """Write a line where there is news."""
        if self._shown != (record.state, record.epoch):
            self._shown = (record.state, record.epoch)
            sys.stderr.write(f"{run_line(record)}\n")

    def finish(self, remark: str) -> None:
        """The remark."""
        if remark:
            sys.stderr.write(f"{remark}\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


def picture_for(*, log: bool = False) -> Picture:
    """The picture that fits where this runs."""
    if in_notebook():
        return NotebookPicture(log)
    return TerminalPicture() if sys.stderr.isatty() else PlainPicture()
