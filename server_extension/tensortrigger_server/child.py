"""One child process that never outlives its parent: its output arrives by lines, its end as a future."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO

LONGEST_LINE = 16 * 1024
"""Bytes kept of one line of output; the rest of a longer line is dropped."""

OnLine = Callable[[str], None]


class Child:
    """A running child process.

    Threads wait for it and read its output, because ``asyncio.create_subprocess_exec`` does not work on the
    event loop that Jupyter chooses on Windows, and on some Pythons (3.11.7 is one) its ``wait()`` also waits
    for every grandchild that holds the output open. They are daemons: a server that crashes is not held up.

    The child's standard input is a pipe that stays open as long as this process lives, whatever ends it.
    """

    def __init__(self, process: subprocess.Popen[bytes], on_stdout: OnLine, on_stderr: OnLine) -> None:
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._reaping = threading.Lock()
        self.ended: asyncio.Future[int] = self._loop.create_future()
        """Done with the exit code, negative for a signal, once it and its process group are gone."""
        name = f"tensortrigger-child-{process.pid}"
        self._readers = [
            threading.Thread(target=_read, args=(stream, on_line), daemon=True, name=name)
            for stream, on_line in ((process.stdout, on_stdout), (process.stderr, on_stderr))
        ]
        for thread in self._readers:
            thread.start()
        threading.Thread(target=self._await_end, daemon=True, name=name).start()

    @classmethod
    def spawn(
        cls,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        pass_fds: Sequence[int],
        on_stdout: OnLine,
        on_stderr: OnLine,
    ) -> Child:
        """Start ``command``; the callbacks run on threads of their own, a line at a time.

        Raises:
            OSError: the command cannot be run.
        """
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            pass_fds=pass_fds,
            # Ctrl-C in the terminal asks Jupyter a question first; it must not end the backend at once.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        return cls(process, on_stdout, on_stderr)

    @property
    def pid(self) -> int:
        """Its process id, which is also its process group's."""
        return self._process.pid

    async def stop(self, grace: float) -> int:
        """Ask it to end, end it after ``grace`` seconds, and return its exit code. Safe to repeat."""
        if not self.ended.done():
            self._ask_to_end()
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(asyncio.shield(self.ended), grace)
            self._kill()
        return await self.ended

    def _ask_to_end(self) -> None:
        if sys.platform == "win32":
            # terminate() would not let it finish anything there; the end of its input does.
            self._close_stdin()
        else:
            self._signal(signal.SIGTERM)

    def _kill(self) -> None:
        if sys.platform == "win32":
            self._process.kill()
        else:
            self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with self._reaping:
            # Once reaped, its number may belong to a stranger.
            if self._process.returncode is None:
                os.kill(self.pid, number)

    def _await_end(self) -> None:
        if hasattr(os, "waitid"):
            # Not reaped yet, so that its number still names its process group and nobody else's.
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            with self._reaping:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, signal.SIGKILL)
                code = self._process.wait()
        else:
            code = self._process.wait()
        self._close_stdin()
        for thread in self._readers:
            # Its last lines say why it ended. A grandchild in a session of its own may hold the pipe longer.
            thread.join(timeout=1.0)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._settle, code)

    def _settle(self, code: int) -> None:
        if not self.ended.done():
            self.ended.set_result(code)

    def _close_stdin(self) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()


def _read(stream: IO[bytes] | None, on_line: OnLine) -> None:
    if stream is not None:
        with stream:
            for line in _lines(stream):
                on_line(line)


def _lines(stream: IO[bytes]) -> Iterator[str]:
    while piece := stream.readline(LONGEST_LINE):
        yield piece.decode(errors="replace").rstrip()
        while len(piece) == LONGEST_LINE and not piece.endswith(b"\n"):
            piece = stream.readline(LONGEST_LINE)
