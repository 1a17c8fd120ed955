"""Progress: a bar in a terminal, one updated line in a notebook."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any

import IPython.display
import pytest

from tensortrigger_lab import progress


class Display:
    """Stands for the front end: remembers what was shown and updated."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []
        self.displays = 0

    def __call__(self, bundle: dict[str, str], *, raw: bool, display_id: bool) -> Display:
        assert raw
        assert display_id
        self.displays += 1
        self.shown.append(bundle)
        return self

    def update(self, bundle: dict[str, str], *, raw: bool) -> None:
        self.shown.append(bundle)


@pytest.fixture
def front_end(monkeypatch: pytest.MonkeyPatch) -> Display:
    found = Display()
    monkeypatch.setattr(IPython.display, "display", found)
    return found


def test_a_notebook_has_one_output_that_ends_as_the_summary(front_end: Display) -> None:
    times = iter(range(100))
    with progress.NotebookProgress(lambda: next(times)) as shown:
        shown.show("uploading", 1, 4, "1 of 4 MB")
        shown.show("running", 50, 200, "9 rows/s")
        shown.finish("200 rows scored")
    assert front_end.displays == 1
    assert "25%" in front_end.shown[1]["text/plain"]
    assert '<progress value="50" max="200">' in front_end.shown[1]["text/html"]
    assert front_end.shown[-1] == {"text/plain": "200 rows scored", "text/html": "200 rows scored"}


def test_a_notebook_is_not_flooded(front_end: Display) -> None:
    with progress.NotebookProgress(lambda: 0.0) as shown:
        for done in range(1000):
            shown.show("running", done, 1000)
    assert len(front_end.shown) == 1


def test_what_a_server_said_is_escaped_in_a_notebook(front_end: Display) -> None:
    with progress.NotebookProgress() as shown:
        shown.finish("<script>alert(1)</script>")
    assert "<script>" not in front_end.shown[-1]["text/html"]


def fails_halfway(shown: progress.Progress) -> None:
    with shown:
        shown.show("running", 1, 2)
        shown.finish("done")
        raise ValueError("stop")


def test_an_error_leaves_no_running_bar_in_the_notebook(front_end: Display) -> None:
    with pytest.raises(ValueError, match="stop"):
        fails_halfway(progress.NotebookProgress())
    assert "<progress" not in front_end.shown[-1]["text/html"]
    assert front_end.shown[-1]["text/plain"] == "running: stopped"


def test_a_terminals_bar_gives_way_to_the_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress.TerminalProgress() as shown:
        shown.show("uploading", 1, 2, "1 of 2 MB")
        shown.show("running")
        shown.finish("2 rows scored")
    assert stream.getvalue().endswith("2 rows scored\n")


def test_an_error_in_a_terminal_prints_no_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with pytest.raises(ValueError, match="stop"):
        fails_halfway(progress.TerminalProgress())
    assert "done" not in stream.getvalue()


@pytest.mark.parametrize(
    ("shell", "is_terminal", "kind"),
    [
        (SimpleNamespace(kernel=object()), False, progress.NotebookProgress),
        (SimpleNamespace(), True, progress.TerminalProgress),
        (None, True, progress.TerminalProgress),
        (None, False, progress.SilentProgress),
    ],
)
def test_the_kind_fits_where_it_runs(
    monkeypatch: pytest.MonkeyPatch, shell: Any, is_terminal: bool, kind: type
) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: is_terminal))
    assert isinstance(progress.progress_for(), kind)
    assert isinstance(progress.progress_for(False), progress.SilentProgress)
