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
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import tensortrigger_backend
from tensortrigger_backend.domain.errors import Unavailable

GIBIBYTE = 1 << 30
_STDERR_KEPT = 8192
_WATCH_SECONDS = 0.2
_THREAD_LIMIT = 1024
"""Past any pool that TensorFlow makes, and no room for a bomb."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process takes; zeros where the system does not tell or the process is gone.

    Attributes:
        processor_seconds: of all its threads since its start.
        resident: bytes of memory.
    """

    processor_seconds: float = 0.0
    threads: int = 0
    resident: int = 0


class PlainChild:
    """A guest under a watch that kills it past its time, its processor time, its memory or its threads.

    Args:
        processors: how many it may keep busy all the time that it is allowed.
    """

    def __init__(self, process: subprocess.Popen[bytes], memory_limit: int, processors: int) -> None:
        self._process = process
        self._stdin = cast(BinaryIO, process.stdin)
        self._stdout = cast(BinaryIO, process.stdout)
        self._stderr = cast(BinaryIO, process.stderr)
        self._memory_limit = memory_limit
        self._processors = processors
        # Wall clock and processor seconds at which it is killed; one tuple, as another thread reads it.
        self._deadlines: tuple[float, float] | None = None
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
        if seconds is None:
            self._deadlines = None
            return
        spent = usage(self._process.pid).processor_seconds
        self._deadlines = (time.monotonic() + seconds, spent + seconds * self._processors)

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
            deadlines, used = self._deadlines, usage(self._process.pid)
            if deadlines and (time.monotonic() > deadlines[0] or used.processor_seconds > deadlines[1]):
                self._cause = "time"
            elif used.resident > self._memory_limit or used.threads > _THREAD_LIMIT:
                self._cause = "memory"
            else:
                continue
            # Only the signal here: whoever reads from the guest sees its pipe end and reaps it.
            self._end_group()
            return


class PlainChildLauncher:
    """Starts guests as plain children of this process, held back but not held in.

    The guest takes further things from itself before it opens anything (``guest.confinement``): priority,
    core dumps, memory, and on Linux its life beyond its parent's. ``SandboxedLauncher`` has it take on more.

    Args:
        memory_limit: bytes of resident memory past which a guest is killed.
        threads: threads of TensorFlow's own pools; one keeps its sums in one order, so that the same upload
            gives the same numbers, and leaves the other cores to serving.
        niceness: how far below the serving process a guest runs.
        packages: folders that guests may import from beside what is installed.
    """

    def __init__(
        self,
        *,
        memory_limit: int = 4 * GIBIBYTE,
        threads: int = 1,
        niceness: int = 10,
        packages: Sequence[Path] = (),
    ) -> None:
        self._packages = [str(folder.absolute()) for folder in packages]
        self._memory_limit = memory_limit
        self._threads = threads
        self._niceness = niceness
        # Linux ends a child with the *thread* that started it, so one that lives as long as this starts all.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="guest-starter")
        self._children: list[PlainChild] = []
        self._closed = False

    def launch(self, module: str, scratch: Path) -> PlainChild:
        """Start ``main()`` of a module in a Python interpreter of its own, at home in ``scratch``."""
        return self._launch(module, scratch, layers="")

    def _launch(self, module: str, scratch: Path, layers: str) -> PlainChild:
        if self._closed:
            raise Unavailable("The server is shutting down; try again in a moment.")
        try:
            return self._starter.submit(self._start, module, scratch, layers).result()
        except (OSError, RuntimeError) as error:
            raise Unavailable(f"A child process could not be started: {error}.", retry_after=5.0) from error

    def close(self) -> None:
        """Kill every guest still running. Safe to repeat."""
        self._closed = True
        self._starter.shutdown(wait=True)
        for child in self._children:
            child.kill()
        self._children.clear()

    def _start(self, module: str, scratch: Path, layers: str) -> PlainChild:
        # -P: the working folder holds what others uploaded and must never be a place to import from.
        process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "tensortrigger_backend.guest.start",
                str(self._niceness),
                str(self._memory_limit),
                layers,
                module,
                *self._packages,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=scratch,
            env=self._environment(scratch),
            close_fds=True,
            start_new_session=True,
        )
        # One more than TensorFlow's own threads: Python works beside them.
        child = PlainChild(process, self._memory_limit, self._threads + 1)
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
        folders = list(self._packages)
        root = str(Path(tensortrigger_backend.__file__).parent.parent)
        if root not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
            folders.insert(0, root)
        if folders:
            environment["PYTHONPATH"] = os.pathsep.join(folders)
        return environment


def usage(pid: int) -> Usage:
    """What a process takes now."""
    try:
        # The name, in brackets, may hold anything; what follows is numbers from the third field on.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return Usage(seconds, int(fields[17]), int(fields[21]) * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, IndexError, ValueError):
        return Usage()
