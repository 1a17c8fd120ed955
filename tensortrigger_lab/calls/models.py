"""What a client asks about models: publish, look up, list, delete; and which name was probably meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from tensortrigger_lab.calls.call import PAGE, Call, Pages, Seen, read_member
from tensortrigger_lab.errors import BadInput, NotFound, TensorTriggerError
from tensortrigger_lab.reference import ID, LATEST, Reference, is_id
from tensortrigger_lab.request import KEY_HEADER, Request, segment
from tensortrigger_lab.wire import ModelRecord, ModelReference, Receipt, text


def health(_: Seen) -> Call[dict[str, Any]]:
    """The backend's own report: ``status``, ``version`` and more."""
    return (yield Request("GET", "/health"))


def publish(
    seen: Seen,
    content: str | None = None,
    *,
    name: str,
    title: str,
    description: str,
    schema: Mapping[str, Any] | None,
    idempotency_key: str,
    upload_id: str | None = None,
    sha256: str | None = None,
    example: Mapping[str, Any] | None = None,
    details: Mapping[str, Any] | None = None,
    wait: bool = True,
) -> Call[ModelRecord]:
    """Publish a model; the record's ``state`` says whether it is ready yet.

    Args:
        content: the file's bytes in base64; or else
        upload_id: what ``upload`` has brought over.
        sha256: of the bytes, so that what was damaged on its way is refused.
        example: ``{inputs, outputs, versions}``: what the endpoint must reproduce before it is ready.
        details: any of ``alias``, ``tags``, ``metrics``, ``author``, ``notebook`` and ``git_commit``.
        wait: whether the backend may keep the answer back for a while until the model is ready.

    Raises:
        ModelRefused: it cannot be accepted.
    """
    members: dict[str, Any] = {"name": name, "model_name": title, "model_description": description}
    if schema is not None:
        members["model_schema"] = schema
    given = {"upload_id": upload_id, "sha256": sha256, "example": example, **(details or {})}
    members |= {key: value for key, value in given.items() if value}
    if content is not None:
        members["model_content"] = content
    headers = {KEY_HEADER: idempotency_key}
    if not wait:
        headers["Prefer"] = "respond-async"
    answer = yield Request("POST", "/models/new", members, headers=headers, refuses_models=True)
    if isinstance(answer.get("model"), dict):
        return _noted(seen, read_member(answer, "model", ModelRecord.read))
    return (yield from model(seen, read_member(answer, "model_id", text)))


def model(seen: Seen, reference: str) -> Call[ModelRecord]:
    """One version: by id, ``name`` (its ``production``, else its latest), ``name/3`` or ``name@alias``.

    Example:
        >>> client.model("churn/3").engine  # doctest: +SKIP
        'onnxruntime'
    """
    if not is_id(reference) and "@" in reference:
        reference = yield from _meant(seen, reference)
    answer = yield from suggesting(seen, reference, Request("GET", model_path(reference)))
    return _noted(seen, read_member(answer, "model", ModelRecord.read))


def model_pages(
    seen: Seen,
    *,
    name: str | None = None,
    state: str | None = None,
    alias: str | None = None,
    tag: str | Sequence[str] | Mapping[str, str] | None = None,
    author: str | None = None,
    format: str | None = None,  # noqa: A002 - the API's own word
    engine: str | None = None,
    q: str | None = None,
) -> Pages[ModelRecord]:
    """Every version, newest first, page by page as they are asked for.

    Args:
        alias: only those which an alias of that name means now.
        tag: ``key:value``, several of them, or a mapping; only those that have all of them.
        q: only those with this text in name, title or description.
    """
    filters = {
        "name": name,
        "state": state,
        "alias": alias,
        "tag": tags_told(tag),
        "author": author,
        "format": format,
        "engine": engine,
        "q": q,
    }
    return Pages("/models", "models", ModelRecord.read, filters, lambda record: _noted(seen, record))


def models(
    seen: Seen,
    *,
    name: str | None = None,
    state: str | None = None,
    alias: str | None = None,
    tag: str | Sequence[str] | Mapping[str, str] | None = None,
    author: str | None = None,
    format: str | None = None,  # noqa: A002 - the API's own word
    engine: str | None = None,
    q: str | None = None,
    limit: int = 100,
) -> Call[list[ModelRecord]]:
    """The newest ``limit`` versions, newest first; see ``iter_models`` for the filters."""
    pages = model_pages(
        seen, name=name, state=state, alias=alias, tag=tag, author=author, format=format, engine=engine, q=q
    )
    return (yield from pages.first(limit))


def change_model(
    seen: Seen, model_id: str, *, description: str | None = None, tags: Mapping[str, str] | None = None
) -> Call[ModelRecord]:
    """Describe or tag one version anew; what is left out stays."""
    given = {"description": description, "tags": None if tags is None else dict(tags)}
    members = {key: value for key, value in given.items() if value is not None}
    answer = yield Request("PATCH", f"/models/{segment(model_id)}", members, idempotent=True)
    return _noted(seen, read_member(answer, "model", ModelRecord.read))


def delete_model(_: Seen, model_id: str, *, force: bool = False) -> Call[None]:
    """Remove one version for good.

    Args:
        force: remove it although an alias means it, and the alias too.

    Raises:
        Conflict: an alias means it; the error names the alias.
    """
    yield Request("DELETE", f"/models/{segment(model_id)}", params={"force": "true"} if force else None)


def receipt(_: Seen, model_id: str) -> Call[Receipt]:
    """The proof that one version answers as the model did before it was published."""
    answer = yield Request("GET", f"/models/{segment(model_id)}/receipt")
    return read_member(answer, "receipt", Receipt.read)


def tags_told(tag: str | Sequence[str] | Mapping[str, str] | None) -> list[str]:
    """Tags as the list's filter takes them.

    Raises:
        BadInput: one of them is no ``key:value``.
    """
    if isinstance(tag, Mapping):
        return [f"{key}:{value}" for key, value in tag.items()]
    told = [tag] if isinstance(tag, str) else list(tag or ())
    for one in told:
        if not one.partition(":")[1]:
            raise BadInput("This is no tag.", field="tag", expected="key:value", got=repr(one[:80]))
    return told


def _meant(seen: Seen, reference: str) -> Call[str]:
    """What ``name@alias`` means now: an id, or the name of which there is none ready."""
    parts = Reference.of(reference)
    if parts.alias == LATEST:
        newest = yield from models(seen, name=parts.name, state="ready", limit=1)
        return newest[0].model_id if newest else parts.name
    path = f"/models/by-name/{segment(parts.name)}/aliases/{segment(parts.alias or '')}"
    answer = yield from suggesting(seen, reference, Request("GET", path))
    return read_member(answer, "alias", lambda found: text(found["model_id"]))


def suggesting(seen: Seen, reference: str, request: Request) -> Call[dict[str, Any]]:
    """The answer to a request that names a model; NotFound adds which name was probably meant."""
    try:
        return (yield request)
    except NotFound as error:
        near = yield from _nearest(seen, reference.partition("/")[0].partition("@")[0])
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
    """How a body names the model: an id as ``model_id``, anything else as ``model``.

    Raises:
        BadInput: what stands behind its ``@`` is no alias.
    """
    if is_id(reference):
        return {"model_id": reference}
    Reference.of(reference)
    return {"model": reference}


def model_path(reference: str) -> str:
    """The path of a version's metadata; an alias is looked up before."""
    if is_id(reference):
        return f"/models/{reference}"
    parts = Reference.of(reference)
    version = f"/versions/{segment(parts.version)}" if parts.version is not None else ""
    return f"/models/by-name/{segment(parts.name)}{version}"
