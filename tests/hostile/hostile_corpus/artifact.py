"""What is a hostile artifact? A file's bytes, what it would do, and how it must be refused."""

from __future__ import annotations

import enum
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np


class Effect(enum.Enum):
    """What it does to whoever opens it without protection."""

    RUNS_CODE = "runs code"
    WRITES = "writes a file"
    READS = "reads a file of the host"
    CONNECTS = "connects"
    EXPANDS = "takes far more memory or time than it has bytes"
    STRUCTURE = "is out of shape"

    @property
    def seen_by_trap(self) -> bool:
        """Whether a live run leaves a trace in a trap."""
        return self not in (Effect.EXPANDS, Effect.STRUCTURE)


@dataclass(frozen=True, slots=True)
class Traps:
    """Where attacks point to: files that must not appear, ones that must not be read, a port nobody should call.

    Attributes:
        folder: an existing folder outside of anything the backend uses.
        port: of a listening socket on the loopback device.
        secret: what the files of the host hold; a loader that shows it has read one.
    """

    folder: Path
    port: int
    secret: str = field(default_factory=lambda: f"secret-{secrets.token_hex(8)}")

    def marker(self, name: str) -> Path:
        """The file that the artifact of this name writes, where it gets so far."""
        return self.folder / "markers" / name.replace("/", "-")

    def written(self, name: str) -> bool:
        """Whether that file, or one with a further suffix, is there."""
        marker = self.marker(name)
        return marker.exists() or any(marker.parent.glob(f"{marker.name}.*"))

    def url(self, name: str) -> str:
        """An address at the listening port."""
        return f"http://127.0.0.1:{self.port}/{name}"

    @property
    def text(self) -> Path:
        return self.folder / "host" / "secret.txt"

    @property
    def hdf5(self) -> Path:
        return self.folder / "host" / "secret.h5"

    def plant(self) -> None:
        """Lay out the host's files; the names in the folder hold the secret too."""
        for place in ("markers", "host"):
            (self.folder / place).mkdir(parents=True)
        self.text.write_text(self.secret)
        (self.folder / "host" / self.secret).touch()
        with h5py.File(self.hdf5, "w") as file:
            file["data"] = np.frombuffer(self.secret.encode(), "u1")

    @property
    def saved_model(self) -> Path:
        """A SavedModel on the host that writes to ``marker("keras/tfsm-layer")`` when it is run."""
        return self.folder / "host" / "saved_model"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One attack.

    Attributes:
        name: ``format/what-it-is``.
        build: its bytes.
        codes: of the fault, any of which says truly why it is refused.
        loader: which function of ``unprotected`` shows it live.
        bomb: bytes held and bytes (or steps) that they stand for, of those that expand.
        why: why it is not shown live, of those that are only out of shape.
        needs_tensorflow: no static look can tell, so that its refusal takes seconds.
    """

    name: str
    effect: Effect
    build: Callable[[Traps], bytes]
    codes: tuple[str, ...]
    loader: str = "keras"
    bomb: Callable[[bytes], tuple[int, int]] | None = None
    why: str = ""
    needs_tensorflow: bool = False

    @property
    def format(self) -> str:
        return self.name.split("/", 1)[0]
