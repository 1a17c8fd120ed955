"""The trainer's child process: one order in, points and checkpoints out, then it ends.

It reads one JSON line from stdin, with the paths of what it may open, and writes JSON lines to what stdout was:

    {"points": [[kind, step, epoch, t, metrics], ...]}
    {"saved": {"epoch", "step"}}        a checkpoint lies at home/checkpoint, for the parent to take away
    {"trained": true}                   the model lies at home/trained.keras
    {"refused": reason}                 trying again would end the same way
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, Final

TELL_SECONDS: Final = 0.2
"""Points are told together, at most so often."""


class Session:
    """One conversation with the parent."""

    def __init__(self) -> None:
        # Libraries print; a duplicate that only this object knows keeps their words out of the answers.
        self._answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._points: list[list[Any]] = []
        self._told = {"batch": 0.0, "epoch": 0.0}

    def run(self) -> None:
        """Do what the one order asks."""
        order = json.loads(sys.stdin.readline())
        threading.Thread(target=_leave_with_the_parent, name="parent", daemon=True).start()
        self._train(order)

    def _train(self, order: dict[str, Any]) -> None:
        import keras

        from tensortrigger_backend.adapters.points_file import read_points
        from tensortrigger_backend.domain.training import TrainingPlan
        from tensortrigger_backend.forge.keras.canonical import rebuild
        from tensortrigger_backend.trainer.loop import Diverged, Listener, Training

        home, plan = Path(order["home"]), TrainingPlan.from_dict(order["plan"])
        checkpoint = Path(order["checkpoint"]) if order["checkpoint"] else None
        keras.utils.set_random_seed(plan.seed)
        model = rebuild((home / "config.json").read_bytes(), (home / "weights.safetensors").read_bytes())
        if not model.trainable_weights:
            self._say({"refused": "This model has nothing to train: none of its weights is trainable"})
            return
        inputs, targets = read_points(Path(order["points"]))
        try:
            training = Training(model, plan, inputs, targets, home, checkpoint)
            training.run(Listener(self._point, self._saved))
        except Diverged as error:
            self._tell()
            self._say({"refused": f"{error}: try a smaller learning_rate, or scale the inputs"})
            return
        except OSError:
            # A full disk, not the model: the parent tries again.
            raise
        except Exception as error:  # noqa: BLE001 - whatever Keras and TensorFlow make of it, they would make of it again
            traceback.print_exc()
            self._tell()
            self._say({"refused": _reason(error)})
            return
        self._tell()
        model.save(home / "trained.keras")
        self._say({"trained": True})

    def _point(self, kind: str, step: int, epoch: int, metrics: dict[str, float | None]) -> None:
        self._points.append([kind, step, epoch, time.time(), metrics])
        # An epoch's point does not wait for a batch's that was told just before: the next epoch may be long.
        if time.monotonic() - self._told[kind] >= TELL_SECONDS:
            self._told[kind] = time.monotonic()
            self._tell()

    def _saved(self, epoch: int, step: int, _path: Path) -> None:
        # What is told of an epoch comes before its checkpoint, so that no point is missing after going on from it.
        self._tell()
        self._say({"saved": {"epoch": epoch, "step": step}})

    def _tell(self) -> None:
        if self._points:
            self._say({"points": self._points})
            self._points = []

    def _say(self, words: dict[str, Any]) -> None:
        self._answers.write(json.dumps(words, allow_nan=False) + "\n")
        self._answers.flush()


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return "Training took more memory than it may: send fewer points or a smaller batch_size"
    first = str(error).strip().split("\n", 1)[0][:300]
    return f"Keras cannot train this model so: {first or type(error).__name__}"


def _leave_with_the_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def main() -> None:
    """Talk to the parent over stdin and stdout."""
    Session().run()
    # Not a return: no thread of a library must hold up the end.
    os._exit(0)


if __name__ == "__main__":
    main()
