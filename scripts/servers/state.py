"""What ``scripts/services`` has started or found, kept between its calls."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from servers.node import is_running


@dataclass
class Service:
    """One server that is used.

    Attributes:
        started: how it came: by ``found``, ``node`` (a process of ours) or ``compose``.
        pid: of a process of ours, else 0.
        folder: of a process of ours.
    """

    port: int
    started: str = "found"
    pid: int = 0
    folder: str = ""
    access_key: str = ""
    secret_key: str = ""

    def gone(self) -> bool:
        """Whether it was ours and has ended."""
        return self.started == "node" and not is_running(self.pid)


@dataclass
class State:
    """All of it.

    Attributes:
        pepper: keys the hashes of API keys, the same for every process.
        place: the name of database and bucket, which belong together.
        services: by kind.
    """

    pepper: str = ""
    place: str = ""
    services: dict[str, Service] = field(default_factory=dict)

    @classmethod
    def read(cls) -> State:
        """What the last call left; nothing where there was none."""
        try:
            told: dict[str, Any] = json.loads(state_file().read_text())
        except FileNotFoundError:
            return cls()
        services = {kind: Service(**members) for kind, members in told["services"].items()}
        return cls(told["pepper"], told.get("place", ""), services)

    def write(self) -> None:
        """Keep it, for its owner's eyes only."""
        path = state_file()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            json.dump(asdict(self), stream, indent=1)
        fresh.replace(path)


def state_file() -> Path:
    """Below the folder that the platform has for caches."""
    if sys.platform == "darwin":
        caches = Path.home() / "Library" / "Caches"
    else:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "tensortrigger" / "services.json"
