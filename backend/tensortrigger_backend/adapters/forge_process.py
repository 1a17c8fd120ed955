"""How does an upload get judged without being opened here? In a child process that serves one model and ends."""

from __future__ import annotations

import json
import logging
import re
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tensortrigger_backend.adapters.example_file import SUFFIX
from tensortrigger_backend.adapters.guest_turn import GuestTurn
from tensortrigger_backend.domain.errors import NotInstalled, Overrun, Unavailable
from tensortrigger_backend.domain.publishing import ForgeOrder, ForgeVerdict
from tensortrigger_backend.ports.engines import ChildLauncher, GuestChild

_log = logging.getLogger(__name__)

FORGE_MODULE = "tensortrigger_backend.forge.__main__"

_LINE_LIMIT = 4 << 20
_LINES_LIMIT = 100
_NEEDED = ("tensorflow", "keras", "h5py", "tf2onnx")
"""Looked for without being imported, before a child is started in vain."""
_UNSAYABLE = re.compile("[\0\ud800-\udfff]")
"""NUL, and halves of characters."""
_STAGES = ("checking", "rebuilding", "verifying")


@dataclass(frozen=True, slots=True)
class _Seat:
    """A child process and the folder it lives in."""

    child: GuestChild
    scratch: Path

    def clear(self) -> None:
        self.child.kill()
        shutil.rmtree(self.scratch, ignore_errors=True)


class ForgeProcess:
    """The forge: one use at a time, one process a use, and one more kept warm for a while after each.

    Args:
        launcher: the sandbox that starts the children.
        scratch: an existing folder for theirs.
        time_limit: seconds that one upload may take.
        idle_seconds: how long a warm process waits for a next upload.
        turn: shared with whoever else has TensorFlow at work on this machine.
    """

    def __init__(
        self,
        launcher: ChildLauncher,
        scratch: Path,
        *,
        time_limit: float = 300.0,
        idle_seconds: float = 120.0,
        turn: GuestTurn | None = None,
    ) -> None:
        self._launcher = launcher
        self._scratch = scratch
        self._time_limit = time_limit
        self._idle_seconds = idle_seconds
        self._turn = turn or GuestTurn()
        self._seats = threading.Lock()
        self._warm: _Seat | None = None
        self._busy: _Seat | None = None
        self._leaving: threading.Timer | None = None
        self._closed = False

    @property
    def warm_pid(self) -> int | None:
        """Process id of the child that waits, where there is one."""
        seat = self._warm
        return seat.child.pid if seat is not None and seat.child.alive else None

    @property
    def busy_pid(self) -> int | None:
        """Process id of the child at work, where there is one."""
        seat = self._busy
        return seat.child.pid if seat is not None and seat.child.alive else None

    def must_be_installed(self) -> None:
        """Raises NotInstalled: there is no TensorFlow on this machine."""
        missing = [name for name in _NEEDED if find_spec(name) is None]
        if missing:
            raise NotInstalled(
                f"This server cannot check models: {', '.join(missing)} is not installed. "
                "Install tensortrigger-lab[tensorflow], or publish to a server that has it."
            )

    def warm(self) -> None:
        """Start a child that imports TensorFlow and waits, unless one does; returns at once.

        Raises:
            Unavailable: it could not be started.
        """
        with self._seats:
            if self._closed or self.warm_pid is not None:
                return
            seat = self._warm = self._take_seat()
            self._say(seat, {"do": "warm"})
            if self._leaving is not None:
                self._leaving.cancel()
            self._leaving = threading.Timer(self._idle_seconds, self._leave, (seat,))
            self._leaving.daemon = True
            self._leaving.start()

    def forge(
        self, source: Path, target: Path, order: ForgeOrder, on_stage: Callable[[str], None]
    ) -> ForgeVerdict:
        """Judge ``source``; when accepted, the servable lies at ``target`` on return, an example beside it."""
        with self._turn.taking(lambda: self._closed):
            was_warm = self.warm_pid is not None
            seat = self._sit_down()
            try:
                verdict = self._judge(seat, source, order, on_stage)
                if verdict.accepted:
                    seat.child.kill()
                    _take(seat.scratch / "servable", target)
                    if (seat.scratch / f"servable{SUFFIX}").exists():
                        _take(seat.scratch / f"servable{SUFFIX}", target.with_name(target.name + SUFFIX))
            finally:
                with self._seats:
                    self._busy = None
                seat.clear()
        if verdict.accepted or was_warm:
            self._warm_for_the_next()
        return verdict

    def leave(self) -> None:
        """End the child that only waits, if there is one: its memory is wanted. Safe to repeat."""
        with self._seats:
            if self._leaving is not None:
                self._leaving.cancel()
                self._leaving = None
            seat, self._warm = self._warm, None
        if seat is not None:
            seat.clear()

    def close(self) -> None:
        """End the children; an upload in work is given up as unavailable. Safe to repeat."""
        with self._seats:
            self._closed = True
            if self._leaving is not None:
                self._leaving.cancel()
            warm, self._warm = self._warm, None
            busy = self._busy
        if warm is not None:
            warm.clear()
        if busy is not None:
            busy.child.kill()

    def _sit_down(self) -> _Seat:
        with self._seats:
            if self._closed:
                raise Unavailable("The server is shutting down; try again in a moment.")
            if self._leaving is not None:
                self._leaving.cancel()
                self._leaving = None
            seat, self._warm = self._warm, None
            if seat is not None and not seat.child.alive:
                seat.clear()
                seat = None
            self._busy = seat or self._take_seat()
            return self._busy

    def _take_seat(self) -> _Seat:
        self.must_be_installed()
        scratch = Path(tempfile.mkdtemp(prefix="forge-", dir=self._scratch))
        try:
            return _Seat(self._launcher.launch(FORGE_MODULE, scratch), scratch)
        except Unavailable:
            shutil.rmtree(scratch, ignore_errors=True)
            raise

    def _judge(
        self, seat: _Seat, source: Path, order: ForgeOrder, on_stage: Callable[[str], None]
    ) -> ForgeVerdict:
        # A copy: what the child does to its file must not reach the one that is kept.
        upload = seat.scratch / "upload"
        shutil.copyfile(source, upload)
        seat.child.allow(self._time_limit)
        paths = {"source": str(upload), "target": str(seat.scratch / "servable")}
        self._say(seat, {"do": "forge", **paths, "order": order.to_dict()})
        for words in self._words(seat):
            if isinstance(words, ForgeVerdict):
                return words
            on_stage(words)
        raise self._unavailable(seat, "it ended without a verdict")

    def _words(self, seat: _Seat) -> Iterator[str | ForgeVerdict]:
        """The stages that the child tells of, then its verdict."""
        try:
            for words in _lines(seat.child):
                if words.get("stage") in _STAGES:
                    yield words["stage"]
                if "verdict" in words:
                    yield ForgeVerdict.from_dict(words["verdict"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise self._unavailable(seat, f"its words make no sense ({error})") from error

    def _say(self, seat: _Seat, words: dict[str, Any]) -> None:
        try:
            seat.child.stdin.write(json.dumps(words).encode() + b"\n")
            seat.child.stdin.flush()
        except (OSError, ValueError) as error:
            raise self._unavailable(seat, "it ended before it was asked") from error

    def _unavailable(self, seat: _Seat, what: str) -> Unavailable:
        seat.child.kill()
        cause = seat.child.cause_of_death
        if not self._closed:
            _log.error(
                "the forge's process failed: %s%s: %s",
                what,
                f" over its {cause} limit" if cause else "",
                seat.child.last_words()[-4000:],
            )
        if cause == "time":
            return Overrun(
                f"Checking the model took longer than {self._time_limit:g} s; try again later.",
                retry_after=30.0,
            )
        if cause == "memory":
            return Overrun(
                "Checking the model took more memory than it may; give the server more, or publish a smaller model.",
                retry_after=60.0,
            )
        return Unavailable("The process that checks models ended unexpectedly; try again.", retry_after=5.0)

    def _warm_for_the_next(self) -> None:
        # Whoever has the turn now would share the machine's memory with it.
        if self._turn.taken():
            return
        try:
            self.warm()
            if self._turn.taken():
                self.leave()
        except Unavailable as error:
            _log.warning("no warm forge for the next upload: %s", error.detail)

    def _leave(self, seat: _Seat) -> None:
        with self._seats:
            if self._warm is not seat:
                return
            self._warm = None
            self._leaving = None
        seat.clear()


def _lines(child: GuestChild) -> Iterator[dict[str, Any]]:
    """What the child says, a line at a time, until it is done or has said too much."""
    for _ in range(_LINES_LIMIT):
        line = child.stdout.readline(_LINE_LIMIT)
        if not line.endswith(b"\n"):
            return
        yield _sayable(json.loads(line, parse_constant=_no_number))


def _sayable(words: Any) -> Any:
    """The same with every character replaced that no answer and no database can hold: it quotes what others wrote."""
    if isinstance(words, str):
        return _UNSAYABLE.sub("\ufffd", words)
    if isinstance(words, list):
        return [_sayable(entry) for entry in words]
    if isinstance(words, dict):
        return {_sayable(name): _sayable(entry) for name, entry in words.items()}
    return words


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _take(made: Path, target: Path) -> None:
    """Move what the child wrote to where it is wanted, after a look that it is one plain file."""
    try:
        found = made.lstat()
    except OSError as error:
        raise Unavailable("The forge left no servable; try again.", retry_after=5.0) from error
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise Unavailable("The forge left no plain file; try again.", retry_after=5.0)
    unfinished = target.with_name(f"{target.name}.{time.monotonic_ns()}.part")
    shutil.copyfile(made, unfinished, follow_symlinks=False)
    unfinished.replace(target)
