"""Native API: publish, list, fetch and delete models."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response, StreamingResponse

from tensortrigger_backend.api.answers import PageLimit, blocks, data_url, timestamp
from tensortrigger_backend.api.auth import Caller, CoreOf
from tensortrigger_backend.api.model_shapes import ModelChanges, NewModel
from tensortrigger_backend.api.reading import (
    ENVELOPE,
    base64_member,
    idempotency,
    json_object,
    known_members,
    member,
    one_of,
    text_member,
)
from tensortrigger_backend.api.shapes import (
    PROBLEMS,
    MessageAnswer,
    ModelAnswer,
    ModelsAnswer,
    PublishAnswer,
    ReceiptAnswer,
    takes,
)
from tensortrigger_backend.domain.errors import ModelRefused, NotFound
from tensortrigger_backend.domain.listing import VersionFilter
from tensortrigger_backend.domain.models import ModelVersion, VersionState
from tensortrigger_backend.domain.publishing import ForgeVerdict
from tensortrigger_backend.services.core import Core
from tensortrigger_backend.services.drafts import Draft

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
    known_members(body, *NewModel.model_fields)
    draft = _draft(body)
    upload_id = text_member(body, "upload_id")
    if upload_id is None:
        content = base64_member(body, "model_content", limits.max_content)
    else:
        one_of(body, "model_content", "upload_id")
        content = await asyncio.to_thread(core.uploads.content, caller, upload_id)
    key = idempotency(request, str(draft.title), str(draft.name), str(draft.schema))
    version, new = await asyncio.to_thread(
        core.registry.receive, caller, draft, content, key, lambda: core.gatekeeper.use_up(caller)
    )
    if upload_id is not None:
        await asyncio.to_thread(core.uploads.made, upload_id, version.model_id)
    del body, content
    wait = 0.0 if "respond-async" in request.headers.get("prefer", "") else limits.publish_wait
    return await _settled(core, version, new, wait)


def _draft(body: dict[str, Any]) -> Draft:
    """What the body wants to publish, unchecked; raises InvalidInput when it has no title."""
    # The name may stand alone: ``model_name`` is then its title too.
    title = body.get("model_name") if body.get("model_name") is not None else body.get("name")
    if title is None:
        member(body, "model_name")
    told = ("tags", "metrics", "author", "notebook", "git_commit", "alias", "sha256", "example")
    return Draft(
        title,
        body.get("name"),
        body.get("model_description") or "",
        body.get("model_schema"),
        **{name: body.get(name) for name in told},
    )


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
            # The caller is told at once, so nothing is kept; what an earlier request made stays for its caller.
            if new:
                await asyncio.to_thread(core.registry.forget, model_id)
            raise
    if version.state is VersionState.REFUSED:
        if new:
            await asyncio.to_thread(core.registry.forget, model_id)
        verdict = ForgeVerdict.from_dict(version.report)
        raise ModelRefused(ModelRefused.of(*verdict.faults).detail, verdict.faults)
    ready = version.state is VersionState.READY
    message = {
        VersionState.READY: "Model ready",
        VersionState.RECEIVED: "Model received: it waits for a forge",
    }.get(version.state, "Model received: it is being checked")
    described = describe(version)
    return JSONResponse(
        {
            "http_code": 201 if ready else 202,
            "message": message,
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
    alias: str | None = None,
    tag: Annotated[list[str] | None, Query(description="`key:value`; repeated, all of them.")] = None,
    author: str | None = None,
    format: str | None = None,  # noqa: A002 - the member's name on the wire
    engine: str | None = None,
    q: Annotated[str | None, Query(description="Stands in name, title or description.")] = None,
    limit: PageLimit = 100,
    cursor: str | None = None,
) -> Response:
    """Your model versions, newest first; refused ones only with `state=refused`."""
    wanted = VersionFilter.of(name, state, alias, tag or (), author, format, engine, q)
    page = core.registry.page(caller, wanted, limit, cursor)
    found = [describe(version) for version in page.items]
    return JSONResponse({"http_code": 200, "models": found, "next_cursor": page.next_cursor})


@router.get("/models/by-name/{name}", responses={200: {"model": ModelAnswer}})
def model_by_name(core: CoreOf, caller: Caller, name: str) -> Response:
    """What a name means now: the version of its `production` alias, else the latest ready one."""
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


@router.patch(
    "/models/{model_id}", openapi_extra=takes(ModelChanges), responses={200: {"model": ModelAnswer}}
)
async def amend_model(request: Request, core: CoreOf, caller: Caller, model_id: str) -> Response:
    """Replace the description or the tags; everything else of a version never changes."""
    body = await json_object(request, request.app.state.settings.max_json)
    known_members(body, *ModelChanges.model_fields)
    version = await asyncio.to_thread(
        core.registry.amend, caller, model_id, body.get("description"), body.get("tags")
    )
    return _model(version)


@router.get("/models/{model_id}/receipt", responses={200: {"model": ReceiptAnswer}})
def model_receipt(core: CoreOf, caller: Caller, model_id: str) -> Response:
    """The proof that the endpoint answers an example as the original did, and every check of it since."""
    version = core.registry.find(caller, model_id)
    if version.receipt is None:
        why = "it was published before there were any, or one row of it is too large to keep"
        if version.state is not VersionState.READY:
            why = f"it is {version.state}"
        raise NotFound(f"Model {model_id!r} has no receipt: {why}.")
    return JSONResponse({"http_code": 200, "receipt": dict(version.receipt)})


@router.get("/models/{model_id}/example", response_class=Response)
def model_example(core: CoreOf, caller: Caller, model_id: str) -> Response:
    """The example that the receipt is about, as NumPy's `.npz`: arrays `in/<tensor>` and `out/<tensor>`."""
    stream = core.exports.example(caller, model_id)
    return StreamingResponse(blocks(stream), 200, _attached(f"{model_id}-example.npz"), "application/zip")


@router.get("/models/{model_id}/saved_model", response_class=Response)
def model_saved_model(core: CoreOf, caller: Caller, model_id: str) -> Response:
    """A SavedModel for TensorFlow Serving, as a zip of its folder; made when it is first asked for."""
    stream = core.exports.saved_model(caller, model_id)
    return StreamingResponse(blocks(stream), 200, _attached(f"{model_id}-saved_model.zip"), "application/zip")


def _attached(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


@router.delete("/models/{model_id}", responses={200: {"model": MessageAnswer}})
def delete_model(core: CoreOf, caller: Caller, model_id: str, force: bool = False) -> Response:
    """Remove a version. Jobs that are running on it still finish, and keep their results.

    While an alias points to it this is a 409, unless `force=true` takes those aliases away too.
    """
    core.registry.remove(caller, model_id, force)
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
