"""How does a version get trained without TensorFlow here? In a child process that does one training and ends."""

from __future__ import annotations

import json
import logging
import math
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import msgspec

from tensortrigger_backend.adapters.artifact_file import (
    CONFIG,
    WEIGHTS,
    copy_member,
    member_names,
    read_manifest,
    read_member,
)
from tensortrigger_backend.adapters.guest_turn import GuestTurn
from tensortrigger_backend.domain.compiled import output_activations
from tensortrigger_backend.domain.errors import Fault, InvalidInput, NotInstalled, Overrun, Unavailable
from tensortrigger_backend.domain.runs import Point, PointKind
from tensortrigger_backend.domain.training import TrainingFacts, TrainingPlan
from tensortrigger_backend.ports.engines import ChildLauncher, GuestChild
from tensortrigger_backend.ports.training import Saved, Told, Trained, TrainingEvent

_log = logging.getLogger(__name__)

TRAINER_MODULE = "tensortrigger_backend.trainer.__main__"
HOLD_SECONDS: Final = 10.0
"""How long a training keeps its turn at least, so that publishes do not make it start over and over."""

_LINE_LIMIT = 4 << 20
_NEEDED = ("tensorflow", "keras", "safetensors")


class TrainerSession:
    """A child at work, and the folder it lives in."""

    def __init__(self, child: GuestChild, home: Path, turn: GuestTurn, seconds: float) -> None:
        self._child = child
        self._home = home
        self._turn = turn
        self._seconds = seconds
        self._since = time.monotonic()
        self._killed = False

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def wanted(self) -> bool:
        """Whether somebody else waits for the turn, and this training has had it for a while."""
        return self._turn.wanted() and time.monotonic() - self._since >= HOLD_SECONDS

    def events(self) -> Iterator[TrainingEvent]:
        """What the child tells, as it happens; the last is ``Trained``."""
        try:
            while (line := self._child.stdout.readline(_LINE_LIMIT)).endswith(b"\n"):
                event = self._understood(msgspec.json.decode(line))
                if event is not None:
                    yield event
                if isinstance(event, Trained):
                    return
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
            raise self._unavailable(f"its words make no sense ({error})") from error
        raise self._unavailable("it ended before it was done")

    def kill(self) -> None:
        """End the child at once, from any thread. Safe to repeat."""
        self._killed = True
        self._child.kill()

    def _understood(self, words: dict[str, Any]) -> TrainingEvent | None:
        if "points" in words:
            return Told(tuple(_point(told) for told in words["points"]))
        if "saved" in words:
            # Taken away under another name, so that the child may write the next one.
            epoch, step = int(words["saved"]["epoch"]), int(words["saved"]["step"])
            return Saved(epoch, step, self._plain_file("checkpoint").rename(self._home / f"saved-{epoch}"))
        if "trained" in words:
            # The child has nothing more to say and must not change the file under the eyes of who reads it.
            self._child.kill()
            return Trained(self._plain_file("trained.keras"))
        if "refused" in words:
            detail = f"{str(words['refused'])[:500].removesuffix('.')}."
            self._child.kill()
            _log.info("a training was refused: %s %s", detail, self._child.last_words()[-4000:])
            raise InvalidInput(detail)
        return None

    def _plain_file(self, name: str) -> Path:
        path = self._home / name
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise ValueError(f"{name} is no plain file")
        return path

    def _unavailable(self, what: str) -> Unavailable:
        cause = self._child.cause_of_death
        self._child.kill()
        cause = cause or self._child.cause_of_death
        if self._killed:
            return Unavailable("The training was interrupted.")
        _log.error(
            "the trainer's process failed: %s%s: %s",
            what,
            f" over its {cause} limit" if cause else "",
            self._child.last_words()[-4000:],
        )
        if cause == "time":
            return Overrun(
                f"Training took longer than {self._seconds:g} s, the limit of this server: "
                "train for fewer epochs, then go on from the version that this makes."
            )
        if cause == "memory":
            return Overrun(
                "Training took more memory than it may: send fewer points or a smaller batch_size."
            )
        return Unavailable("The process that trains ended unexpectedly.", retry_after=5.0)


class TrainerProcess:
    """The trainer: one training at a time, one process a training.

    Args:
        launcher: the sandbox that starts the children.
        scratch: an existing folder for theirs.
        turn: shared with the forge, so that only one of them has TensorFlow at work.
        make_room: ends whatever else holds TensorFlow only to be quick next time.
        here: whether it trains on this machine, or only tells others what a training needs to know.
    """

    def __init__(
        self,
        launcher: ChildLauncher,
        scratch: Path,
        turn: GuestTurn,
        make_room: Callable[[], None] = lambda: None,
        here: bool = True,
    ) -> None:
        self._launcher = launcher
        self._scratch = scratch
        self._turn = turn
        self._make_room = make_room
        self._here = here

    def must_be_installed(self) -> None:
        """Raises NotInstalled: there is no TensorFlow on this machine, and it is to train here."""
        missing = [name for name in _NEEDED if find_spec(name) is None]
        if missing and self._here:
            raise NotInstalled(
                f"This server cannot train: {', '.join(missing)} is not installed. "
                "Install tensortrigger-lab[tensorflow], or train on a server that has it."
            )

    def facts(self, artifact: Path) -> TrainingFacts:
        """What the artifact tells about training it. Raises InvalidInput: it holds no Keras config."""
        manifest = read_manifest(artifact)
        if not {CONFIG, WEIGHTS} <= member_names(artifact):
            raise InvalidInput.of(
                Fault(
                    ("model_id",),
                    "no_keras_config",
                    "This version holds no Keras config, so it cannot be trained: "
                    "publish the model as .keras or HDF5.",
                    "a version made of a Keras file",
                )
            )
        try:
            activations = output_activations(json.loads(read_member(artifact, CONFIG)))
        except (ValueError, RecursionError) as error:
            raise Unavailable("The servable's config is damaged; publish the model again.") from error
        return TrainingFacts(activations, manifest.trainable, manifest.compiled)

    @contextmanager
    def session(
        self,
        artifact: Path,
        points: Path,
        plan: TrainingPlan,
        checkpoint: Path | None,
        seconds: float,
        given_up: Callable[[], bool],
    ) -> Iterator[TrainerSession]:
        """Wait for this machine's turn, then start a child; it is gone when the block ends."""
        with self._turn.taking(given_up):
            self._make_room()
            home = Path(tempfile.mkdtemp(prefix="trainer-", dir=self._scratch))
            try:
                # The child gets these two members and nothing else of the version.
                copy_member(artifact, CONFIG, home / "config.json")
                copy_member(artifact, WEIGHTS, home / "weights.safetensors")
                # Copies: nothing outside its home can be opened by it, and nothing of ours is spoilt there.
                shutil.copyfile(points, home / "points")
                if checkpoint:
                    shutil.copyfile(checkpoint, home / "resumed")
                order = {
                    "home": str(home),
                    "points": str(home / "points"),
                    "plan": plan.to_dict(),
                    "checkpoint": str(home / "resumed") if checkpoint else None,
                }
                child = self._launcher.launch(TRAINER_MODULE, home)
                session = TrainerSession(child, home, self._turn, seconds)
                try:
                    child.allow(seconds)
                    _ask(child, order)
                    yield session
                finally:
                    child.kill()
            finally:
                shutil.rmtree(home, ignore_errors=True)


def _ask(child: GuestChild, order: dict[str, Any]) -> None:
    try:
        child.stdin.write(json.dumps(order).encode() + b"\n")
        child.stdin.flush()
    except (OSError, ValueError) as error:
        raise Unavailable("The process that trains ended before it was asked.") from error


def _point(told: list[Any]) -> Point:
    kind, step, epoch, t, metrics = told
    numbers = {str(name)[:200]: None if value is None else float(value) for name, value in metrics.items()}
    finite = {
        name: value if value is not None and math.isfinite(value) else None for name, value in numbers.items()
    }
    return Point(0, PointKind(kind), int(step), int(epoch), float(t), finite)
