"""A publish receipt: the proof that the endpoint answers as the model did before it was published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tensortrigger_lab.wire.reading import listed, mapping, member, number, text, whole


@dataclass(frozen=True, slots=True)
class Repair:
    """What was changed in the file's config so that it loads, and where."""

    path: str
    message: str

    @classmethod
    def read(cls, members: Any) -> Repair:
        """From JSON."""
        return cls(member(members, "path", text, ""), member(members, "message", text))


@dataclass(frozen=True, slots=True)
class ReceiptCheck:
    """One look at whether the proof still holds, on the engine of that day."""

    engine_version: str
    checked: str
    max_deviation: float | None
    passed: bool

    @classmethod
    def read(cls, members: Any) -> ReceiptCheck:
        """From JSON."""
        return cls(
            member(members, "engine_version", text, ""),
            member(members, "checked", text, ""),
            member(members, "max_deviation", number, None),
            member(members, "passed", bool),
        )


@dataclass(frozen=True, slots=True)
class ReceiptNote:
    """What a version says of its receipt in a list: enough to tell whether it is proven, and by whose rows."""

    sha256: str
    source: str
    max_deviation: float | None

    @classmethod
    def read(cls, members: Any) -> ReceiptNote:
        """From JSON."""
        return cls(
            member(members, "sha256", text, ""),
            member(members, "source", text, ""),
            member(members, "max_deviation", number, None),
        )


@dataclass(frozen=True, slots=True)
class Receipt:
    """The whole proof.

    Attributes:
        sha256: of the receipt itself.
        source: ``client`` where the rows and their outputs came from the notebook, ``forge`` where the backend
            made them from the original.
        rows: how many rows were compared.
        max_deviation: the largest difference; equal means |y - y0| <= atol + rtol |y0|.
        versions: of the packages that made the servable; ``client_versions``: of those in the notebook.
        checks: looks at a later time, oldest first.
    """

    model_id: str
    sha256: str
    source: str
    rows: int
    inputs_sha256: str
    outputs_sha256: str
    max_deviation: float | None
    atol: float | None
    rtol: float | None
    engine: str
    engine_version: str
    created: str
    versions: Mapping[str, str] = field(default_factory=dict)
    client_versions: Mapping[str, str] = field(default_factory=dict)
    repairs: tuple[Repair, ...] = ()
    checks: tuple[ReceiptCheck, ...] = ()

    @classmethod
    def read(cls, members: Any) -> Receipt:
        """From JSON."""
        return cls(
            member(members, "model_id", text),
            member(members, "sha256", text, ""),
            member(members, "source", text, ""),
            member(members, "rows", whole, 0),
            member(members, "inputs_sha256", text, ""),
            member(members, "outputs_sha256", text, ""),
            member(members, "max_deviation", number, None),
            member(members, "atol", number, None),
            member(members, "rtol", number, None),
            member(members, "engine", text, ""),
            member(members, "engine_version", text, ""),
            member(members, "created", text, ""),
            member(members, "versions", _texts, {}),
            member(members, "client_versions", _texts, {}),
            member(members, "repairs", listed(Repair.read), ()),
            member(members, "checks", listed(ReceiptCheck.read), ()),
        )


def _texts(value: Any) -> dict[str, str]:
    return {name: str(entry) for name, entry in mapping(value).items()}
