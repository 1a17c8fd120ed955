"""Native API: read, move, roll back and remove aliases."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from tensortrigger_backend.api.answers import PageLimit, timestamp
from tensortrigger_backend.api.auth import Caller, CoreOf
from tensortrigger_backend.api.model_shapes import (
    AliasAnswer,
    AliasCondition,
    AliasesAnswer,
    AliasHistoryAnswer,
    AliasTarget,
)
from tensortrigger_backend.api.reading import json_object, known_members
from tensortrigger_backend.api.shapes import PROBLEMS, MessageAnswer, takes
from tensortrigger_backend.domain.aliases import Alias, AliasMove, expected_of
from tensortrigger_backend.domain.errors import Fault, InvalidInput

router = APIRouter(tags=["aliases"], responses=PROBLEMS)

ALIASES = "/models/by-name/{name}/aliases"
ALIAS = f"{ALIASES}/{{alias}}"
BODY_LIMIT = 64 << 10


@router.get(ALIASES, responses={200: {"model": AliasesAnswer}})
def aliases(core: CoreOf, caller: Caller, name: str) -> Response:
    """Every alias of a model."""
    found = [_described(alias) for alias in core.aliases.all(caller, name)]
    return JSONResponse({"http_code": 200, "aliases": found})


@router.get(ALIAS, responses={200: {"model": AliasAnswer}})
def alias_target(core: CoreOf, caller: Caller, name: str, alias: str) -> Response:
    """Where an alias points."""
    return _answer(core.aliases.find(caller, name, alias))


@router.put(ALIAS, openapi_extra=takes(AliasTarget), responses={200: {"model": AliasAnswer}})
async def move_alias(request: Request, core: CoreOf, caller: Caller, name: str, alias: str) -> Response:
    """Point an alias to a ready version; it is made where it does not exist.

    With `expected_version` nothing happens, and 409 names the present target, unless it points there now.
    """
    body = await json_object(request, BODY_LIMIT)
    known_members(body, *AliasTarget.model_fields)
    target, expected = _target_of(body), expected_of(body)
    return _answer(await asyncio.to_thread(core.aliases.move, caller, name, alias, target, expected))


@router.delete(ALIAS, responses={200: {"model": MessageAnswer}})
def remove_alias(
    core: CoreOf, caller: Caller, name: str, alias: str, expected_version: int | None = None
) -> Response:
    """Take an alias away. Its history stays."""
    expected = None if expected_version is None else expected_of({"expected_version": expected_version})
    core.aliases.remove(caller, name, alias, expected)
    return JSONResponse({"http_code": 200, "message": "Alias removed"})


@router.post(
    f"{ALIAS}/rollback",
    openapi_extra=takes(AliasCondition, required=False),
    responses={200: {"model": AliasAnswer}},
)
async def roll_back_alias(request: Request, core: CoreOf, caller: Caller, name: str, alias: str) -> Response:
    """Point an alias to where it pointed before its latest move; again, and it goes back one further."""
    body = await json_object(request, BODY_LIMIT) if await request.body() else {}
    known_members(body, *AliasCondition.model_fields)
    expected = expected_of(body)
    return _answer(await asyncio.to_thread(core.aliases.roll_back, caller, name, alias, expected))


@router.get(f"{ALIAS}/history", responses={200: {"model": AliasHistoryAnswer}})
def alias_history(
    core: CoreOf,
    caller: Caller,
    name: str,
    alias: str,
    limit: PageLimit = 100,
    cursor: str | None = None,
) -> Response:
    """Every move of an alias, newest first, also after it was removed."""
    page = core.aliases.history(caller, name, alias, limit, cursor)
    moves = [_move(entry) for entry in page.items]
    return JSONResponse({"http_code": 200, "history": moves, "next_cursor": page.next_cursor})


def _target_of(body: dict[str, Any]) -> int | str:
    """A version's number or id. Raises InvalidInput unless there is one of the two."""
    number, model_id = body.get("version"), body.get("model_id")
    if (number is None) == (model_id is None):
        raise InvalidInput.of(
            Fault(
                ("version",),
                "alias_target",
                "Name the version either by 'version' (its number) or by 'model_id'.",
                "one of version, model_id",
                "both" if number is not None else "neither",
            )
        )
    if model_id is not None:
        if not isinstance(model_id, str):
            raise InvalidInput.of(Fault(("model_id",), "type", "model_id must be a string.", "string"))
        return model_id
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number < 2**31:
        message = "version must be the number of a version."
        raise InvalidInput.of(
            Fault(("version",), "version", message, "a whole number from 1 on", repr(number)[:80])
        )
    return number


def _described(alias: Alias) -> dict[str, Any]:
    return {
        "alias": alias.alias,
        "name": alias.name,
        "version": alias.version,
        "model_id": alias.model_id,
        "moved": timestamp(alias.moved),
        "moved_by": alias.moved_by,
    }


def _answer(alias: Alias) -> Response:
    return JSONResponse({"http_code": 200, "alias": _described(alias)})


def _move(entry: AliasMove) -> dict[str, Any]:
    return {
        "version": entry.version,
        "model_id": entry.model_id,
        "previous_version": entry.previous_version,
        "action": str(entry.action),
        "moved": timestamp(entry.moved),
        "moved_by": entry.moved_by,
    }
