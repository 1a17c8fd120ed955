"""What a caller wants to publish, as it came, and as it is after every member was checked."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from tensortrigger_backend.domain.aliases import checked_alias
from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.metadata import (
    Metadata,
    checked_metrics,
    checked_note,
    checked_tags,
    checked_text,
)
from tensortrigger_backend.domain.models import (
    DESCRIPTION_LIMIT,
    TITLE_LIMIT,
    checked_name,
    name_from_title,
)
from tensortrigger_backend.domain.schema import VectorSchema

_SHA256 = re.compile(r"[0-9a-fA-F]{64}\Z")


@dataclass(frozen=True, slots=True)
class Draft:
    """What the caller wants to publish, as it came.

    Attributes:
        title: ``model_name`` of the native API.
        name: the name to publish under; made from the title when None.
        schema: the raw ``model_schema``; None to infer the signature.
        tags, metrics, author, notebook, git_commit: what is told of the version beside its bytes.
        alias: what is to point to the version as soon as it is ready.
        sha256: what the bytes must hash to.
        example: inputs and the outputs that the caller's own model gave for them.
    """

    title: object
    name: object = None
    description: object = ""
    schema: object = None
    tags: object = None
    metrics: object = None
    author: object = None
    notebook: object = None
    git_commit: object = None
    alias: object = None
    sha256: object = None
    example: object = None


@dataclass(frozen=True, slots=True)
class CheckedDraft:
    """A draft without a fault. ``sha256`` is in lower case."""

    title: str
    name: str
    description: str
    schema: VectorSchema | None
    metadata: Metadata
    alias: str | None
    sha256: str | None

    def must_be(self, sha256: str) -> None:
        """Raise InvalidInput unless the bytes that came are those that were announced."""
        if self.sha256 is not None and self.sha256 != sha256:
            raise InvalidInput.of(
                Fault(
                    ("sha256",),
                    "sha256",
                    "The bytes that arrived are not those that were sent: their SHA-256 differs.",
                    self.sha256,
                    sha256,
                )
            )

    def fingerprint(self) -> str:
        """A hash of what makes two requests to publish the same bytes the same request."""
        told = {
            "description": self.description,
            "tags": dict(self.metadata.tags),
            "metrics": dict(self.metadata.metrics),
            "origin": [self.metadata.author, self.metadata.notebook, self.metadata.git_commit],
            "alias": self.alias,
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def checked(draft: Draft) -> CheckedDraft:
    """The draft with every member checked.

    Raises:
        InvalidInput: naming the member.
    """
    title = checked_text(draft.title, "model_name", TITLE_LIMIT)
    description = checked_text(draft.description, "model_description", DESCRIPTION_LIMIT, empty=True)
    if draft.name is not None and not isinstance(draft.name, str):
        raise InvalidInput.of(Fault(("name",), "type", "name must be a string.", "string"))
    return CheckedDraft(
        title,
        checked_name(draft.name) if draft.name is not None else name_from_title(title),
        description,
        None if draft.schema is None else VectorSchema.parse(draft.schema),
        Metadata(
            checked_tags(draft.tags),
            checked_metrics(draft.metrics),
            checked_note(draft.author, "author"),
            checked_note(draft.notebook, "notebook"),
            checked_note(draft.git_commit, "git_commit"),
        ),
        _optional(draft.alias, checked_alias),
        _optional(draft.sha256, _checked_sha256),
    )


def _optional(value: object, check: Callable[[object], str]) -> str | None:
    return None if value is None else check(value)


def _checked_sha256(value: object) -> str:
    if not isinstance(value, str) or not _SHA256.match(value):
        raise InvalidInput.of(
            Fault(
                ("sha256",),
                "sha256",
                "sha256 must be the SHA-256 of the bytes.",
                "64 hexadecimal digits",
                repr(value)[:80],
            )
        )
    return value.lower()
