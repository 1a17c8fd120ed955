"""What every private server shares: a folder, free ports, and being started, stopped, killed and paused."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

_KEEPER = Path(__file__).with_name("keeper.py")


class NotToBeHad(Exception):
    """This machine lacks the server; the message says what to install."""


class NotStarted(Exception):
    """The server is there but did not start; the message ends with its last words."""


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on, below those that outgoing connections take."""
    with contextlib.ExitStack() as held:
        found: list[int] = []
        while len(found) < count:
            port = random.randrange(20_000, 32_000)
            probe = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
        return found


class Node(ABC):
    """One private server on loopback, in a folder of its own that goes with it.

    A context manager. It ends with the process that made it, however that dies.

    Args:
        users: a file that all its users hold a shared lock on, for a node that outlives who started it; "-" for one
            that nobody but ``stop`` ends; None for the caller's own.
        port: where clients reach it; a free one where none is given. The same after a restart.
        lasting: keep what is written through a crash of the machine.
    """

    kind: str
    patience = 90.0
    """Seconds until it must answer."""

    def __init__(self, users: str | None = None, port: int | None = None, lasting: bool = False) -> None:
        self.installed()
        self.lasting = lasting
        self.pid = 0
        self.folder = Path(tempfile.mkdtemp(prefix=f"tensortrigger-{self.kind}-"))
        # The server may run as another user, who must pass through.
        self.folder.chmod(0o711)
        self._held = contextlib.ExitStack()
        if users is None:
            users = str(self.folder / "users")
            self._held.enter_context(shared_lock(Path(users)))
        self._users = users
        self.port = port or free_ports(1)[0]
        try:
            self.prepare()
        except BaseException:
            self.close()
            raise

    @classmethod
    @abstractmethod
    def installed(cls) -> object:
        """Raises NotToBeHad."""

    @abstractmethod
    def prepare(self) -> None:
        """Make what the first start needs."""

    @abstractmethod
    def command(self) -> list[str]:
        """What starts it, in the foreground."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether a client is served."""

    def environ(self) -> dict[str, str]:
        """What it finds in its environment beside ours."""
        return {}

    def user(self) -> str:
        """Who runs it; "-" for the caller."""
        return "-"

    def start(self) -> Self:
        """Start it and wait until it answers. Without effect where it runs."""
        if not self.running():
            told = subprocess.run(
                [sys.executable, "-I", "-S", _KEEPER, self.folder, self._users, self.user(), *self.command()],
                env={**os.environ, **self.environ()},
                stdout=subprocess.PIPE,
                check=True,
                text=True,
            ).stdout.strip()
            if not told.isdigit():
                raise NotStarted(f"{self.kind} did not start: {told}")
            self.pid = int(told)
        deadline = time.monotonic() + self.patience
        while not self.answers():
            if not self.running() or time.monotonic() > deadline:
                self.kill()
                raise NotStarted(f"{self.kind} did not start. Its last words:\n{self.last_words()}")
            time.sleep(0.1)
        return self

    def stop(self, patience: float = 30.0) -> None:
        """Ask it to end (SIGTERM), and kill it when it does not. What was written stays for the next ``start``."""
        self._signal(signal.SIGTERM, children=False)
        deadline = time.monotonic() + patience
        while self.running() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.kill()

    def kill(self) -> None:
        """End it and all its children at once (SIGKILL)."""
        if self.pid:
            kill_tree(self.pid)
        self.pid = 0

    def restart(self, kill: bool = False) -> None:
        """Stop it, or kill it, and start it again on the same port with the same data."""
        if kill:
            self.kill()
        else:
            self.stop()
        self.start()

    def pause(self) -> None:
        """Let connections hang (SIGSTOP) until ``resume``."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after ``pause``."""
        self._signal(signal.SIGCONT)

    def running(self) -> bool:
        """Whether its process is there."""
        return is_running(self.pid)

    def last_words(self) -> str:
        """The end of its log."""
        with contextlib.suppress(OSError):
            return (self.folder / "log").read_text(errors="replace")[-2000:]
        return ""

    def close(self) -> None:
        """Kill it and remove its folder. Safe to repeat."""
        self.kill()
        self._held.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _signal(self, number: int, children: bool = True) -> None:
        if self.running():
            signal_tree(self.pid, number, children)


def is_running(pid: int) -> bool:
    """Whether there is such a process, and not only its number."""
    try:
        return bool(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def signal_tree(pid: int, number: int, children: bool = True) -> None:
    """Send a signal to a process and to all that it started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in [process, *(process.children(recursive=True) if children else [])]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(number)


def kill_tree(pid: int) -> None:
    """Kill a process and all that it started, and wait until even their numbers are free again."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        signal_tree(pid, signal.SIGKILL)
        psutil.wait_procs(family, timeout=10)
    # What its first process left behind when it ended by itself.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


@contextlib.contextmanager
def shared_lock(path: Path) -> Iterator[None]:
    """Hold a file's lock together with others; the kernel lets go of it when the process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)
