"""Fills a drop-down anew and keeps what was chosen; a fresh one chooses its first entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def fill(
    dropdown: Any, options: Sequence[tuple[str, Any]], kept: Callable[[Any], bool] = lambda _: False
) -> None:
    """Set the options and choose one.

    Args:
        options: label and value of each.
        kept: whether a value is the one to choose; the first where none is.
    """
    wanted = next((place for place, (_, value) in enumerate(options) if kept(value)), 0)
    # An empty drop-down would leave the new options unchosen, a full one would choose the first by itself.
    dropdown.options = []
    dropdown.options = options
    if options:
        dropdown.index = wanted
