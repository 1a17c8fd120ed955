"""An alias as the backend describes it, and one entry of its history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tensortrigger_lab.wire.reading import member, text, whole


@dataclass(frozen=True, slots=True)
class AliasRecord:
    """A name such as ``production`` and the version that it means now.

    Attributes:
        moved: ISO 8601, UTC.
        moved_by: who did it, as far as the backend knows.
    """

    alias: str
    name: str
    version: int
    model_id: str
    moved: str
    moved_by: str

    @property
    def reference(self) -> str:
        """``name@alias``, as every call takes it."""
        return f"{self.name}@{self.alias}"

    @classmethod
    def read(cls, members: Any) -> AliasRecord:
        """From JSON."""
        return cls(
            member(members, "alias", text),
            member(members, "name", text),
            member(members, "version", whole),
            member(members, "model_id", text),
            member(members, "moved", text, ""),
            member(members, "moved_by", text, ""),
        )


@dataclass(frozen=True, slots=True)
class AliasMove:
    """One change of an alias.

    Attributes:
        version: what it meant afterwards; None where it was removed.
        previous_version: what it meant before; None where there was no such alias.
        action: ``published``, ``moved``, ``rolled_back`` or ``removed``.
    """

    version: int | None
    model_id: str | None
    previous_version: int | None
    action: str
    moved: str
    moved_by: str

    @classmethod
    def read(cls, members: Any) -> AliasMove:
        """From JSON."""
        return cls(
            member(members, "version", whole, None),
            member(members, "model_id", text, None),
            member(members, "previous_version", whole, None),
            member(members, "action", text),
            member(members, "moved", text, ""),
            member(members, "moved_by", text, ""),
        )
