"""What does a guest take from itself before it opens anything? Priority, core dumps, memory, outliving its parent."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def confine_self(niceness: int, memory_limit: int) -> None:
    """Lower this process for good; nothing here can be taken back by an unprivileged process.

    Args:
        niceness: added to the own priority.
        memory_limit: bytes of private writable memory past which allocation fails; 0 for no limit.
    """
    with contextlib.suppress(AttributeError, OSError):
        os.nice(niceness)
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if memory_limit and sys.platform == "linux":
            # Not RLIMIT_AS: TensorFlow reserves far more address space than it ever touches.
            resource.setrlimit(resource.RLIMIT_DATA, (memory_limit, memory_limit))
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def main() -> None:
    """``confinement NICENESS MEMORY MODULE``: give up what a guest need not have, then run the module's ``main()``."""
    confine_self(niceness=int(sys.argv[1]), memory_limit=int(sys.argv[2]))
    importlib.import_module(sys.argv[3]).main()


if __name__ == "__main__":
    main()
