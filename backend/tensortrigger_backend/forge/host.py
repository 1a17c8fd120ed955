"""The TensorFlow engine's process: holds canonical servables by key and answers batches over pipes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

from tensortrigger_backend.adapters.tensor_frames import BrokenFrame, Tensors, read_frame, write_frame


class Host:
    """Answers ``load``, ``infer`` and ``drop``, one after the other."""

    def __init__(self, requests: BinaryIO, answers: BinaryIO) -> None:
        self._requests = requests
        self._answers = answers
        self._servables: dict[str, Any] = {}

    def run(self) -> None:
        """Answer until the other side closes the pipe."""
        while True:
            try:
                header, tensors = read_frame(self._requests)
            except BrokenFrame:
                return
            try:
                outputs = self._answer(header, tensors)
            except Exception as error:  # noqa: BLE001 - every failure becomes an answer; the log has the rest
                print(f"{header.get('do')} failed: {error!r}", file=sys.stderr)  # noqa: T201 - stderr is the log
                write_frame(self._answers, {"failed": f"{type(error).__name__}: {str(error)[:300]}"}, {})
            else:
                write_frame(self._answers, {}, outputs)

    def _answer(self, header: dict[str, Any], tensors: Tensors) -> Tensors:
        key = header["key"]
        if header["do"] == "load":
            from tensortrigger_backend.forge.keras.concrete import open_concrete

            self._servables[key] = open_concrete(Path(header["path"]))
        elif header["do"] == "infer":
            answered: Tensors = self._servables[key].infer(tensors)
            return answered
        elif header["do"] == "drop":
            servable = self._servables.pop(key, None)
            if servable is not None:
                servable.close()
        return {}


def main() -> None:
    """Import TensorFlow, then talk to the parent over stdin and what stdout was at the start."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    import tensortrigger_backend.forge.keras.concrete  # noqa: F401 - imported now, while nothing waits for it

    Host(sys.stdin.buffer, answers).run()


if __name__ == "__main__":
    main()
