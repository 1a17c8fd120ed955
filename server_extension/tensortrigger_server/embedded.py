"""Keeping a backend alive as a child process, at one URL, for as long as this process lives."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tensortrigger_server.child import Child
from tensortrigger_server.environment import child_environment
from tensortrigger_server.heartbeat import answers
from tensortrigger_server.restarts import Failure, RestartPolicy, exit_words
from tensortrigger_server.session_key import SessionKey

READY = "TensorTrigger backend ready at"
LOOPBACK = "127.0.0.1"
# More than a burst of kernels needs; the system lowers it to its own limit.
BACKLOG = 1024
LONGEST_SHOWN_LINE = 2000

# A level as loggers print it, or how Python reports what nobody caught; not a logger that is named "error".
_TROUBLE = re.compile(
    r"\b(?:WARNING|ERROR|CRITICAL)\b|\[(?:warning|error|critical) *\]|^Traceback|^[\w.]*(?:Error|Exception)\b"
)

# traitlets gives applications either of the two.
Log = logging.Logger | logging.LoggerAdapter[logging.Logger]


class EmbeddedBackend:
    """A backend run as a supervised child process.

    The listening socket is bound here, before the child exists, and handed to every child in turn. So
    clients can connect from the first moment, a restart refuses nobody, and the URL never changes. On Windows
    a socket cannot be handed over: there a free port is chosen once and named to the child.

    Args:
        command: starts the backend; ``--fd`` or ``--port``, ``--data-dir``, ``--auth`` and
            ``--exit-with-parent`` are added to it.
        data_dir: where the backend keeps what it stores.
        environ: what the child inherits; the key is added to it, never to the command line.
        log: gets what the backend writes to its standard error, without the key.
        grace: seconds between asking the child to end and ending it.
    """

    def __init__(
        self,
        command: Sequence[str],
        data_dir: Path,
        *,
        environ: Mapping[str, str],
        log: Log,
        policy: RestartPolicy | None = None,
        grace: float = 10.0,
        by_port: bool = sys.platform == "win32",
    ) -> None:
        self.key = SessionKey.generate()
        self.restarts = 0
        self.error: str | None = None
        self._command = tuple(command)
        self._data_dir = data_dir
        self._environment = child_environment(environ, self.key.reveal())
        self._log = log
        self._policy = policy or RestartPolicy()
        self._grace = grace
        self._by_port = by_port
        self._port = 0
        self._listener: socket.socket | None = None
        self._child: Child | None = None
        self._ready = asyncio.Event()
        self._last_words: deque[str] = deque(maxlen=8)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """Where clients connect, from `start` on."""
        return f"http://{LOOPBACK}:{self._port}"

    @property
    def pid(self) -> int | None:
        """The child's process id, or None between two children."""
        return self._child.pid if self._child else None

    @property
    def ready(self) -> bool:
        """Whether the present child has said that it is ready."""
        return self._ready.is_set()

    @property
    def gave_up(self) -> bool:
        """Whether no child will be ready any more; `error` says why."""
        return self._task is None or self._task.done()

    async def wait_ready(self) -> None:
        """Return once a child is ready."""
        await self._ready.wait()

    def start(self) -> None:
        """Bind the socket and begin supervising, without waiting for the child.

        Raises:
            OSError: no socket can be bound on the loopback interface.
        """
        self._listener = socket.create_server((LOOPBACK, 0), backlog=BACKLOG)
        self._port = self._listener.getsockname()[1]
        if self._by_port:
            self._close_listener()
        self._task = asyncio.get_running_loop().create_task(self._supervise())
        self._task.add_done_callback(self._report_breakdown)

    async def stop(self) -> None:
        """End the child, and its children, and free the socket. Safe to repeat."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
            self._task = None
        self._close_listener()

    async def _supervise(self) -> None:
        failures = 0
        try:
            while True:
                failure = await self._run_once()
                failures = 1 if failure.was_healthy else failures + 1
                self.error = failure.reason
                if failure.remedy or failures >= self._policy.attempts:
                    self._give_up(failure, failures)
                    return
                delay = self._policy.delay(failures)
                self._log.warning("%s Starting it again in %.3g s.", failure.reason, delay)
                await asyncio.sleep(delay)
                self.restarts += 1
        finally:
            # Refused at once is kinder than a connection that nobody will ever accept.
            self._close_listener()

    async def _run_once(self) -> Failure:
        """Run one child to its end and say why it ended."""
        loop = asyncio.get_running_loop()
        self._last_words.clear()
        try:
            child = self._child = self._spawn(loop)
        except OSError as error:
            return Failure.to_start(self._command[0], error)
        announced = loop.create_task(self._ready.wait())
        try:
            await asyncio.wait(
                (announced, child.ended),
                timeout=self._policy.ready_within,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not self.ready:
                how = f"was not ready within {self._policy.ready_within:g} s"
                if child.ended.done():
                    how = exit_words(child.ended.result())
                await child.stop(self._grace)
                return Failure.before_ready(self._command[0], how, self._last_words)
            since = loop.time()
            self._log.info("TensorTrigger backend ready at %s (process %d).", self.url, child.pid)
            how = await self._end_of(child)
            healthy = loop.time() - since >= self._policy.healthy_after
            return Failure.after_ready(how, self._last_words, was_healthy=healthy)
        finally:
            announced.cancel()
            self._ready.clear()
            await child.stop(self._grace)
            self._child = None

    async def _end_of(self, child: Child) -> str:
        """How a ready child ended; one that is alive but answers nobody any more is ended here."""
        policy, missed = self._policy, 0
        while missed < policy.missed_answers:
            # `wait`, which does not cancel it: when this task ends, `Child.stop` still has to see the process end.
            await asyncio.wait((child.ended,), timeout=policy.check_every)
            if child.ended.done():
                return exit_words(child.ended.result())
            alive = await answers(LOOPBACK, self._port, policy.answer_within)
            missed = 0 if alive else missed + 1
        if child.ended.done():
            return exit_words(child.ended.result())
        # It has shown that it hears nothing: waiting for it to end by itself would only take longer.
        await child.stop(min(self._grace, policy.answer_within))
        return f"did not answer {missed} times in a row and was ended"

    def _note_ready(self) -> None:
        # Together: whoever sees that it is ready finds no error of the one before it.
        self.error = None
        self._ready.set()

    def _spawn(self, loop: asyncio.AbstractEventLoop) -> Child:
        if self._listener is None:
            where, pass_fds = ["--port", str(self._port)], []
        else:
            where, pass_fds = ["--fd", str(self._listener.fileno())], [self._listener.fileno()]

        def on_stdout(line: str) -> None:
            if line.startswith(READY):
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    loop.call_soon_threadsafe(self._note_ready)
            else:
                self._log.debug("TensorTrigger backend: %s", self._presentable(line))

        def on_stderr(line: str) -> None:
            if shown := self._presentable(line):
                self._last_words.append(shown)
                level = logging.INFO if _TROUBLE.search(shown) else logging.DEBUG
                self._log.log(level, "TensorTrigger backend: %s", shown)

        return Child.spawn(
            [*self._command, *where, "--data-dir", str(self._data_dir), "--auth", "--exit-with-parent"],
            environment=self._environment,
            pass_fds=pass_fds,
            on_stdout=on_stdout,
            on_stderr=on_stderr,
        )

    def _presentable(self, line: str) -> str:
        # Far below what `Child` keeps of a line: the cut never leaves a part of the key behind.
        return self.key.redact(line)[:LONGEST_SHOWN_LINE]

    def _give_up(self, failure: Failure, failures: int) -> None:
        remedy = failure.remedy or (
            f"It failed {failures} times in a row and is not started again: remove the cause and start "
            "Jupyter again, or set TensorTriggerApp.backend_url to a running backend."
        )
        self.error = f"{failure.reason} {remedy}"
        self._log.error("%s", self.error)

    def _report_breakdown(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self.error = f"The embedded backend is no longer watched over: {error}. Start Jupyter again."
            self._log.error("%s", self.error, exc_info=error)

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
