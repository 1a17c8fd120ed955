"""Which processes on a shared data folder are alive: each holds a lock that the system drops when it dies."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tensortrigger_backend.domain.errors import Unavailable


class Presence:
    """Marks this process as alive below ``folder`` until it closes or dies, however it dies.

    Attributes:
        worker: this process's name, new for each start.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.worker = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._path = folder / f"{self.worker}.lock"
        self._stream = self._path.open("w")
        if not _lock(self._stream.fileno()):
            raise Unavailable(f"{self._path} cannot be locked.")

    def dead(self, workers: Sequence[str]) -> list[str]:
        """Those of ``workers`` that hold no lock any more."""
        return [worker for worker in workers if worker != self.worker and not self._alive(worker)]

    def _alive(self, worker: str) -> bool:
        path = self._folder / f"{Path(worker).name}.lock"
        try:
            with path.open("r+") as stream:
                if not _lock(stream.fileno()):
                    return True
        except FileNotFoundError:
            return False
        path.unlink(missing_ok=True)
        return False

    def close(self) -> None:
        """Leave. Safe to repeat."""
        if not self._stream.closed:
            self._stream.close()
            self._path.unlink(missing_ok=True)

    def __enter__(self) -> Presence:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _lock(descriptor: int) -> bool:
    """Take an exclusive lock without waiting; the system frees it with the process."""
    if os.name == "nt":
        import msvcrt

        with contextlib.suppress(OSError):
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
            return True
        return False
    import fcntl

    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
