"""Starts one server apart from its caller, and ends it when nobody uses it any more.

Called as ``python keeper.py FOLDER USERS USER COMMAND...``: it prints the server's process id and goes on by itself.
Whoever uses the server holds a shared lock on the file USERS, which the kernel lets go of however he dies; then the
server is killed and FOLDER removed. With ``-`` for USERS it lives until somebody stops it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path


def keep(folder: Path, users: str, user: str, command: list[str]) -> None:
    """Start the server in a process that belongs to nobody, and tell its process id."""
    told, telling = os.pipe()
    if os.fork():
        os.close(telling)
        with os.fdopen(told) as stream:
            print(stream.read())
        return
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    try:
        with (folder / "log").open("ab") as log:
            server = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=folder,
                **({"user": user, "group": user, "extra_groups": []} if user != "-" else {}),
            )
    except OSError as error:
        os.write(telling, str(error).encode())
        os._exit(1)
    os.write(telling, str(server.pid).encode())
    os.close(telling)
    watch(server, folder, users)
    os._exit(0)


def watch(server: subprocess.Popen[bytes], folder: Path, users: str) -> None:
    """Wait for the server's end, or for its last user's."""
    if users == "-":
        server.wait()
        return
    lock = os.open(users, os.O_RDWR | os.O_CREAT, 0o600)
    while server.poll() is None:
        # Reaped at once: PostgreSQL does not start again while the number of the last one is taken.
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(0.25)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    keep(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
