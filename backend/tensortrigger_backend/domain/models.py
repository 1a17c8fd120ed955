"""A model version: one immutable, published thing with an id; versions of one name count 1, 2, 3."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.metadata import Metadata
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.domain.tensors import Signature, TensorSpec

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}\Z")
VERSION_PATTERN = re.compile(r"[1-9][0-9]{0,8}\Z")
NAME_RULE = "1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit"
TITLE_LIMIT = 256
DESCRIPTION_LIMIT = 10_000


class VersionState(StrEnum):
    """How far publishing has come."""

    RECEIVED = "received"
    CHECKING = "checking"
    REBUILDING = "rebuilding"
    VERIFYING = "verifying"
    READY = "ready"
    REFUSED = "refused"

    @property
    def settled(self) -> bool:
        return self in (VersionState.READY, VersionState.REFUSED)


@dataclass(frozen=True, slots=True)
class Reference:
    """A model as a caller names it: ``name``, ``name@alias`` or ``name/3``.

    Attributes:
        version, alias: at most one of the two; with neither it is the bare name.
    """

    name: str
    version: int | None = None
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Parent:
    """The version that a training began from, and the job that trained it."""

    model_id: str
    version: int
    job_id: str

    def to_dict(self) -> dict[str, Any]:
        return {"model_id": self.model_id, "version": self.version, "job_id": self.job_id}


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version.

    Attributes:
        model_id: names this version and no other, for ever.
        version: counts from 1 within owner and name; None until it is ready, so that no number is ever skipped.
        title: the human name that the caller gave (``model_name`` of the native API).
        source_key: the blob with the original bytes.
        servable_key: the blob with the canonical artifact; None until ready.
        created: when the upload was accepted, UTC seconds since the epoch.
        holder: the process that accepted the upload and judges it.
        report: the forge's verdict, as JSON members; None until it has spoken.
        parent: where it was trained from; None for what was uploaded.
        metadata: what its publisher told of it.
        wanted_alias: the alias that points here as soon as it is ready; ``wanted_by`` is who wanted it.
        receipt: the proof that it answers as the original does, as JSON members; None until there is one.
        example_key: the blob with the example that the receipt is about.
        aliases: those that point here, sorted.
    """

    model_id: str
    owner: str
    name: str
    title: str
    description: str
    state: VersionState
    source_key: str
    source_sha256: str
    size: int
    created: float
    holder: str = ""
    schema: VectorSchema | None = None
    version: int | None = None
    signature: Signature | None = None
    engine: str | None = None
    servable_key: str | None = None
    servable_sha256: str | None = None
    report: Mapping[str, Any] = field(default_factory=dict)
    parent: Parent | None = None
    metadata: Metadata = field(default_factory=Metadata)
    wanted_alias: str | None = None
    wanted_by: str = ""
    receipt: Mapping[str, Any] | None = None
    example_key: str | None = None
    aliases: tuple[str, ...] = ()

    @property
    def resolved_schema(self) -> VectorSchema | None:
        """The declared schema, else the one inferred for a model that takes one vector."""
        if self.schema is not None or self.signature is None:
            return self.schema
        return VectorSchema.inferred(self.signature)

    def described(self) -> dict[str, Any]:
        """The native API's Model object, less the times, which the caller formats."""
        schema = self.resolved_schema
        members: dict[str, Any] = {
            "model_id": self.model_id,
            "model_name": self.title,
            "name": self.name,
            "version": self.version,
            "state": str(self.state),
            "model_description": self.description,
            "model_schema": schema.to_dict() if schema else None,
            "size": self.size,
            "sha256": self.source_sha256,
            "servable_sha256": self.servable_sha256,
            "format": self.report.get("format") or None,
            "engine": self.engine,
            "engine_reason": self.report.get("engine_reason"),
            "max_deviation": self.report.get("max_deviation"),
            "parameters": self.report.get("parameters"),
            "versions": self.report.get("versions") or {},
            "stages": self.report.get("stages") or {},
            "signature": self.signature.to_dict() if self.signature else None,
            "input_shape": _shapes(self.signature.inputs) if self.signature else None,
            "output_shape": _shapes(self.signature.outputs) if self.signature else None,
            "parent": self.parent.to_dict() if self.parent else None,
            "aliases": list(self.aliases),
            "tags": dict(self.metadata.tags),
            "metrics": dict(self.metadata.metrics),
            "author": self.metadata.author,
            "notebook": self.metadata.notebook,
            "git_commit": self.metadata.git_commit,
            "receipt": _digest(self.receipt),
            "repairs": self.report.get("repairs") or [],
            "checks": self.report.get("checks") or [],
        }
        if self.state is VersionState.REFUSED:
            members["report"] = {"faults": self.report.get("faults", [])}
        return members


def name_from_title(title: str) -> str:
    """The name that a human title stands for: ``Churn, v2 (Keras)`` becomes ``churn-v2-keras``.

    Raises:
        InvalidInput: nothing of the title can stand in a name.
    """
    # Accents are taken off first, so that a name stays readable.
    plain = unicodedata.normalize("NFKD", title.casefold()).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9._-]+", "-", plain).strip("-._")[:63].rstrip("-._")
    if not NAME_PATTERN.match(name):
        raise InvalidInput.of(
            Fault(
                ("model_name",),
                "model_name",
                "No name can be made of this model_name: it holds no letter a-z or digit.",
                NAME_RULE,
                repr(title[:80]),
            )
        )
    return name


def checked_name(name: str, loc: tuple[str | int, ...] = ("name",)) -> str:
    """``name`` if it is a valid model name.

    Raises:
        InvalidInput: saying the rule.
    """
    if not NAME_PATTERN.match(name):
        try:
            hint = f": did you mean {name_from_title(name)!r}?"
        except InvalidInput:
            hint = "."
        message = f"{name[:80]!r} is not a model name{hint}"
        raise InvalidInput.of(Fault(loc, "model_name", message, NAME_RULE, repr(name[:80])))
    return name


def parse_reference(reference: str) -> Reference:
    """``name``, ``name@alias`` or ``name/3``, read.

    Raises:
        InvalidInput: it is none of these.
    """
    name, mark, rest = reference, "", ""
    for sign in "@/":
        if sign in reference:
            name, mark, rest = reference.partition(sign)
            break
    if mark and not (NAME_PATTERN if mark == "@" else VERSION_PATTERN).match(rest):
        raise InvalidInput.of(
            Fault(
                ("model",),
                "model_reference",
                f"{reference[:80]!r} names no model.",
                "name, name@alias or name/version, such as churn, churn@production or churn/3",
                repr(reference[:80]),
            )
        )
    checked_name(name, ("model",))
    return Reference(name, int(rest) if mark == "/" else None, rest if mark == "@" else None)


def _digest(receipt: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What a version shows of its receipt; the whole of it has a route of its own."""
    if receipt is None:
        return None
    return {name: receipt.get(name) for name in ("sha256", "source", "max_deviation")}


def _shapes(specs: tuple[TensorSpec, ...]) -> Any:
    """The prototype's form: one shape with null for free axes; several tensors give one by name."""
    shapes = {spec.name: [None if n == -1 else n for n in spec.shape] for spec in specs}
    return next(iter(shapes.values())) if len(shapes) == 1 else shapes
