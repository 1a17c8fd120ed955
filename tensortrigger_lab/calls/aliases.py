"""What a client asks about aliases: look up, move, remove, roll back, and what became of one over time."""

from __future__ import annotations

from typing import Any

from tensortrigger_lab.calls.call import Call, Pages, Seen, read_member
from tensortrigger_lab.calls.models import suggesting
from tensortrigger_lab.reference import check_alias, check_name
from tensortrigger_lab.request import Request, segment
from tensortrigger_lab.wire import AliasMove, AliasRecord, listed

UNSAID: Any = object()
"""Whatever the alias means now; None says that there shall be none yet."""


def aliases(seen: Seen, name: str) -> Call[list[AliasRecord]]:
    """Every alias of a model's name.

    Example:
        >>> {entry.alias: entry.version for entry in client.aliases("churn")}  # doctest: +SKIP
        {'candidate': 4, 'production': 3}
    """
    answer = yield from suggesting(seen, name, Request("GET", aliases_path(name)))
    return [_noted(seen, found) for found in read_member(answer, "aliases", listed(AliasRecord.read))]


def alias(seen: Seen, name: str, alias: str) -> Call[AliasRecord]:
    """One alias."""
    answer = yield from suggesting(seen, name, Request("GET", alias_path(name, alias)))
    return _noted(seen, read_member(answer, "alias", AliasRecord.read))


def move_alias(
    seen: Seen,
    name: str,
    alias: str,
    version: int | None = None,
    *,
    model_id: str | None = None,
    expected_version: int | None = UNSAID,
) -> Call[AliasRecord]:
    """Let an alias mean a version from now on, whatever it meant before.

    Args:
        version, model_id: exactly one of them.
        expected_version: what it must mean now, None for nothing; else nothing is changed.

    Raises:
        BadInput: no alias can be called so.
        Conflict: it means another version now; the error names it.
    """
    check_alias(alias)
    members: dict[str, Any] = {"version": version} if model_id is None else {"model_id": model_id}
    if expected_version is not UNSAID:
        members["expected_version"] = expected_version
    # Said twice it stays said; under a condition the second time would find it met no more.
    request = Request("PUT", alias_path(name, alias), members, idempotent=expected_version is UNSAID)
    answer = yield from suggesting(seen, name, request)
    return _noted(seen, read_member(answer, "alias", AliasRecord.read))


def remove_alias(seen: Seen, name: str, alias: str) -> Call[None]:
    """Let an alias mean nothing any more; its history stays."""
    yield from suggesting(seen, name, Request("DELETE", alias_path(name, alias)))
    seen.aliases.discard(f"{name}@{alias}")


def rollback(
    seen: Seen, name: str, alias: str, *, expected_version: int | None = UNSAID
) -> Call[AliasRecord]:
    """Let an alias mean again what it meant before its last move.

    Args:
        expected_version: what it must mean now; else nothing is changed.

    Raises:
        Conflict: there is nothing to go back to, or it means another version now.
    """
    members = None if expected_version is UNSAID else {"expected_version": expected_version}
    request = Request("POST", f"{alias_path(name, alias)}/rollback", members)
    answer = yield from suggesting(seen, name, request)
    return _noted(seen, read_member(answer, "alias", AliasRecord.read))


def alias_move_pages(_: Seen, name: str, alias: str) -> Pages[AliasMove]:
    """Every change of an alias, newest first, page by page as they are asked for."""
    return Pages(f"{alias_path(name, alias)}/history", "history", AliasMove.read, {})


def alias_history(seen: Seen, name: str, alias: str, *, limit: int = 100) -> Call[list[AliasMove]]:
    """The newest ``limit`` changes of an alias, newest first."""
    return (yield from alias_move_pages(seen, name, alias).first(limit))


def aliases_path(name: str) -> str:
    """Where a name's aliases are. Raises BadInput for what is no name."""
    check_name(name)
    return f"/models/by-name/{segment(name)}/aliases"


def alias_path(name: str, alias: str) -> str:
    """Where one alias is."""
    return f"{aliases_path(name)}/{segment(alias)}"


def _noted(seen: Seen, record: AliasRecord) -> AliasRecord:
    seen.models.add(record.name)
    seen.aliases.add(record.reference)
    return record
