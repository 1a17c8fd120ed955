"""The bodies of the native API, as OpenAPI 3.1 shows them.

Bodies are read and checked by the domain, which names field and row; these models describe them.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from tensortrigger_backend.api.answers import Answered
from tensortrigger_backend.api.job_shapes import PRIORITY, TEMPLATE, WEBHOOK, FetchRequest, ScoreRequest
from tensortrigger_backend.api.model_shapes import AliasCondition, AliasTarget, ModelChanges, NewModel

FieldValue = float | bool | str | None
"""What a field of a vector may be sent as; which of them, its entry in the schema says."""


class ModelRef(BaseModel):
    """Which model: by the id of a version, or by name."""

    model_config = ConfigDict(protected_namespaces=())
    model_id: str | None = None
    model: str | None = Field(
        default=None,
        description="`name` (its `production` alias, else its latest version), `name@alias` or `name/3`.",
    )


class NewUpload(BaseModel):
    """A large model that will come as raw bytes."""

    size: int | None = Field(default=None, ge=1, description="Bytes in all, where they are known.")
    sha256: str | None = Field(
        default=None, description="Of all bytes, checked when a model is made of them."
    )


class RunRequest(ModelRef):
    """One vector, or tensors with their batch axis."""

    input_vector: dict[str, FieldValue] | list[FieldValue] | None = None
    inputs: Any = Field(
        default=None, description="A nested list, or `{name: nested list}`, with the batch axis."
    )


class RunBatchRequest(ModelRef):
    """Several vectors, or tensors with their batch axis."""

    input_vectors: list[dict[str, FieldValue] | list[FieldValue]] | None = None
    inputs: Any = None


class TrainRequest(ModelRef):
    """Points to train a version on; the members beside them have the defaults that are shown."""

    epochs: int = Field(default=100, ge=1, le=100_000)
    input_vectors: list[dict[str, FieldValue] | list[FieldValue]] | None = None
    output_vectors: list[dict[str, float] | list[float] | float] | None = Field(
        default=None,
        description="One for each input vector. A model that tells classes apart also takes the class's number.",
    )
    inputs: Any = Field(default=None, description="For models that are not one vector, as in `/tensor/run`.")
    outputs: Any = None
    batch_size: int = Field(default=32, ge=1, le=1_000_000)
    validation_split: float = Field(default=0.0, ge=0, lt=1, description="The last points are held back.")
    shuffle: bool = True
    learning_rate: float | None = Field(default=None, gt=0, le=1000)
    loss: str | None = Field(
        default=None, description="A name of Keras; left out: the file's, else inferred."
    )
    optimizer: str | None = None
    name: str | None = Field(default=None, max_length=200, description="Title of the run.")
    priority: int = Field(default=5, ge=0, le=9, description=PRIORITY)
    webhook: str | None = Field(default=None, description=WEBHOOK)


class TicketRequest(BaseModel):
    """A single-use right to publish to one name."""

    model: str
    expires_in: float = Field(default=300, gt=0, le=3600, description="Seconds.")


class NewRun(BaseModel):
    """A training run that will report from outside."""

    name: str = Field(description="A human title.")
    model: str | None = Field(default=None, description="The name of the model that is trained.")
    epochs: int | None = Field(default=None, ge=1)
    steps_per_epoch: int | None = Field(default=None, ge=1)
    params: dict[str, Any] | None = Field(default=None, description="Whatever tells this run from others.")


class NewPoint(BaseModel):
    """Metrics at one moment of a run."""

    step: int = Field(ge=1, description="Optimizer steps so far, over all epochs.")
    epoch: int = Field(ge=1)
    t: float | None = Field(default=None, description="Seconds since 1970, UTC; left out: now.")
    kind: Literal["batch", "epoch"] = "batch"
    metrics: dict[str, float | None] = Field(description="By name; null for what is not finite.")


class RunMessage(BaseModel):
    """Points, an end, or a sign of life. A bare array of points, or one bare point, is taken too."""

    points: list[NewPoint] = Field(max_length=5000)
    first: int | None = Field(
        default=None,
        ge=0,
        description="How many points the sender had sent before these: with it a repeat stores nothing twice.",
    )
    state: Literal["running", "succeeded", "failed", "cancelled"] | None = None
    error: str | None = Field(default=None, description="Why it failed or was cancelled.")


class RunAnswer(Answered):
    """Outputs: a list, an object where names were declared, or nested lists for tensors."""

    model_config = ConfigDict(protected_namespaces=())
    output: Any
    model_id: str
    non_finite: int | None = Field(default=None, description="How many values became null, if any.")


class PublishAnswer(Answered):
    """A version that is ready (201), or still being checked (202)."""

    model_config = ConfigDict(protected_namespaces=())
    message: str
    model_id: str
    name: str
    version: int | None
    state: str
    model: dict[str, Any]


class UploadAnswer(Answered):
    """How far an upload has come."""

    upload_id: str
    offset: int = Field(description="Bytes that have arrived and are kept: where the next piece begins.")
    size: int | None
    sha256: str | None


class ModelAnswer(Answered):
    """One model version."""

    model: dict[str, Any]


class ModelsAnswer(Answered):
    """A page of model versions."""

    models: list[dict[str, Any]]
    next_cursor: str | None


class JobCreated(Answered):
    """A job was accepted."""

    message: str
    job_id: str


class JobAnswer(Answered):
    """One job."""

    job: dict[str, Any]


class JobsAnswer(Answered):
    """A page of jobs."""

    jobs: list[dict[str, Any]]
    next_cursor: str | None


class ResultsAnswer(Answered):
    """Outputs in row order; null for a rejected row."""

    results: list[Any]
    next_cursor: str | None = Field(default=None, description="Of the next page, where pages were asked for.")


class RejectsAnswer(Answered):
    """Rows that could not be scored."""

    rejects: list[dict[str, Any]]
    next_cursor: str | None


class RunObject(BaseModel):
    """A training run."""

    model_config = ConfigDict(protected_namespaces=())
    run_id: str
    name: str
    model: str | None
    model_id: str | None
    job_id: str | None
    source: Literal["notebook", "backend"]
    state: Literal["running", "succeeded", "failed", "cancelled", "lost"] = Field(
        description="lost: a notebook's run that said nothing for a minute; its next word revives it."
    )
    error: str | None
    epochs: int | None
    steps_per_epoch: int | None
    params: dict[str, Any]
    epoch: int | None = Field(description="The latest seen.")
    step: int | None = Field(description="The latest seen.")
    metrics: dict[str, float | None] = Field(description="Of the latest epoch, else of the latest point.")
    metric_names: list[str]
    points: int
    last_seq: int
    created: str
    last_updated: str
    finished: str | None


class PointObject(NewPoint):
    """A stored point."""

    seq: int = Field(ge=1, description="Its number in the run, without gaps.")
    t: float = Field(description="Seconds since 1970, UTC.")


class RunCreated(Answered):
    """A run was announced."""

    message: str
    run_id: str
    run: RunObject


class RecordAnswer(Answered):
    """What a run holds after a message."""

    run_id: str
    last_seq: int
    state: str


class WatchedRunAnswer(Answered):
    """One run."""

    run: RunObject


class RunsAnswer(Answered):
    """A page of runs."""

    runs: list[RunObject]
    next_cursor: str | None


class PointsAnswer(Answered):
    """Points in order, and their run as it stood; null for a job that trains nothing."""

    run: RunObject | None
    points: list[PointObject]
    last_seq: int
    next_after: int | None = Field(description="`after` of the next page; null when there is no more yet.")


class EventsAnswer(Answered):
    """A job as it is now; of one that scores with lines of its log, of a training with points of its run."""

    job: dict[str, Any]
    log: list[dict[str, Any]] | None = None
    run: RunObject | None = None
    points: list[PointObject] | None = None
    last_seq: int
    next_after: int | None = Field(description="`after` of the next page; null when there is no more yet.")


class ReceiptAnswer(Answered):
    """A publish receipt."""

    receipt: dict[str, Any]


class MessageAnswer(Answered):
    """Done."""

    message: str


class FaultEntry(BaseModel):
    """One thing wrong with an input."""

    loc: list[str | int]
    code: str
    message: str
    expected: str | None = None
    got: str | None = None
    row: int | None = None
    remedy: str | None = None


class Problem(BaseModel):
    """RFC 9457 problem details, and the native API's two members."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    http_code: int
    message: str
    errors: list[FaultEntry] | None = None


REQUESTS = (
    NewModel,
    ModelChanges,
    AliasTarget,
    AliasCondition,
    NewUpload,
    RunRequest,
    RunBatchRequest,
    ScoreRequest,
    FetchRequest,
    TrainRequest,
    TicketRequest,
    NewRun,
    RunMessage,
)


def request_schemas() -> dict[str, Any]:
    """Schemas of the request bodies, for ``components/schemas``."""
    _, document = models_json_schema([(shape, "validation") for shape in REQUESTS], ref_template=TEMPLATE)
    schemas: dict[str, Any] = document["$defs"]
    return schemas


def takes(shape: type[BaseModel], required: bool = True) -> dict[str, Any]:
    """OpenAPI's ``requestBody`` for a JSON body of this shape."""
    schema = {"$ref": TEMPLATE.format(model=shape.__name__)}
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}


PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "description": "What is wrong, and where."}
}
