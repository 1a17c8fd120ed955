"""``tt.panel``: the four tabs in one widget, and how it is opened and closed."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from tensortrigger_lab.errors import BadInput

if TYPE_CHECKING:
    from tensortrigger_lab.client import Client
    from tensortrigger_lab.panels.ticking import Ticking

TITLES = ("Publish", "Run", "CSV job", "Training")


def panel(*, client: Client | None = None) -> Any:
    """Publish, run, score and watch by clicking, in any notebook that shows ipywidgets.

    Returns:
        a widget, to be the last line of a cell. There is one at a time: a new one ends the one before, as
        ``close()`` does. Nothing in it holds the kernel up.

    Raises:
        BadInput: ipywidgets is not installed.

    Example:
        >>> tt.panel()  # doctest: +SKIP
    """
    try:
        import ipywidgets  # noqa: F401
    except ImportError:
        raise BadInput(
            "The panel needs ipywidgets, which is not installed in this kernel's environment: "
            "run %pip install ipywidgets, then restart the kernel."
        ) from None
    return _opened(client)


def _opened(client: Client | None) -> Any:
    from threading import Event

    from tensortrigger_lab.panels.csv_tab import CsvTab
    from tensortrigger_lab.panels.publish_tab import PublishTab
    from tensortrigger_lab.panels.run_tab import RunTab
    from tensortrigger_lab.panels.ticking import Ticking
    from tensortrigger_lab.panels.training_tab import TrainingTab
    from tensortrigger_lab.session import session

    def backend() -> Client:
        return client or session().client

    closed = Event()
    tabs = (PublishTab(client), RunTab(backend), CsvTab(backend, closed), TrainingTab(backend))
    box = _class()(children=[tab.box for tab in tabs], titles=TITLES)
    box.tabs = tabs
    box.ticking = Ticking(tabs, lambda: box.selected_index, closed)
    for tab in tabs:
        tab.wake = box.ticking.wake
    box.observe(lambda _: box.ticking.wake(), "selected_index")
    if box.comm is not None and hasattr(box.comm, "on_close"):
        # The front end lets go of its widgets when their page is closed.
        box.comm.on_close(lambda _: box.ticking.stop())
    _current().follow(box.ticking)
    box.ticking.start()
    return box


@cache
def _class() -> type[Any]:
    """The widget's class, made where ipywidgets is first needed."""
    import ipywidgets

    class Panel(ipywidgets.Tab):  # type: ignore[misc]
        """The tabs; ``close()`` ends all that goes on behind them."""

        tabs: tuple[Any, ...]
        ticking: Ticking

        def close(self) -> None:
            """Take it off the page."""
            ticking = getattr(self, "ticking", None)
            if ticking is not None:
                ticking.stop()
            super().close()

        def __repr__(self) -> str:
            return "<TensorTrigger panel: this front end shows no ipywidgets>"

    return Panel


class _Current:
    """The panel that is open now."""

    def __init__(self) -> None:
        self._ticking: Ticking | None = None

    def follow(self, ticking: Ticking) -> None:
        """A new one takes over: the cell of the old one may be gone without a word."""
        if self._ticking is not None:
            self._ticking.stop()
        self._ticking = ticking


@cache
def _current() -> _Current:
    return _Current()
