"""How far are guests held? Two layers, each of which the kernel can give or not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Layer(StrEnum):
    """What a guest is held by."""

    FILES = "files"
    """Landlock: which files it may open, and how."""
    CALLS = "calls"
    """seccomp: which system calls it may make; without sockets there is no network."""


class SandboxState(StrEnum):
    """What ``/health`` tells of the sandbox in one word."""

    ON = "on"
    PARTIAL = "partial"
    OFF = "off"


class SandboxMode(StrEnum):
    """What an operator may ask for."""

    REQUIRED = "required"
    """No guest is started unless it is held by everything."""
    AUTO = "auto"
    """Guests are held by what this machine can give."""
    OFF = "off"


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """What a probe found on this machine.

    Attributes:
        layers: those that every guest is held by; a guest that cannot take one on does not run.
        detail: one or two sentences for the operator.
    """

    state: SandboxState
    layers: frozenset[Layer]
    detail: str

    def to_dict(self) -> dict[str, str]:
        """The report as ``/health`` tells it."""
        return {"state": self.state.value, "detail": self.detail}
