"""Which versions does a list ask for?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.metadata import tag_filter
from tensortrigger_backend.domain.models import VersionState
from tensortrigger_backend.domain.publishing import ENGINES, FORMATS

MAX_TEXT: Final = 256
MAX_TAG_FILTERS: Final = 20


@dataclass(frozen=True, slots=True)
class VersionFilter:
    """What a version must be to stand in a list; None where anything will do.

    Attributes:
        state: None for all but refused ones.
        alias: one of its aliases.
        tags: all of them, each with this value.
        text: stands in its name, title or description, whatever the case.
    """

    name: str | None = None
    state: VersionState | None = None
    alias: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    author: str | None = None
    format: str | None = None
    engine: str | None = None
    text: str | None = None

    @classmethod
    def of(
        cls,
        name: str | None = None,
        state: str | None = None,
        alias: str | None = None,
        tags: Sequence[str] = (),
        author: str | None = None,
        format: str | None = None,  # noqa: A002 - the member's name on the wire
        engine: str | None = None,
        text: str | None = None,
    ) -> VersionFilter:
        """A filter from a query string's members.

        Raises:
            InvalidInput: there is no such state, format or engine, or a tag is not ``key:value``.
        """
        if state is not None and state not in set(VersionState):
            raise InvalidInput.of(
                Fault(("state",), "state", f"There is no state {state[:40]!r}.", ", ".join(VersionState))
            )
        for field, value, known in (("format", format, FORMATS), ("engine", engine, ENGINES)):
            if value is not None and value not in known:
                message = f"There is no {field} {value[:40]!r}."
                raise InvalidInput.of(Fault((field,), field, message, ", ".join(known), value[:40]))
        given = {
            "name": name,
            "alias": alias,
            "author": author,
            "format": format,
            "engine": engine,
            "q": text,
        }
        for field, value in given.items():
            if value is not None and (len(value) > MAX_TEXT or "\0" in value):
                message = f"{field} must be up to {MAX_TEXT} characters without NUL."
                raise InvalidInput.of(Fault((field,), "text", message, "string", f"{len(value)} characters"))
        if len(tags) > MAX_TAG_FILTERS or any("\0" in tag for tag in tags):
            message = f"At most {MAX_TAG_FILTERS} tags can be asked for at once, without NUL."
            raise InvalidInput.of(Fault(("tag",), "too_many", message, f"at most {MAX_TAG_FILTERS}"))
        return cls(
            name,
            VersionState(state) if state is not None else None,
            alias,
            tuple(tag_filter(tag) for tag in tags),
            author,
            format,
            engine,
            text,
        )
