"""The forge's child process: one order in, one verdict out, one untrusted model, then it ends.

It reads JSON lines from stdin and writes JSON lines to what stdout was when it started:

    {"do": "warm"}                                 import TensorFlow now, while there is nothing to do
    {"do": "forge", "source", "target", "order"}   answered by {"stage": ...} lines, then {"verdict": {...}}
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensortrigger_backend.domain.publishing import ForgeOrder, ForgeVerdict
from tensortrigger_backend.forge.refusal import Refused

if TYPE_CHECKING:
    from tensortrigger_backend.forge.onnx.check import JudgedOnnx

_NAMES = {"hdf5": "upload.h5", "keras": "upload.keras"}


class Session:
    """One conversation with the parent."""

    def __init__(self) -> None:
        # Libraries print; a duplicate that only this object knows keeps their words out of the verdict.
        self._answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._format = ""
        self._stages: dict[str, float] = {}
        self._stage = ""
        self._since = 0.0
        self._warming: threading.Thread | None = None

    def run(self) -> None:
        """Answer until the one order is done or the parent is gone."""
        for line in sys.stdin:
            command = json.loads(line)
            if command["do"] == "warm":
                # First what an inspection needs: two threads importing the same packages would trip over each other.
                importlib.import_module("tensortrigger_backend.forge.inspection")
                importlib.import_module("tensortrigger_backend.forge.onnx.check")
                self._warming = threading.Thread(target=self._warm, name="warm", daemon=True)
                self._warming.start()
            elif command["do"] == "forge":
                threading.Thread(target=_leave_with_the_parent, name="parent", daemon=True).start()
                self._forge(command)
                return

    def _warm(self) -> None:
        from tensortrigger_backend.forge.rehearsal import rehearse

        started = time.monotonic()
        rehearse()
        self._say({"warm": round(time.monotonic() - started, 3)})

    def _forge(self, command: dict[str, Any]) -> None:
        source, target = Path(command["source"]), Path(command["target"])
        order = ForgeOrder.from_dict(command["order"])
        try:
            verdict = self._judge(source, target, order)
        except Refused as refused:
            verdict = ForgeVerdict(accepted=False, faults=refused.faults, format=self._format)
        self._end_stage()
        self._say({"verdict": {**verdict.to_dict(), "stages": self._stages}})

    def _judge(self, source: Path, target: Path, order: ForgeOrder) -> ForgeVerdict:
        from tensortrigger_backend.forge.formats import tell_format
        from tensortrigger_backend.forge.inspection import inspect_upload
        from tensortrigger_backend.forge.limits import Limits
        from tensortrigger_backend.forge.schema_fit import check_declared_widths

        self._begin_stage("checking")
        self._format = tell_format(source)
        inspected = inspect_upload(source, source.parent, Limits())
        check_declared_widths(inspected.config, order)
        if inspected.onnx is not None:
            return self._judge_onnx(target, inspected.onnx, order)
        # Keras tells the format from the name.
        named = source.with_name(_NAMES.get(self._format, source.name))
        source.rename(named)
        if self._warming is None:
            self._begin_stage("starting")
        else:
            self._warming.join()
        if inspected.saved_model is not None:
            from tensortrigger_backend.forge.saved_model.publication import publish_saved_model

            return publish_saved_model(target, inspected.saved_model, order, self._begin_stage)
        from tensortrigger_backend.forge.keras.publication import publish

        return publish(named, target, inspected, order, self._begin_stage)

    def _judge_onnx(self, target: Path, judged: JudgedOnnx, order: ForgeOrder) -> ForgeVerdict:
        """Without TensorFlow; where that is being imported, its thread is waited for all the same."""
        if self._warming is not None:
            self._warming.join()
        from tensortrigger_backend.forge.onnx.publication import publish_onnx

        return publish_onnx(target, judged, order, self._begin_stage)

    def _begin_stage(self, stage: str) -> None:
        self._end_stage()
        self._stage, self._since = stage, time.monotonic()
        self._say({"stage": stage})

    def _end_stage(self) -> None:
        if self._stage:
            self._stages[self._stage] = round(time.monotonic() - self._since, 4)

    def _say(self, words: dict[str, Any]) -> None:
        self._answers.write(json.dumps(words) + "\n")
        self._answers.flush()


def _leave_with_the_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def main() -> None:
    """Talk to the parent over stdin and stdout."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    session = Session()
    session.run()
    # Not a return: a thread that is still importing TensorFlow must not hold up the end.
    os._exit(0)


if __name__ == "__main__":
    main()
