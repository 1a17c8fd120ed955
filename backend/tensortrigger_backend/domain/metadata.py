"""What a publisher tells of a version beside its bytes: description, tags, metrics and where it comes from."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tensortrigger_backend.domain.errors import Fault, InvalidInput

MAX_TAGS: Final = 50
MAX_METRICS: Final = 100
TAG_VALUE_LIMIT: Final = 256
NOTE_LIMIT: Final = 256
_KEY = re.compile(r"[\w][\w .@/+-]{0,63}\Z")
KEY_RULE: Final = "1 to 64 letters, digits, spaces and . _ - @ / +, beginning with a letter or digit"


@dataclass(frozen=True, slots=True)
class Metadata:
    """Tags, training metrics and origin of a version.

    Attributes:
        author, notebook, git_commit: None where nobody said.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    author: str | None = None
    notebook: str | None = None
    git_commit: str | None = None


def checked_text(value: object, name: str, limit: int, empty: bool = False) -> str:
    """A string within its length.

    Raises:
        InvalidInput: it is none, too long, or holds a NUL.
    """
    if not isinstance(value, str) or (not value.strip() and not empty) or len(value) > limit:
        got = f"{len(value)} characters" if isinstance(value, str) else type(value).__name__
        least = 0 if empty else 1
        message = f"{name} must be a string of {least} to {limit} characters."
        raise InvalidInput.of(Fault((name,), "text", message, "string", got))
    if "\0" in value:
        message = f"{name} must not hold a NUL character."
        raise InvalidInput.of(Fault((name,), "text", message, "text without NUL", "NUL"))
    return value


def checked_note(value: object, name: str) -> str | None:
    """An optional short text. Raises InvalidInput."""
    return None if value is None else checked_text(value, name, NOTE_LIMIT)


def checked_tags(value: object) -> dict[str, str]:
    """Tags by key.

    Raises:
        InvalidInput: naming the tag.
    """
    tags = _object(value, "tags", MAX_TAGS)
    for key, text in tags.items():
        _checked_key(key, "tags")
        if not isinstance(text, str) or len(text) > TAG_VALUE_LIMIT or "\0" in text:
            got = f"{len(text)} characters" if isinstance(text, str) else type(text).__name__
            message = f"Tag {key!r} must be a string of up to {TAG_VALUE_LIMIT} characters without NUL."
            raise InvalidInput.of(Fault(("tags", key), "text", message, "string", got))
    return tags


def checked_metrics(value: object) -> dict[str, float]:
    """Training metrics by name, each finite.

    Raises:
        InvalidInput: naming the metric.
    """
    metrics = _object(value, "metrics", MAX_METRICS)
    for key, number in metrics.items():
        _checked_key(key, "metrics")
        if not _finite(number):
            message = f"Metric {key!r} must be a finite number."
            raise InvalidInput.of(
                Fault(("metrics", key), "number", message, "a finite number", repr(number)[:80])
            )
    return {key: float(number) for key, number in metrics.items()}


def tag_filter(text: str) -> tuple[str, str]:
    """``key:value`` of a list's ``tag`` filter. Raises InvalidInput."""
    key, colon, value = text.partition(":")
    if not colon or not _KEY.match(key):
        raise InvalidInput.of(
            Fault(("tag",), "tag", f"{text[:80]!r} names no tag.", "key:value, such as team:risk", text[:80])
        )
    return key, value


def _object(value: object, name: str, most: int) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        message = f"{name} must be an object."
        raise InvalidInput.of(Fault((name,), "type", message, "an object", type(value).__name__))
    if len(value) > most:
        message = f"{name} holds {len(value)} entries; at most {most} are kept."
        raise InvalidInput.of(Fault((name,), "too_many", message, f"at most {most}", str(len(value))))
    return value


def _checked_key(key: str, name: str) -> None:
    if not _KEY.match(key):
        message = f"{key[:80]!r} cannot be a key of {name}."
        raise InvalidInput.of(Fault((name, key[:80]), "key", message, KEY_RULE, repr(key[:80])))


def _finite(number: object) -> bool:
    if isinstance(number, bool) or not isinstance(number, int | float):
        return False
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer that no float can hold
        return False
