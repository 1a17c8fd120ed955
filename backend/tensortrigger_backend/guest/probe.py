"""What does the sandbox hold on this machine? A guest tries what it must not and tells what was refused.

Started with a file ``outside`` beside its scratch folder that any process of this user may read and write; it answers
one line of JSON: {"held": {what: bool}, "missing": {layer: why it could not be taken on}}.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from tensortrigger_backend.guest.confinement import missing

OUTSIDE = "outside"
"""Name of the file beside the scratch folder."""


def refused(attempt: Callable[[], object]) -> bool:
    """Whether the kernel said no."""
    try:
        attempt()
    except OSError:
        return True
    return False


def held() -> dict[str, bool]:
    """What was refused, by what it is."""
    outside = Path.cwd().parent / OUTSIDE
    Path("inside").write_bytes(b"")
    return {
        "reading other files": refused(outside.read_bytes),
        "writing other files": refused(lambda: os.close(os.open(outside, os.O_WRONLY))),
        "changing other files": refused(lambda: outside.chmod(0o600)),
        "the network": refused(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()),
        "local sockets": refused(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).close()),
        "new processes": refused(_fork),
        "signals to others": refused(lambda: os.kill(os.getppid(), 0)),
    }


def _fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def main() -> None:
    """Try everything and tell."""
    json.dump({"held": held(), "missing": missing}, sys.stdout)
