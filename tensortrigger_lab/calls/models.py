"""What a client asks about models: publish, look up, list, delete; and which name was probably meant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from tensortrigger_lab.calls.call import PAGE, Call, Pages, Seen, read_member
from tensortrigger_lab.errors import NotFound, TensorTriggerError
from tensortrigger_lab.request import KEY_HEADER, Request, segment
from tensortrigger_lab.wire import ModelRecord, ModelReference, text

ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def health(_: Seen) -> Call[dict[str, Any]]:
    """The backend's own report: ``status``, ``version`` and more."""
    return (yield Request("GET", "/health"))


def publish(
    seen: Seen,
    content: str,
    *,
    name: str,
    title: str,
    description: str,
    schema: Mapping[str, Any] | None,
    idempotency_key: str,
    wait: bool = True,
) -> Call[ModelRecord]:
    """Upload a model; the record's ``state`` says whether it is ready yet.

    Args:
        content: the file's bytes in base64.
        wait: whether the backend may keep the answer back for a while until the model is ready.

    Raises:
        ModelRefused: it cannot be accepted.
    """
    members: dict[str, Any] = {"name": name, "model_name": title, "model_description": description}
    if schema is not None:
        members["model_schema"] = schema
    members["model_content"] = content
    headers = {KEY_HEADER: idempotency_key}
    if not wait:
        headers["Prefer"] = "respond-async"
    answer = yield Request("POST", "/models/new", members, headers=headers, refuses_models=True)
    if isinstance(answer.get("model"), dict):
        return _noted(seen, read_member(answer, "model", ModelRecord.read))
    return (yield from model(seen, read_member(answer, "model_id", text)))


def model(seen: Seen, reference: str) -> Call[ModelRecord]:
    """One version: by id, by ``name`` (its latest), or by ``name/3``.

    Example:
        >>> client.model("churn/3").engine  # doctest: +SKIP
        'onnxruntime'
    """
    answer = yield from suggesting(seen, reference, Request("GET", model_path(reference)))
    return _noted(seen, read_member(answer, "model", ModelRecord.read))


def model_pages(seen: Seen, *, name: str | None = None, state: str | None = None) -> Pages[ModelRecord]:
    """Every version, newest first, page by page as they are asked for."""
    filters = {"name": name, "state": state}
    return Pages("/models", "models", ModelRecord.read, filters, lambda record: _noted(seen, record))


def models(
    seen: Seen, *, name: str | None = None, state: str | None = None, limit: int = 100
) -> Call[list[ModelRecord]]:
    """The newest ``limit`` versions, newest first."""
    return (yield from model_pages(seen, name=name, state=state).first(limit))


def delete_model(_: Seen, model_id: str) -> Call[None]:
    """Remove one version for good."""
    yield Request("DELETE", f"/models/{segment(model_id)}")


def suggesting(seen: Seen, reference: str, request: Request) -> Call[dict[str, Any]]:
    """The answer to a request that names a model; NotFound adds which name was probably meant."""
    try:
        return (yield request)
    except NotFound as error:
        near = yield from _nearest(seen, reference.partition("/")[0])
        if not near:
            raise
        raise NotFound(
            f"{error.detail} Did you mean {near!r}?", status=error.status, problem=error.problem
        ) from None


def _nearest(seen: Seen, name: str) -> Call[str]:
    """The published name most like this one; empty where none is, or where it is published itself."""
    if not name or ID.fullmatch(name):
        return ""
    try:
        published = {record.name for record in (yield from models(seen, state="ready", limit=PAGE))}
    except TensorTriggerError:
        published = seen.models
    near = [] if name in published else get_close_matches(name, sorted(published), 1)
    return near[0] if near else ""


def _noted(seen: Seen, record: ModelRecord) -> ModelRecord:
    if record.state == "ready":
        seen.models.add(record.name)
        seen.aliases.update(f"{record.name}@{alias}" for alias in record.aliases)
    return record


def reference_to(reference: str) -> ModelReference:
    """How a body names the model: an id as ``model_id``, anything else as ``model``."""
    return {"model_id": reference} if ID.fullmatch(reference) else {"model": reference}


def model_path(reference: str) -> str:
    """The path of a version's metadata."""
    if ID.fullmatch(reference):
        return f"/models/{reference}"
    name, slash, number = reference.partition("/")
    version = f"/versions/{segment(number)}" if slash else ""
    return f"/models/by-name/{segment(name)}{version}"
