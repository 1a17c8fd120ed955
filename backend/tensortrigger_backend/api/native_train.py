"""Native API: train a published version on points or on a file, to a new version."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from tensortrigger_backend.api.auth import Caller, CoreOf
from tensortrigger_backend.api.feed_ahead import feed_ahead
from tensortrigger_backend.api.in_thread import in_thread
from tensortrigger_backend.api.job_orders import (
    columns_of,
    compression_of,
    content_type_of,
    data_url_type,
    delimiter_of,
    encoding_of,
    is_json,
    listed,
    usual_delimiter,
)
from tensortrigger_backend.api.job_shapes import PRIORITY, WEBHOOK
from tensortrigger_backend.api.native_jobs import created
from tensortrigger_backend.api.reading import (
    ENVELOPE,
    base64_member,
    idempotency,
    json_object,
    known_members,
    no_parameters,
    stream,
    text_member,
)
from tensortrigger_backend.api.shapes import PROBLEMS, JobCreated, TrainRequest, takes
from tensortrigger_backend.domain.access import Principal
from tensortrigger_backend.domain.errors import Fault, InvalidInput, UnsupportedMedia
from tensortrigger_backend.domain.jobs import Job
from tensortrigger_backend.services.core import Core
from tensortrigger_backend.services.training_files import FileOptions, PointIntake

router = APIRouter(tags=["train"], responses=PROBLEMS)

FILE_TYPES: Final = ("text/csv", "application/csv", "text/tab-separated-values")
OF_FILES: Final = ("labels", "rejects", "delimiter", "encoding")
"""Members that say how a file is to be read."""
POINTS: Final = ("input_vectors", "output_vectors", "inputs", "outputs")

_FILE = {
    "type": "object",
    "required": ["input_data"],
    "description": "A CSV in base64, and beside it `model`, `epochs` and so on as for points.",
    "properties": {
        "input_data": {"type": "string", "description": "A data URL, or bare base64; gzip is unpacked."},
        "labels": {"type": "array", "items": {"type": "string"}},
        "rejects": {"enum": ["refuse", "skip"], "default": "refuse"},
        "delimiter": {"type": "string", "default": ","},
        "encoding": {"type": "string", "default": "utf-8"},
    },
}
_BODIES: dict[str, Any] = takes(TrainRequest)["requestBody"]["content"]
_TAKES = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"anyOf": [_BODIES["application/json"]["schema"], _FILE]}},
            "text/csv": {"schema": {"type": "string"}},
        },
    }
}


@router.patch(
    "/tensor/train",
    status_code=201,
    openapi_extra=takes(TrainRequest),
    responses={201: {"model": JobCreated}},
)
async def train(request: Request, core: CoreOf, caller: Caller) -> Response:
    """Train a version in the background; it becomes a new version of its name, and itself stays as it is.

    Loss, optimizer and metrics are those of the published file, else inferred from the outputs; the job says
    which. Watch it at `/jobs/{job_id}/metrics`.
    """
    body = await json_object(request, request.app.state.settings.max_content + ENVELOPE)
    known_members(body, *TrainRequest.model_fields)
    return await _on_points(request, core, caller, body)


@router.post(
    "/tensor/train",
    status_code=201,
    openapi_extra=_TAKES,
    responses={201: {"model": JobCreated}},
)
async def train_on_file(
    request: Request,
    core: CoreOf,
    caller: Caller,
    model: Annotated[str | None, Query(description="`name` or `name/3`.")] = None,
    model_id: str | None = None,
    labels: Annotated[
        list[str] | None,
        Query(
            description="Columns with the labels, or one with the class's number; else the declared outputs."
        ),
    ] = None,
    rejects: Annotated[str, Query(description="Rows that cannot be read: `refuse` or `skip`.")] = "refuse",
    delimiter: str | None = None,
    encoding: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    validation_split: float | None = None,
    shuffle: bool | None = None,
    learning_rate: float | None = None,
    loss: str | None = None,
    optimizer: str | None = None,
    name: str | None = None,
    priority: Annotated[int | None, Query(description=PRIORITY)] = None,
    webhook: Annotated[str | None, Query(description=WEBHOOK)] = None,
) -> Response:
    """Train a version on a CSV with label columns: streamed as the body, or as base64 in JSON; memory does not grow.

    Columns are matched by name, and read by the rules of the model's schema. The file may be gzipped. JSON with
    points in it is taken as by PATCH. The query goes with a streamed file, and is refused beside JSON.
    """
    if is_json(request):
        no_parameters(request)
        return await _on_json(request, core, caller)
    media_type, charset = content_type_of(request)
    if media_type not in FILE_TYPES:
        told = f"not {media_type[:80] or 'none'!r}"
        raise UnsupportedMedia(f"Send Content-Type: text/csv, a file's rows, or application/json, {told}.")
    compression_of(request)
    chosen = {
        "epochs": epochs,
        "batch_size": batch_size,
        "validation_split": validation_split,
        "shuffle": shuffle,
        "learning_rate": learning_rate,
        "loss": loss,
        "optimizer": optimizer,
        "name": name,
        "priority": priority,
        "webhook": webhook,
    }
    said: dict[str, Any] = {"rejects": rejects, "delimiter": delimiter, "encoding": encoding or charset}
    if labels is not None:
        said["labels"] = [name for value in labels for name in listed(value, "labels")]
    options = _file_options(said, media_type)
    key = idempotency(request, str(model_id), str(model), repr(chosen), repr(options))
    intake = await asyncio.to_thread(core.training_files.intake, caller, model_id, model, chosen, options)
    threads = core.upload_threads
    try:
        await feed_ahead(threads, stream(request, request.app.state.settings.max_upload), intake.feed)
        return created(*await in_thread(threads, core.training_files.submit, intake, key))
    finally:
        await in_thread(threads, intake.close)


async def _on_json(request: Request, core: Core, caller: Principal) -> Response:
    limit = request.app.state.settings.max_content
    body = await json_object(request, limit + ENVELOPE)
    known_members(body, *TrainRequest.model_fields, "input_data", *OF_FILES)
    beside = [name for name in (*POINTS, *OF_FILES) if body.get(name) is not None]
    if body.get("input_data") is None:
        for name in beside:
            if name in OF_FILES:
                message = f"{name} goes with a file: send it as input_data, or leave {name} out."
                raise InvalidInput.of(Fault((name,), "no_file", message, "input_data", "no file"))
        return await _on_points(request, core, caller, body)
    for name in beside:
        if name in POINTS:
            message = f"Send either a file as input_data or points as {name}."
            raise InvalidInput.of(Fault((name,), "ambiguous", message, "input_data or points", "both"))
    options = _file_options(body, data_url_type(body["input_data"]))
    model_id, reference = text_member(body, "model_id"), text_member(body, "model")
    content = base64_member(body, "input_data", limit)
    chosen = {name: value for name, value in body.items() if name in TrainRequest.model_fields}
    key = idempotency(request, str(model_id), str(reference), repr(sorted(chosen.items())), repr(options))

    def take() -> tuple[Job, bool]:
        intake: PointIntake = core.training_files.intake(caller, model_id, reference, chosen, options)
        try:
            for block in content:
                intake.feed(block)
            return core.training_files.submit(intake, key)
        finally:
            intake.close()

    return created(*await in_thread(core.upload_threads, take))


async def _on_points(request: Request, core: Core, caller: Principal, body: Mapping[str, Any]) -> Response:
    model_id, reference = text_member(dict(body), "model_id"), text_member(dict(body), "model")
    key = None
    if "idempotency-key" in request.headers:
        said = await asyncio.to_thread(lambda: hashlib.sha256(msgspec.json.encode(body, order="sorted")))
        key = idempotency(request, said.hexdigest())
    return created(*await asyncio.to_thread(core.training.submit, caller, model_id, reference, body, key))


def _file_options(said: Mapping[str, Any], media_type: str) -> FileOptions:
    """How a file of that media type is to be read. Raises InvalidInput, naming the member that is wrong."""
    rejects = said.get("rejects") or "refuse"
    if rejects not in ("refuse", "skip"):
        message = "rejects says what is done with rows that cannot be read: refuse or skip."
        raise InvalidInput.of(Fault(("rejects",), "rejects", message, "refuse or skip", repr(rejects)[:80]))
    return FileOptions(
        columns_of(said.get("labels"), "labels"),
        rejects == "skip",
        delimiter_of(said.get("delimiter"), usual_delimiter(media_type)),
        encoding_of(said.get("encoding")),
    )
