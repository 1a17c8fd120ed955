"""An alias: a movable name for one version of a model, with a history of every move."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from tensortrigger_backend.domain.errors import Conflict, Fault, InvalidInput
from tensortrigger_backend.domain.models import NAME_PATTERN, NAME_RULE

PRODUCTION: Final = "production"
"""What a bare model name means, where the model has this alias."""

LATEST: Final = "latest"
"""Always the newest ready version, and so nothing that can be moved."""

ALIAS_RULE: Final = f"{NAME_RULE}; not only digits, and not 'latest'"


class AliasAction(StrEnum):
    """How an alias came to point where it does."""

    PUBLISHED = "published"
    MOVED = "moved"
    ROLLED_BACK = "rolled_back"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Alias:
    """Where an alias points.

    Attributes:
        moved: when, UTC seconds since the epoch.
        moved_by: label or id of the key that moved it.
    """

    name: str
    alias: str
    model_id: str
    version: int
    moved: float
    moved_by: str


@dataclass(frozen=True, slots=True)
class AliasMove:
    """One entry of an alias's history.

    Attributes:
        version: where it points since; None when it was removed.
        previous_version: where it pointed before; None when it did not exist.
    """

    action: AliasAction
    version: int | None
    model_id: str | None
    previous_version: int | None
    moved: float
    moved_by: str


@dataclass(frozen=True, slots=True)
class Expected:
    """What a compare-and-set found before: the alias points to this version, or with None it does not exist."""

    version: int | None

    def must_be(self, name: str, alias: str, present: int | None) -> None:
        """Raise Conflict, naming the present target, unless it is what was expected."""
        if self.version != present:
            there = f"points to version {present}" if present is not None else "does not exist"
            wanted = (
                f"not version {self.version} as expected"
                if self.version is not None
                else "though no such alias was expected"
            )
            raise Conflict(
                f"Alias {alias!r} of model {name!r} {there}, {wanted}: read it again and decide anew."
            )


def checked_alias(alias: object, loc: tuple[str | int, ...] = ("alias",)) -> str:
    """``alias`` if it can be set.

    Raises:
        InvalidInput: saying the rule.
    """
    if not isinstance(alias, str) or not NAME_PATTERN.match(alias) or alias.isdigit() or alias == LATEST:
        got = repr(alias)[:80] if isinstance(alias, str) else type(alias).__name__
        reason = (
            "always means the newest ready version and cannot be set"
            if alias == LATEST
            else "is not an alias"
        )
        raise InvalidInput.of(Fault(loc, "alias", f"{got} {reason}.", ALIAS_RULE, got))
    return alias


def before(history: Iterable[AliasMove]) -> AliasMove | None:
    """The entry whose target a rollback returns to; None where there is none.

    Rolling back again goes back further: each rollback takes the latest move off, and a removal ends what came
    before it.

    Args:
        history: every entry of one alias, oldest first.
    """
    stack: list[AliasMove] = []
    for entry in history:
        if entry.action is AliasAction.REMOVED:
            stack.clear()
        elif entry.action is AliasAction.ROLLED_BACK:
            stack.pop()
        else:
            stack.append(entry)
    return stack[-2] if len(stack) > 1 else None


def no_alias(name: str, alias: str, others: Iterable[str]) -> str:
    """The sentence for an alias that does not exist."""
    known = ", ".join(sorted(others)) or "none"
    return f"Model {name!r} has no alias {alias!r}; it has {known}."


def expected_of(members: dict[str, Any]) -> Expected | None:
    """The compare-and-set of a request: ``expected_version`` as a number or null; None where it is left out.

    Raises:
        InvalidInput: it is something else.
    """
    if "expected_version" not in members:
        return None
    value = members["expected_version"]
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise InvalidInput.of(
            Fault(
                ("expected_version",),
                "version",
                "expected_version must be the number of a version, or null where no alias is expected.",
                "a whole number from 1 on, or null",
                repr(value)[:80],
            )
        )
    return Expected(value)
