"""Runs a command as an older kernel would: ``on_an_older_kernel.py WHAT ARGUMENTS...``.

WHAT is system calls that do not exist, joined by commas, or ``landlock=N``, the version of Landlock that is told.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading

from seccompy import Filter, FilterFlag
from seccompy.notify import Listener, RespFlag

VERSION_WANTED = 1


def without(calls: list[str], command: list[str]) -> None:
    older = Filter()
    for name in calls:
        older.errno(name, errno.ENOSYS)
    older.load()
    os.execv(command[0], command)


def with_landlock(version: int, command: list[str]) -> None:
    listeners: list[Listener] = []
    loaded = threading.Event()

    def run() -> None:
        # The filter holds this thread and what it starts; the other one answers for the kernel.
        older = Filter(flags=FilterFlag.NEW_LISTENER)
        older.notify("landlock_create_ruleset")
        listener = older.load()
        assert listener is not None
        listeners.append(listener)
        loaded.set()
        os._exit(subprocess.run(command, check=False).returncode)

    threading.Thread(target=run, daemon=True).start()
    loaded.wait()
    while True:
        asked = listeners[0].recv()
        if asked.args[2] & VERSION_WANTED:
            listeners[0].respond(asked.id, val=version)
        else:
            listeners[0].respond(asked.id, flags=RespFlag.CONTINUE)


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    if what.startswith("landlock="):
        with_landlock(int(what.removeprefix("landlock=")), [sys.executable, *arguments])
    else:
        without(what.split(","), [sys.executable, *arguments])
