"""What does a guest take from itself before it opens anything? Files, system calls, privileges, memory, priority."""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

FILES = "files"
CALLS = "calls"
TRY = "try"
"""In place of layers: take on what the kernel gives and note the rest in ``missing``; for the probe."""

missing: dict[str, str] = {}
"""Layers that could not be taken on, with the reason; only ever filled where ``TRY`` was asked for."""

_PR_SET_PDEATHSIG = 1
_OPEN_FILES = 4096
_FILE_BYTES = 16 << 30
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_READ_SEARCH = 1 << 2


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
        if sys.platform == "linux":
            for limit, value in ((resource.RLIMIT_NOFILE, _OPEN_FILES), (resource.RLIMIT_FSIZE, _FILE_BYTES)):
                hard = resource.getrlimit(limit)[1]
                value = value if hard == resource.RLIM_INFINITY else min(value, hard)
                resource.setrlimit(limit, (value, value))
            if memory_limit:
                # Not RLIMIT_AS: TensorFlow reserves far more address space than it ever touches.
                resource.setrlimit(resource.RLIMIT_DATA, (memory_limit, memory_limit))
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def take_on(layers: str, scratch: Path, packages: Sequence[Path]) -> None:
    """Hold this process, and all it may ever start, to its scratch folder and to harmless system calls.

    Args:
        layers: names joined by commas, or ``TRY``.
        scratch: the only folder that stays writable.
        packages: further folders to import from, readable.

    Raises:
        RuntimeError: a layer could not be taken on; the guest must not run.
    """
    wanted = (FILES, CALLS) if layers == TRY else tuple(filter(None, layers.split(",")))
    if not wanted:
        return
    drop_capabilities()
    with _starting_no_compiler():
        # Files first: the calls that Landlock needs are not among those that stay.
        for name, layer in ((FILES, lambda: _hold_files(scratch, packages)), (CALLS, _hold_calls)):
            if name in wanted:
                _apply(name, layer, fatal=layers != TRY)


@contextlib.contextmanager
def _starting_no_compiler() -> Iterator[None]:
    # Both libraries ask for the C library by name, and Python starts gcc or ldconfig to find it; without an
    # answer they take the one that is loaded.
    search = ctypes.util.find_library
    ctypes.util.find_library = _not_found
    try:
        yield
    finally:
        ctypes.util.find_library = search


def _not_found(name: str) -> str | None:  # noqa: ARG001 - the signature is find_library's
    return None


def _apply(name: str, layer: Callable[[], None], *, fatal: bool) -> None:
    try:
        if len(os.listdir("/proc/self/task")) != 1:  # noqa: PTH208 - names are all it wants
            # Both layers hold the thread that asks for them, and those that it starts later.
            raise RuntimeError("there is more than one thread already")
        layer()
    except Exception as error:
        if fatal:
            raise RuntimeError(f"The sandbox's layer {name!r} could not be taken on: {error}") from error
        missing[name] = f"{type(error).__name__}: {error}"


def _hold_files(scratch: Path, packages: Sequence[Path]) -> None:
    from tensortrigger_backend.guest.files import file_rules

    with file_rules(scratch, packages) as rules:
        rules.restrict()


def _hold_calls() -> None:
    from tensortrigger_backend.guest.system_calls import guest_filter

    guest_filter(os.getpid()).load()


def drop_capabilities() -> None:
    """Where the server runs as root, keep nothing of it but the right to read what Landlock lets through.

    That one stays because root may well run from a folder that belongs to somebody else.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()
    if libc.capget(header, sets) != 0:
        return
    kept = [sets[0] & _CAP_DAC_READ_SEARCH, sets[1] & _CAP_DAC_READ_SEARCH, 0, 0, 0, 0]
    if libc.capset(header, (ctypes.c_uint32 * 6)(*kept)) != 0:
        raise OSError(ctypes.get_errno(), "the capabilities could not be dropped")
