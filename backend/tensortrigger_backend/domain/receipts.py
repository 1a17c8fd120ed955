"""A publish receipt: the proof that a version answers an example as its notebook did, and hashes to recompute it by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.publishing import ATOL, RTOL, Repair

Tensors = Mapping[str, npt.NDArray[Any]]

EXAMPLE_BYTES: Final = 64 << 20
"""What an example may take in a file."""


class ReceiptSource(StrEnum):
    """Who made the example: the caller, whose notebook answered it, or the forge, which asked the original."""

    CLIENT = "client"
    FORGE = "forge"


@dataclass(frozen=True, slots=True)
class Example:
    """Inputs and what the original answered to them, by tensor, batch axis first.

    Text is held as numpy's object arrays of ``str``. A NaN among the outputs stands for any value that is not finite.
    """

    inputs: Tensors
    outputs: Tensors

    @property
    def rows(self) -> int:
        return min((len(values) for values in self.inputs.values()), default=0)

    @property
    def size(self) -> int:
        """Bytes that it takes in a file, where each text takes as much as the longest one beside it."""
        return sum(_size(values) for side in (self.inputs, self.outputs) for values in side.values())


@dataclass(frozen=True, slots=True)
class EngineCheck:
    """The example was run on one version of the engine.

    Attributes:
        checked: when, as ``moment`` writes it.
        max_deviation: the largest |y - y0|; None where an answer was no number or had another shape.
    """

    engine_version: str
    checked: str
    max_deviation: float | None
    passed: bool

    def to_dict(self) -> dict[str, Any]:
        return {
            "engine_version": self.engine_version,
            "checked": self.checked,
            "max_deviation": self.max_deviation,
            "passed": self.passed,
        }


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was proven about a version at its publishing, and every check of it since.

    Attributes:
        rows: how many rows the example has.
        inputs_sha256, outputs_sha256: ``tensors_sha256`` of the example; the outputs are the original's.
        max_deviation: the largest |y - y0| between the endpoint and the original.
        versions: package name to version, of what made the servable.
        client_versions: the same of the notebook, as it said.
        created: when, as ``moment`` writes it.
        checks: the first one is that of the publishing.
    """

    model_id: str
    source: ReceiptSource
    rows: int
    inputs_sha256: str
    outputs_sha256: str
    max_deviation: float
    engine: str
    engine_version: str
    created: str
    versions: Mapping[str, str] = field(default_factory=dict)
    client_versions: Mapping[str, str] = field(default_factory=dict)
    repairs: tuple[Repair, ...] = ()
    checks: tuple[EngineCheck, ...] = ()

    @property
    def sha256(self) -> str:
        """The hash of the receipt's canonical JSON, without this member and without ``checks``."""
        return canonical_json_sha256(self._proven())

    def check_on(self, engine_version: str) -> EngineCheck | None:
        """The latest check on that version of the engine, if there was one."""
        return next((c for c in reversed(self.checks) if c.engine_version == engine_version), None)

    def with_check(self, check: EngineCheck) -> Receipt:
        """This receipt with one check more."""
        return replace(self, checks=(*self.checks, check))

    def to_dict(self) -> dict[str, Any]:
        return {
            "sha256": self.sha256,
            **self._proven(),
            "checks": [check.to_dict() for check in self.checks],
        }

    def summary(self) -> dict[str, Any]:
        """What the Model object shows of it."""
        return {"sha256": self.sha256, "source": str(self.source), "max_deviation": self.max_deviation}

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> Receipt:
        return cls(
            model_id=members["model_id"],
            source=ReceiptSource(members["source"]),
            rows=members["rows"],
            inputs_sha256=members["inputs_sha256"],
            outputs_sha256=members["outputs_sha256"],
            max_deviation=members["max_deviation"],
            engine=members["engine"],
            engine_version=members["engine_version"],
            created=members["created"],
            versions=members["versions"],
            client_versions=members["client_versions"],
            repairs=tuple(Repair(**repair) for repair in members["repairs"]),
            checks=tuple(EngineCheck(**check) for check in members["checks"]),
        )

    def _proven(self) -> dict[str, Any]:
        return {
            "model_id": self.model_id,
            "source": str(self.source),
            "rows": self.rows,
            "inputs_sha256": self.inputs_sha256,
            "outputs_sha256": self.outputs_sha256,
            "max_deviation": self.max_deviation,
            "atol": ATOL,
            "rtol": RTOL,
            "engine": self.engine,
            "engine_version": self.engine_version,
            "versions": dict(self.versions),
            "client_versions": dict(self.client_versions),
            "repairs": [repair.to_dict() for repair in self.repairs],
            "created": self.created,
        }


def moment(seconds: float) -> str:
    """ISO 8601 in UTC, to the millisecond, of seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def canonical_json_sha256(members: Mapping[str, Any]) -> str:
    """SHA-256 of JSON with sorted keys, no spaces and ASCII escapes: ``json.dumps(..., sort_keys=True, ...)``."""
    text = json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def tensors_sha256(tensors: Tensors) -> str:
    """SHA-256 over tensors by name, the same on every machine.

    For each tensor in the order of its name's UTF-8 bytes: name, dtype, number of axes, length of each axis, values.
    Every number that is not a value is an unsigned 64-bit little-endian integer; name and dtype are UTF-8 with
    their length before them. Values go in C order: numbers as little-endian bytes of the dtype (``bool`` one byte,
    each NaN as numpy's own quiet NaN), text as UTF-8 with its length before it. The dtype is numpy's name of it
    (``float32``); ``string`` for text.
    """
    digest = hashlib.sha256()
    for name, values in sorted(tensors.items(), key=lambda item: item[0].encode()):
        text = values.dtype.kind in "OSU"
        _take_text(digest, name)
        _take_text(digest, "string" if text else values.dtype.name)
        for number in (values.ndim, *values.shape):
            digest.update(number.to_bytes(8, "little"))
        if text:
            for entry in values.ravel().tolist():
                _take_text(digest, text_of(entry))
        else:
            digest.update(_plain_bytes(values))
    return digest.hexdigest()


def text_of(entry: object) -> str:
    """One entry of a text tensor as ``str``."""
    return entry.decode("utf-8", "replace") if isinstance(entry, bytes) else str(entry)


def _size(values: npt.NDArray[Any]) -> int:
    if values.dtype.kind not in "OSU":
        return values.nbytes
    return 4 * values.size * max((len(text_of(entry)) for entry in values.ravel().tolist()), default=0)


def _take_text(digest: Any, text: str) -> None:
    data = text.encode()
    digest.update(len(data).to_bytes(8, "little"))
    digest.update(data)


def _plain_bytes(values: npt.NDArray[Any]) -> bytes:
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    if little.dtype.kind == "f":
        # A NaN has many bit patterns, and which one an engine gives is nobody's promise.
        little = np.where(np.isnan(little), np.array(np.nan, little.dtype), little).astype(little.dtype)
    return little.tobytes()
