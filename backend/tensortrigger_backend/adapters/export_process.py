"""How is a SavedModel written without TensorFlow here? By a guest process that does one export and ends."""

from __future__ import annotations

import json
import logging
import shutil
import stat
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tensortrigger_backend.adapters.artifact_file import CONFIG, FROZEN, WEIGHTS, member_names
from tensortrigger_backend.adapters.guest_turn import GuestTurn
from tensortrigger_backend.domain.errors import Fault, InvalidInput, NotInstalled, Overrun, Unavailable
from tensortrigger_backend.ports.engines import ChildLauncher, GuestChild

_log = logging.getLogger(__name__)

EXPORT_MODULE: Final = "tensortrigger_backend.forge.export"

_LINE_LIMIT: Final = 64 << 10
_ONLY_ONNX: Final = (
    "This version holds an ONNX graph only, so no SavedModel can be written of it. Download what was published from "
    "its /content, or publish the Keras model that it was made of."
)
_NEEDED: Final = ("tensorflow", "keras", "safetensors")


class ExportProcess:
    """Keeps the ``SavedModelWriter`` promises.

    Args:
        launcher: the sandbox that starts the child.
        scratch: an existing folder for its own.
        turn: shared with whoever else has TensorFlow at work on this machine.
        time_limit: seconds that one export may take.
    """

    def __init__(
        self, launcher: ChildLauncher, scratch: Path, turn: GuestTurn, *, time_limit: float = 300.0
    ) -> None:
        self._launcher = launcher
        self._scratch = scratch
        self._turn = turn
        self._time_limit = time_limit
        self._child: GuestChild | None = None
        self._closed = False

    def write(self, artifact: Path, target: Path) -> None:
        """See ``SavedModelWriter.write``."""
        members = member_names(artifact)
        if not {CONFIG, WEIGHTS} <= members and FROZEN not in members:
            raise InvalidInput.of(
                Fault(("model_id",), "no_saved_model", _ONLY_ONNX, "a Keras model", "an ONNX graph")
            )
        missing = [name for name in _NEEDED if find_spec(name) is None]
        if missing:
            raise NotInstalled(
                f"This server cannot write SavedModels: {', '.join(missing)} is not installed. "
                "Install tensortrigger-lab[tensorflow], or ask a server that has it."
            )
        with (
            self._turn.taking(lambda: self._closed),
            tempfile.TemporaryDirectory(prefix="export-", dir=self._scratch) as home,
        ):
            shutil.copyfile(artifact, Path(home, "servable"))
            child = self._child = self._launcher.launch(EXPORT_MODULE, Path(home))
            try:
                self._ask(child, Path(home))
            finally:
                self._child = None
                child.kill()
            _take(Path(home, "saved_model.zip"), target)

    def close(self) -> None:
        """See ``SavedModelWriter.close``."""
        self._closed = True
        child = self._child
        if child is not None:
            child.kill()

    def _ask(self, child: GuestChild, home: Path) -> None:
        child.allow(self._time_limit)
        order = {"artifact": str(home / "servable"), "target": str(home / "saved_model.zip")}
        try:
            child.stdin.write(json.dumps(order).encode() + b"\n")
            child.stdin.flush()
            answer = json.loads(child.stdout.readline(_LINE_LIMIT))
            failed = None if answer.get("exported") is True else str(answer["failed"])
        except (OSError, ValueError, KeyError, AttributeError, RecursionError) as error:
            raise self._unavailable(child, f"no answer ({error})") from error
        if failed is not None:
            raise self._unavailable(child, failed)

    def _unavailable(self, child: GuestChild, what: str) -> Unavailable:
        child.kill()
        if not self._closed:
            _log.error("an export failed: %s: %s", what, child.last_words()[-4000:])
        if child.cause_of_death:
            return Overrun(f"Writing the SavedModel took more {child.cause_of_death} than it may.")
        return Unavailable(
            "The SavedModel could not be written; the server's log says why.", retry_after=60.0
        )


def _take(made: Path, target: Path) -> None:
    """Move what the child wrote to where it is wanted, after a look that it is one plain file."""
    try:
        found = made.lstat()
    except OSError as error:
        raise Unavailable("The export left no file; try again.", retry_after=5.0) from error
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise Unavailable("The export left no plain file; try again.", retry_after=5.0)
    made.replace(target)
