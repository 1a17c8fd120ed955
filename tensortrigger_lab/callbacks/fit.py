"""Which trainings run in this process now: the frames of Keras' ``fit`` on the threads' stacks.

Keras tells its callbacks nothing when ``fit`` is interrupted, and a model's own flags say nothing about a fit that
is under way; the stack of a thread says both, without a hook in anybody's code.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from types import FrameType
from typing import Any

STEPS = frozenset({"fit", "train_on_batch"})
_IN_KERAS = f"{os.sep}keras{os.sep}src{os.sep}"


def training_frame(frame: FrameType | None) -> FrameType | None:
    """The innermost frame of Keras that changes weights, from ``frame`` outwards."""
    while frame is not None:
        if frame.f_code.co_name in STEPS and _IN_KERAS in frame.f_code.co_filename:
            return frame
        frame = frame.f_back
    return None


def frames_in_training() -> dict[int, FrameType]:
    """The training frame by thread ident, for every thread that trains now."""
    found = {
        ident: training_frame(frame)
        for ident, frame in sys._current_frames().items()
        if ident != threading.get_ident()
    }
    found[threading.get_ident()] = training_frame(sys._getframe())
    return {ident: frame for ident, frame in found.items() if frame is not None}


def models_in_training() -> list[Any]:
    """The models that a ``fit`` somewhere in this process changes now."""
    models = (frame.f_locals.get("self") for frame in frames_in_training().values())
    return [model for model in models if model is not None]


def main_thread_trains() -> bool:
    """Whether the thread that runs cells is inside a training."""
    return threading.main_thread().ident in frames_in_training()


class Place:
    """One point of the calling thread's stack, to see later whether it has been left.

    It holds the frame's identity only: the frame itself would keep the training data alive.
    """

    def __init__(self) -> None:
        frame = training_frame(sys._getframe()) or _caller(sys._getframe())
        self._thread = threading.get_ident()
        self._frame, self._code = id(frame), frame.f_code
        self._callbacks = _callback_list(sys._getframe())

    def left(self) -> bool:
        """Whether the thread is no longer inside of it."""
        # The next fit gets its frame at the same address more often than not; an object that is gone stays gone.
        if self._callbacks is not None and self._callbacks() is None:
            return True
        frame = sys._current_frames().get(self._thread)
        while frame is not None:
            if id(frame) == self._frame and frame.f_code is self._code:
                return False
            frame = frame.f_back
        return True


def _callback_list(frame: FrameType | None) -> weakref.ref[Any] | None:
    """Keras' list of the callbacks, which one ``fit`` makes for itself; None where a loop has none."""
    while frame is not None:
        if frame.f_code.co_name == "on_train_begin" and _IN_KERAS in frame.f_code.co_filename:
            return weakref.ref(frame.f_locals["self"])
        frame = frame.f_back
    return None


def _caller(frame: FrameType) -> FrameType:
    """Whoever runs the callbacks where it is not Keras: a training loop of one's own."""
    ours = os.path.dirname(__file__)  # noqa: PTH120
    found: FrameType | None = frame
    while found is not None:
        path = found.f_code.co_filename
        if _IN_KERAS not in path and not path.startswith(ours):
            return found
        found = found.f_back
    return frame
