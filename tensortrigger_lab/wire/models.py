"""A model version as the backend describes it: schema, signature, state, and what it was trained from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict, TypeVar, cast

from tensortrigger_lab.wire.problems import Fault
from tensortrigger_lab.wire.reading import listed, mapping, member, number, text, whole
from tensortrigger_lab.wire.receipts import ReceiptNote, Repair

T = TypeVar("T")
_NO_REPORT: dict[str, Any] = {}


class FieldSchema(TypedDict):
    """One named value of a vector: ``var_type`` is INT, FLOAT, BOOL or STRING, ``index`` its place from 0.

    The rest is there only where it was said: ``min``, ``max`` and ``allowed`` of a number, ``categories`` and
    ``unknown`` of a STRING, ``nullable`` with the ``fill`` that stands in for null.
    """

    var_type: str
    index: int
    min: NotRequired[float]
    max: NotRequired[float]
    allowed: NotRequired[list[float]]
    categories: NotRequired[list[str] | dict[str, float]]
    unknown: NotRequired[float]
    nullable: NotRequired[bool]
    fill: NotRequired[bool | float | str]


VectorSide = dict[str, FieldSchema]
Value = float | bool | str | None
"""What one field of a vector may be sent as."""


class ModelSchema(TypedDict):
    """The nested form of a schema; without ``output_schema`` outputs come back as lists."""

    input_schema: VectorSide
    output_schema: NotRequired[VectorSide]


class ModelReference(TypedDict, total=False):
    """How a body names a model: exactly one of the two."""

    model_id: str
    model: str


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor: its name, numpy dtype (``string`` for text) and shape, batch axis first, -1 where free."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def read(cls, members: Any) -> TensorSpec:
        """From JSON."""
        return cls(
            member(members, "name", text),
            member(members, "dtype", text),
            member(members, "shape", listed(whole)),
        )


@dataclass(frozen=True, slots=True)
class Signature:
    """A model's tensors in its own order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @classmethod
    def read(cls, members: Any) -> Signature:
        """From JSON."""
        return cls(
            member(members, "inputs", listed(TensorSpec.read)),
            member(members, "outputs", listed(TensorSpec.read)),
        )


@dataclass(frozen=True, slots=True)
class Parent:
    """The version that a training began from, and the training itself."""

    model_id: str
    version: int | None = None
    job_id: str | None = None

    @classmethod
    def read(cls, members: Any) -> Parent:
        """From JSON."""
        return cls(
            member(members, "model_id", text),
            member(members, "version", whole, None),
            member(members, "job_id", text, None),
        )


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model version as the backend describes it.

    Attributes:
        title: the human name, ``model_name`` on the wire.
        state: ``ready``, ``refused``, or how far publishing has come.
        created: ISO 8601, UTC.
        size: bytes of the upload.
        max_deviation: largest difference that the backend saw between its servable and the original.
        faults: why it was refused; empty otherwise.
        parent: the version that it was trained from; None for one that was published.
        aliases: names such as ``production`` that mean this version now.
        tags, metrics: what whoever published it wrote down.
        author, notebook, git_commit: where it comes from, as far as that was told.
        receipt: whether the endpoint is proven to answer as the model did; None before it is ready.
        repairs: what was changed in the file's config so that it loads.
        checks: what was looked at before it was accepted, a sentence each.
        format: ``hdf5``, ``keras``, ``saved_model`` or ``onnx``.
        sha256: of the upload.
    """

    model_id: str
    name: str
    version: int | None
    title: str
    description: str
    state: str
    created: str
    size: int
    schema: ModelSchema | None
    signature: Signature | None
    engine: str | None
    engine_reason: str | None
    max_deviation: float | None
    faults: tuple[Fault, ...] = ()
    parent: Parent | None = None
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    author: str | None = None
    notebook: str | None = None
    git_commit: str | None = None
    receipt: ReceiptNote | None = None
    repairs: tuple[Repair, ...] = ()
    checks: tuple[str, ...] = ()
    format: str | None = None
    sha256: str | None = None

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the vector's fields in index order; empty where the model takes tensors."""
        return names_in_order(self.schema["input_schema"]) if self.schema else ()

    @property
    def output_names(self) -> tuple[str, ...]:
        """Declared names of the output vector in index order; empty where none were declared."""
        return names_in_order(self.schema.get("output_schema", {})) if self.schema else ()

    @classmethod
    def read(cls, members: Any) -> ModelRecord:
        """From JSON."""
        report = member(members, "report", mapping, _NO_REPORT)
        return cls(
            member(members, "model_id", text),
            member(members, "name", text),
            member(members, "version", whole, None),
            member(members, "model_name", text, ""),
            member(members, "model_description", text, ""),
            member(members, "state", text, "ready"),
            member(members, "created", text, ""),
            member(members, "size", whole, 0),
            member(members, "model_schema", _read_schema, None),
            member(members, "signature", Signature.read, None),
            member(members, "engine", text, None),
            member(members, "engine_reason", text, None),
            member(members, "max_deviation", number, None),
            member(report, "faults", listed(Fault.read), ()),
            member(members, "parent", Parent.read, None),
            member(members, "aliases", _names, ()),
            tags=member(members, "tags", lambda found: _each(found, text), {}),
            metrics=member(members, "metrics", lambda found: _each(found, number), {}),
            author=member(members, "author", text, None),
            notebook=member(members, "notebook", text, None),
            git_commit=member(members, "git_commit", text, None),
            receipt=member(members, "receipt", ReceiptNote.read, None),
            repairs=member(members, "repairs", listed(Repair.read), ()),
            checks=member(members, "checks", listed(text), ()),
            format=member(members, "format", text, None),
            sha256=member(members, "sha256", text, None),
        )


def names_in_order(side: Mapping[str, FieldSchema]) -> tuple[str, ...]:
    """Field names by their ``index``, never by their place in the object."""
    return tuple(sorted(side, key=lambda name: side[name]["index"]))


def _read_schema(members: Any) -> ModelSchema:
    schema: ModelSchema = {"input_schema": member(members, "input_schema", _read_side)}
    if members.get("output_schema"):
        schema["output_schema"] = _read_side(members["output_schema"])
    return schema


def _read_side(members: Any) -> VectorSide:
    return {name: _read_field(entry) for name, entry in mapping(members).items()}


def _read_field(members: Any) -> FieldSchema:
    var_type, index = member(members, "var_type", text), member(members, "index", whole)
    # What else a field says, such as its range, is kept as the backend says it.
    return cast("FieldSchema", {**mapping(members), "var_type": var_type, "index": index})


def _each(value: Any, read: Callable[[Any], T]) -> dict[str, T]:
    return {name: read(entry) for name, entry in mapping(value).items()}


def _names(value: Any) -> tuple[str, ...]:
    """Aliases as a list of names, or as an object by name; of any other shape, none."""
    return tuple(name for name in value if isinstance(name, str)) if isinstance(value, list | dict) else ()
