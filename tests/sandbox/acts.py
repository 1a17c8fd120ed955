"""What does an ordinary guest do, and a greedy one? Runs as a guest.

Reads one line of JSON from stdin, {"act": name, ...}, and answers one line.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def tell(words: Any) -> None:
    print(json.dumps(words), flush=True)


def works(order: dict[str, Any]) -> None:
    """What a guest must still be able to do, and what it was given."""
    descriptors = sorted(path.name for path in Path("/proc/self/fd").iterdir() if path.exists())
    Path("folder").mkdir()
    Path("folder/file").write_bytes(b"inside")
    Path("folder/file").rename("file")
    Path("folder").rmdir()
    with Path("file").open("r+b") as stream:
        assert mmap.mmap(stream.fileno(), 0)[:] == b"inside"
    Path("/dev/null").write_bytes(b"x")
    done: list[int] = []
    threads = [threading.Thread(target=done.append, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.kill(os.getpid(), 0)
    capabilities = next(
        line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "CapPrm" in line
    )
    tell(
        {
            "descriptors": descriptors,
            "environment": dict(os.environ),
            "arguments": sys.argv,
            "threads": sorted(done),
            "capabilities": int(capabilities, 16),
            "random": len(os.urandom(16)),
        }
    )


def takes_memory(order: dict[str, Any]) -> None:
    """Memory that counts as one's own data, or memory that does not."""
    held = []
    for _ in range(order["mebibytes"]):
        piece: Any = mmap.mmap(-1, 1 << 20) if order["shared"] else bytearray(1 << 20)
        piece[::4096] = b"x" * 256
        held.append(piece)
    tell({"took": len(held)})


def takes_time(order: dict[str, Any]) -> None:
    """As long as it takes, whatever it is sent to end it politely."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGXCPU, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    until = time.monotonic() + order["duration"]
    while time.monotonic() < until:
        pass
    tell({"took": order["duration"]})


def starts_threads(order: dict[str, Any]) -> None:
    """A bomb of threads."""
    threading.stack_size(64 << 10)
    wait = threading.Event()
    for _ in range(order["threads"]):
        threading.Thread(target=wait.wait, args=(5,), daemon=True).start()
    wait.wait(1.5)
    tell({"took": order["threads"]})
    os._exit(0)


ACTS: dict[str, Callable[[dict[str, Any]], None]] = {
    "works": works,
    "takes_memory": takes_memory,
    "takes_time": takes_time,
    "starts_threads": starts_threads,
}


def main() -> None:
    order = json.loads(sys.stdin.readline())
    ACTS[order["act"]](order)
