"""How is a guest process with TensorFlow started, limited and ended? By exec, as a plain child."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, cast

import tensortrigger_backend
from tensortrigger_backend.domain.errors import Unavailable

GIBIBYTE = 1 << 30
_STDERR_KEPT = 8192
_WATCH_SECONDS = 0.2


class PlainChild:
    """A guest under a watch that kills it past its time or memory."""

    def __init__(self, process: subprocess.Popen[bytes], memory_limit: int) -> None:
        self._process = process
        self._stdin = cast(BinaryIO, process.stdin)
        self._stdout = cast(BinaryIO, process.stdout)
        self._stderr = cast(BinaryIO, process.stderr)
        self._memory_limit = memory_limit
        self._deadline: float | None = None
        self._cause = ""
        self._gone = threading.Event()
        self._kill_lock = threading.Lock()
        self._tail: deque[bytes] = deque(maxlen=_STDERR_KEPT // 256)
        self._drain = threading.Thread(target=self._drain_stderr, name="guest-stderr", daemon=True)
        self._watch = threading.Thread(target=self._keep_watch, name="guest-watch", daemon=True)
        self._drain.start()
        self._watch.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stdin(self) -> BinaryIO:
        return self._stdin

    @property
    def stdout(self) -> BinaryIO:
        return self._stdout

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def cause_of_death(self) -> str:
        return self._cause

    def allow(self, seconds: float | None) -> None:
        """From now on the guest has this long before it is killed; None takes the limit away."""
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def last_words(self) -> str:
        """The tail of what it wrote to stderr."""
        if not self.alive:
            self._drain.join(timeout=1.0)
        return b"".join(tuple(self._tail)).decode("utf-8", "replace")

    def kill(self) -> None:
        """End the guest and all that it started; returns when it is gone. Safe to repeat."""
        with self._kill_lock:
            if not self._gone.is_set():
                self._end_group()
                self._process.wait()
                self._gone.set()
        for thread in (self._drain, self._watch):
            if thread is not threading.current_thread():
                thread.join(timeout=1.0)
        for pipe in (self._stdin, self._stdout, self._stderr):
            # A pipe that another thread is just reading cannot be closed here; the reader sees its end.
            with contextlib.suppress(OSError, ValueError):
                pipe.close()

    def _end_group(self) -> None:
        # The guest leads a group of its own; what it may have started is in there too.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def _drain_stderr(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while piece := os.read(self._stderr.fileno(), 256):
                self._tail.append(piece)

    def _keep_watch(self) -> None:
        while not self._gone.wait(_WATCH_SECONDS):
            if not self.alive:
                return
            deadline = self._deadline
            if deadline is not None and time.monotonic() > deadline:
                self._cause = "time"
            elif resident_bytes(self._process.pid) > self._memory_limit:
                self._cause = "memory"
            else:
                continue
            # Only the signal here: whoever reads from the guest sees its pipe end and reaps it.
            self._end_group()
            return


class PlainChildLauncher:
    """Starts guests as plain children of this process.

    The guest takes further things from itself before it opens anything (``forge.confinement``): priority,
    core dumps, address space, and on Linux its life beyond its parent's.

    Args:
        memory_limit: bytes of resident memory past which a guest is killed.
        threads: threads of TensorFlow's own pools; one keeps its sums in one order, so that the same upload
            gives the same numbers, and leaves the other cores to serving.
        niceness: how far below the serving process a guest runs.
    """

    def __init__(self, *, memory_limit: int = 4 * GIBIBYTE, threads: int = 1, niceness: int = 10) -> None:
        self._memory_limit = memory_limit
        self._threads = threads
        self._niceness = niceness
        # Linux ends a child with the *thread* that started it, so one that lives as long as this starts all.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="guest-starter")
        self._children: list[PlainChild] = []
        self._closed = False

    def launch(self, module: str, scratch: Path) -> PlainChild:
        """Start ``main()`` of a module in a Python interpreter of its own, at home in ``scratch``."""
        if self._closed:
            raise Unavailable("The server is shutting down; try again in a moment.")
        try:
            return self._starter.submit(self._start, module, scratch).result()
        except (OSError, RuntimeError) as error:
            raise Unavailable(f"A child process could not be started: {error}.", retry_after=5.0) from error

    def close(self) -> None:
        """Kill every guest still running. Safe to repeat."""
        self._closed = True
        self._starter.shutdown(wait=True)
        for child in self._children:
            child.kill()
        self._children.clear()

    def _start(self, module: str, scratch: Path) -> PlainChild:
        # -P: the working folder holds what others uploaded and must never be a place to import from.
        process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "tensortrigger_backend.forge.confinement",
                str(self._niceness),
                str(self._memory_limit),
                module,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=scratch,
            env=self._environment(scratch),
            close_fds=True,
            start_new_session=True,
        )
        child = PlainChild(process, self._memory_limit)
        self._children = [other for other in self._children if other.alive]
        self._children.append(child)
        return child

    def _environment(self, scratch: Path) -> dict[str, str]:
        environment = {
            "PATH": os.defpath,
            "HOME": str(scratch),
            "TMPDIR": str(scratch),
            "LANG": "C.UTF-8",
            "PYTHONUTF8": "1",
            "PYTHONHASHSEED": "0",
            "PYTHONUNBUFFERED": "1",
            "KERAS_BACKEND": "tensorflow",
            "CUDA_VISIBLE_DEVICES": "",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TF_NUM_INTRAOP_THREADS": str(self._threads),
            "TF_NUM_INTEROP_THREADS": str(self._threads),
            "OMP_NUM_THREADS": str(self._threads),
            "OPENBLAS_NUM_THREADS": str(self._threads),
        }
        root = str(Path(tensortrigger_backend.__file__).parent.parent)
        if root not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
            environment["PYTHONPATH"] = root
        return environment


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 where the system does not tell or the process is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
