"""A verb of the API without its sending: a generator that asks requests and returns what it makes of them.

Whoever carries it out sends each request that it yields, and gives the answer's JSON object back; an error of
the backend is thrown in where the answer would have come.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

from tensortrigger_lab.errors import UnexpectedAnswer
from tensortrigger_lab.request import Request
from tensortrigger_lab.wire import WireError, listed, member, text

T = TypeVar("T")
Call: TypeAlias = Generator[Request, dict[str, Any], T]
PAGE = 200
"""Entries a page; the backend gives no more at once."""


@dataclass(slots=True)
class Seen:
    """Names that a client came across: what completion may offer without asking anybody."""

    models: set[str] = field(default_factory=set)
    aliases: set[str] = field(default_factory=set)
    jobs: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some entries of a list, and where the next ones begin; None at the end."""

    entries: Sequence[T]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Pages(Generic[T]):
    """A list that the backend gives page by page.

    Attributes:
        key: the member of the answer that holds the entries.
        read: one entry from JSON.
        noted: is told each entry.
    """

    path: str
    key: str
    read: Callable[[Any], T]
    filters: Mapping[str, str | Sequence[str] | None]
    noted: Callable[[T], object] | None = None

    def page(self, cursor: str | None = None, size: int = PAGE) -> Call[Page[T]]:
        """One page."""
        params: dict[str, str | int | Sequence[str]] = {
            name: value for name, value in self.filters.items() if value
        }
        params["limit"] = min(PAGE, size)
        if cursor is not None:
            params["cursor"] = cursor
        answer = yield Request("GET", self.path, params=params)
        entries = read_member(answer, self.key, listed(self.read))
        if self.noted is not None:
            for entry in entries:
                self.noted(entry)
        following = read_answer(answer, lambda members: member(members, "next_cursor", text, ""))
        return Page(entries, following if entries else None)

    def first(self, limit: int) -> Call[list[T]]:
        """Up to ``limit`` entries over as many pages as that takes."""
        found: list[T] = []
        cursor: str | None = None
        while len(found) < limit:
            page = yield from self.page(cursor, limit - len(found))
            found += page.entries
            cursor = page.cursor
            if not cursor:
                break
        return found[:limit]


def read_member(members: Mapping[str, Any], name: str, read: Callable[[Any], T]) -> T:
    """A member that the answer must have.

    Raises:
        UnexpectedAnswer: it has not.
    """
    return read_answer(members, lambda found: member(found, name, read))


def read_answer(members: Any, read: Callable[[Any], T]) -> T:
    """The answer as ``read`` takes it.

    Raises:
        UnexpectedAnswer: it does not.
    """
    try:
        return read(members)
    except WireError as error:
        raise UnexpectedAnswer(
            f"The backend's answer cannot be read: {error}. Is it a newer version?"
        ) from error
