"""What a front end, a panel or a callback asks to be published, as what, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Wanted:
    """What shall be published, as what, and where; ``example`` is the value, ``example_name`` its variable."""

    model: Any
    name: str
    variable: str | None = None
    title: str = ""
    description: str = ""
    schema: Mapping[str, Any] | None = None
    example: Any = None
    example_name: str | None = None
    ticket: str | None = None
    url: str | None = None
    at_epoch_end: bool = False
    alias: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    notebook: str | None = None
