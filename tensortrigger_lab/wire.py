"""The shapes of the REST API's requests and answers, and how the latter are read; stands alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict, TypeVar

T = TypeVar("T")
_REQUIRED: Any = object()
_NO_REPORT: dict[str, Any] = {}


class WireError(ValueError):
    """An answer that does not have the shape which the API promises."""


class FieldSchema(TypedDict):
    """One named number of a vector: ``var_type`` is INT or FLOAT, ``index`` its place from 0."""

    var_type: str
    index: int


VectorSide = dict[str, FieldSchema]


class ModelSchema(TypedDict):
    """The nested form of a schema; without ``output_schema`` outputs come back as lists."""

    input_schema: VectorSide
    output_schema: NotRequired[VectorSide]


class ModelReference(TypedDict, total=False):
    """How a body names a model: exactly one of the two."""

    model_id: str
    model: str


def member(members: Any, name: str, read: Callable[[Any], T], default: T = _REQUIRED) -> T:
    """``members[name]`` through ``read``; ``default`` where it is absent or null.

    Raises:
        WireError: absent without a default, or not what ``read`` takes.
    """
    if not isinstance(members, Mapping):
        raise WireError(f"an object with {name!r} was expected, {type(members).__name__} came")
    value = members.get(name)
    if value is None:
        if default is _REQUIRED:
            raise WireError(f"{name!r} is missing")
        return default
    try:
        return read(value)
    except WireError:
        raise
    except (ValueError, TypeError, KeyError) as error:
        raise WireError(f"{name!r} is not readable: {error}") from error


def text(value: Any) -> str:
    """A string, as it is."""
    if not isinstance(value, str):
        raise WireError(f"text was expected, {type(value).__name__} came")
    return value


def number(value: Any) -> float:
    """A number; a boolean is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WireError(f"a number was expected, {type(value).__name__} came")
    return float(value)


def whole(value: Any) -> int:
    """A number, cut to a whole one."""
    return int(number(value))


def listed(read: Callable[[Any], T]) -> Callable[[Any], tuple[T, ...]]:
    """A reader of lists whose entries ``read`` takes."""

    def read_all(values: Any) -> tuple[T, ...]:
        if not isinstance(values, list):
            raise WireError(f"a list was expected, {type(values).__name__} came")
        return tuple(read(value) for value in values)

    return read_all


def mapping(value: Any) -> dict[str, Any]:
    """An object, as it is."""
    if not isinstance(value, dict):
        raise WireError(f"an object was expected, {type(value).__name__} came")
    return value


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input: where, what was expected, what came."""

    loc: tuple[str | int, ...]
    code: str
    message: str
    expected: str | None = None
    got: str | None = None
    row: int | None = None
    remedy: str | None = None

    def hint(self) -> str:
        """What was expected, what came, and the remedy, as far as they are known."""
        halves = [f"expected {self.expected}"] * bool(self.expected) + [f"got {self.got}"] * bool(self.got)
        return ". ".join(part for part in (", ".join(halves), self.remedy) if part)

    def told(self) -> str:
        """The fault in one line."""
        return f"{self.message} ({self.hint()})" if self.hint() else self.message

    @classmethod
    def read(cls, members: Any) -> Fault:
        """From JSON."""
        return cls(
            member(members, "loc", tuple, ()),
            member(members, "code", str, ""),
            member(members, "message", str, ""),
            member(members, "expected", str, None),
            member(members, "got", str, None),
            member(members, "row", whole, None),
            member(members, "remedy", str, None),
        )


@dataclass(frozen=True, slots=True)
class Problem:
    """RFC 9457 problem details."""

    status: int
    title: str
    detail: str
    type: str = "about:blank"
    instance: str | None = None
    faults: tuple[Fault, ...] = ()

    @classmethod
    def read(cls, members: Any) -> Problem:
        """From JSON."""
        detail = member(members, "detail", text, "") or member(members, "message", text)
        return cls(
            member(members, "status", whole, 0) or member(members, "http_code", whole),
            member(members, "title", text, ""),
            detail,
            member(members, "type", text, "about:blank"),
            member(members, "instance", text, None),
            member(members, "errors", listed(Fault.read), ()),
        )


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
class ModelRecord:
    """A model version as the backend describes it.

    Attributes:
        title: the human name, ``model_name`` on the wire.
        state: ``ready``, ``refused``, or how far publishing has come.
        created: ISO 8601, UTC.
        size: bytes of the upload.
        max_deviation: largest difference that the backend saw between its servable and the original.
        faults: why it was refused; empty otherwise.
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
        )


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job has come, in rows; rejected rows count as done."""

    rows_done: int = 0
    rows_total: int | None = None
    rows_rejected: int = 0
    rows_per_second: float | None = None
    seconds_left: float | None = None

    @classmethod
    def read(cls, members: Any) -> JobProgress:
        """From JSON."""
        return cls(
            member(members, "rows_done", whole, 0),
            member(members, "rows_total", whole, None),
            member(members, "rows_rejected", whole, 0),
            member(members, "rows_per_second", number, None),
            member(members, "seconds_left", number, None),
        )


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as the backend describes it; ``state`` is queued, running, succeeded, failed or cancelled."""

    job_id: str
    model_id: str
    state: str
    upload_size: int
    created: str
    last_updated: str
    progress: JobProgress
    error: str | None

    @property
    def final(self) -> bool:
        """Whether it will never change again."""
        return self.state in ("succeeded", "failed", "cancelled")

    @classmethod
    def read(cls, members: Any) -> JobRecord:
        """From JSON."""
        return cls(
            member(members, "job_id", text),
            member(members, "model_id", text),
            member(members, "state", text),
            member(members, "upload_size", whole, 0),
            member(members, "created", text, ""),
            member(members, "last_updated", text, ""),
            member(members, "progress", JobProgress.read, JobProgress()),
            member(members, "error", text, None),
        )


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that could not be scored: ``row`` counts data rows from 0, ``line`` lines of the file from 1."""

    row: int
    line: int
    field: str | None
    code: str
    message: str

    @classmethod
    def read(cls, members: Any) -> Reject:
        """From JSON."""
        return cls(
            member(members, "row", whole),
            member(members, "line", whole),
            member(members, "field", text, None),
            member(members, "code", text, ""),
            member(members, "message", text),
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
    return {
        name: {"var_type": member(entry, "var_type", text), "index": member(entry, "index", whole)}
        for name, entry in mapping(members).items()
    }
