"""Whether a training has left its ``fit``, and how: Keras does not tell its callbacks when one raises."""

from __future__ import annotations

import sys

from tensortrigger_lab.callbacks.fit import Place


class Departure:
    """Made on the training's thread, inside of it.

    Args:
        place: where on the stack the training is; it is over once that has been left.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._error_before: BaseException | None = getattr(sys, "last_value", None)

    @property
    def left(self) -> bool:
        """Whether the training is no longer where it began."""
        return self._place.left()

    def how(self) -> tuple[str, str | None]:
        """The state that it ended in, and the error where it was one."""
        error = getattr(sys, "last_value", None)
        if error is None or error is self._error_before or isinstance(error, KeyboardInterrupt):
            return "cancelled", None
        told = str(error).strip().splitlines()
        return "failed", f"{type(error).__name__}: {told[0] if told else ''}"[:500]

    def forget(self) -> None:
        """Let go of the error before: it holds the frames of its traceback, and with them what a cell had."""
        self._error_before = None
