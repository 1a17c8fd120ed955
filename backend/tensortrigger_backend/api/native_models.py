"""Native API: publish, list, fetch and delete models."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response, StreamingResponse

from tensortrigger_backend.api.answers import PageLimit, blocks, data_url, timestamp
from tensortrigger_backend.api.auth import Caller, CoreOf
from tensortrigger_backend.api.reading import (
    ENVELOPE,
    base64_member,
    idempotency,
    json_object,
    known_members,
    member,
)
from tensortrigger_backend.api.shapes import (
    PROBLEMS,
    MessageAnswer,
    ModelAnswer,
    ModelsAnswer,
    NewModel,
    PublishAnswer,
    takes,
)
from tensortrigger_backend.domain.errors import ModelRefused, NotFound
from tensortrigger_backend.domain.models import ModelVersion, VersionState
from tensortrigger_backend.domain.publishing import ForgeVerdict
from tensortrigger_backend.services.core import Core
from tensortrigger_backend.services.registry import Draft

router = APIRouter(tags=["models"], responses=PROBLEMS)


@router.post(
    "/models/new", status_code=201, openapi_extra=takes(NewModel), responses={201: {"model": PublishAnswer}}
)
async def publish(request: Request, core: CoreOf, caller: Caller) -> Response:
    """Publish a Keras model: it is checked, rebuilt as a servable, and verified to answer alike.

    Answers 201 when the version is ready, 400 when it was refused, and 202 when that takes longer than the
    server's `publish_wait`; `Prefer: respond-async` asks for 202 at once.
    """
    limits = request.app.state.settings
    body = await json_object(request, limits.max_content + ENVELOPE)
    known_members(body, "model_name", "name", "model_description", "model_content", "model_schema")
    content = base64_member(body, "model_content", limits.max_content)
    # The name may stand alone: ``model_name`` is then its title too.
    title = body.get("model_name") if body.get("model_name") is not None else body.get("name")
    if title is None:
        member(body, "model_name")
    draft = Draft(title, body.get("name"), body.get("model_description") or "", body.get("model_schema"))
    key = idempotency(request, str(title), str(body.get("name")), str(body.get("model_schema")))
    version, new = await asyncio.to_thread(
        core.registry.receive, caller, draft, content, key, lambda: core.gatekeeper.use_up(caller)
    )
    del body, content
    wait = 0.0 if "respond-async" in request.headers.get("prefer", "") else limits.publish_wait
    return await _settled(core, version, new, wait)


async def _settled(core: Core, version: ModelVersion, new: bool, wait: float) -> Response:
    """The answer once the forge has spoken, or 202 if it takes longer than ``wait`` seconds."""
    model_id = version.model_id
    if not version.state.settled:
        try:
            judged = asyncio.wrap_future(core.publish_line.submit(model_id))
            # Whether or not somebody still waits then, the version's own state tells how it ended.
            judged.add_done_callback(_noticed)
            version = await asyncio.wait_for(asyncio.shield(judged), wait)
        except TimeoutError:
            version = await asyncio.to_thread(core.registry.peek, model_id)
        except Exception:
            # The caller is told at once, so nothing is kept.
            await asyncio.to_thread(core.registry.forget, model_id)
            raise
    if version.state is VersionState.REFUSED:
        if new:
            await asyncio.to_thread(core.registry.forget, model_id)
        verdict = ForgeVerdict.from_dict(version.report)
        raise ModelRefused(ModelRefused.of(*verdict.faults).detail, verdict.faults)
    ready = version.state is VersionState.READY
    described = describe(version)
    return JSONResponse(
        {
            "http_code": 201 if ready else 202,
            "message": "Model ready" if ready else "Model received: it is being checked",
            **{key: described[key] for key in ("model_id", "name", "version", "state")},
            **{key: described[key] for key in ("engine", "engine_reason", "max_deviation", "signature")},
            "model": described,
        },
        201 if ready else 202,
        {"Location": f"/models/{model_id}"},
    )


@router.get("/models", responses={200: {"model": ModelsAnswer}})
def models(
    core: CoreOf,
    caller: Caller,
    name: str | None = None,
    state: str | None = None,
    limit: PageLimit = 100,
    cursor: str | None = None,
) -> Response:
    """Your model versions, newest first; refused ones only with `state=refused`."""
    page = core.registry.page(caller, name, state, limit, cursor)
    found = [describe(version) for version in page.items]
    return JSONResponse({"http_code": 200, "models": found, "next_cursor": page.next_cursor})


@router.get("/models/by-name/{name}", responses={200: {"model": ModelAnswer}})
def model_by_name(core: CoreOf, caller: Caller, name: str) -> Response:
    """The latest ready version of a name."""
    return _model(core.registry.find_by_name(caller, name))


@router.get("/models/by-name/{name}/versions/{number}", responses={200: {"model": ModelAnswer}})
def model_version(
    core: CoreOf, caller: Caller, name: str, number: Annotated[int, Path(ge=1, lt=2**31)]
) -> Response:
    """One version of a name."""
    return _model(core.registry.find_by_name(caller, name, number))


@router.get("/models/{model_id}", responses={200: {"model": ModelAnswer}})
@router.get("/models/{model_id}/metadata", responses={200: {"model": ModelAnswer}})
def model(core: CoreOf, caller: Caller, model_id: str) -> Response:
    """One model version, and how far its publishing has come."""
    return _model(core.registry.find(caller, model_id))


@router.get("/models/{model_id}/schema", responses={200: {"model": ModelAnswer}})
def model_schema(core: CoreOf, caller: Caller, model_id: str) -> Response:
    """What the model takes and answers."""
    described = describe(core.registry.find(caller, model_id))
    return JSONResponse(
        {
            "http_code": 200,
            "model_id": model_id,
            "model_schema": described["model_schema"],
            "signature": described["signature"],
        }
    )


@router.get("/models/{model_id}/content")
def model_content(core: CoreOf, caller: Caller, model_id: str) -> Response:
    """The original bytes, as they were uploaded."""
    version = core.registry.find(caller, model_id)
    return data_url(blocks(core.open_blob(version.source_key)), "application/octet-stream", "model")


@router.get("/models/{model_id}/servable", response_class=Response)
def model_servable(core: CoreOf, caller: Caller, model_id: str) -> Response:
    """The canonical artifact: config, plain weights, ONNX graph and manifest in one zip."""
    version = core.registry.find(caller, model_id)
    if version.servable_key is None:
        raise NotFound(f"Model {model_id!r} has no servable: it is {version.state}.")
    headers = {"ETag": f'"{version.servable_sha256}"'}
    return StreamingResponse(blocks(core.open_blob(version.servable_key)), 200, headers, "application/zip")


@router.delete("/models/{model_id}", responses={200: {"model": MessageAnswer}})
def delete_model(core: CoreOf, caller: Caller, model_id: str) -> Response:
    """Remove a version. Jobs that are running on it still finish, and keep their results."""
    core.registry.remove(caller, model_id)
    return JSONResponse({"http_code": 200, "message": "Model deleted"})


def describe(version: ModelVersion) -> dict[str, Any]:
    """The Model object of the native API."""
    return {**version.described(), "created": timestamp(version.created)}


def _model(version: ModelVersion) -> Response:
    return JSONResponse({"http_code": 200, "model": describe(version)})


def _noticed(future: asyncio.Future[ModelVersion]) -> None:
    """Take the error out of the future, so that it is not reported as unseen."""
    if not future.cancelled():
        future.exception()
