"""What may be written where a model is named: an id, ``name``, ``name/3`` or ``name@alias``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tensortrigger_lab.errors import BadInput

ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
LATEST = "latest"
"""Means the newest ready version of a name, so no alias may be called so."""
ALIAS_TOLD = "1 to 63 of a-z, 0-9, '.', '_' and '-', not only digits, and not 'latest'"


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference taken apart; at most one of ``version`` and ``alias`` is given."""

    name: str
    version: str | None = None
    alias: str | None = None

    @classmethod
    def of(cls, text: str) -> Reference:
        """Take ``name``, ``name/3`` or ``name@alias`` apart.

        Raises:
            BadInput: what stands behind the ``@`` is no alias.
        """
        name, at, alias = text.partition("@")
        if at:
            if not NAME.fullmatch(name) or not (alias == LATEST or is_alias(alias)):
                raise BadInput(
                    "This names no model.",
                    field="model",
                    expected="name, name/3 or name@alias",
                    got=text[:130],
                )
            return cls(name, alias=alias)
        name, slash, version = text.partition("/")
        return cls(name, version=version if slash else None)


def is_id(text: str) -> bool:
    """Whether it is a version's id, and not a name.

    Raises:
        BadInput: it is not even text.
    """
    if not isinstance(text, str):
        raise BadInput(
            "This names no model.",
            field="model",
            expected="a Model, an id, name, name/3 or name@alias",
            got=type(text).__name__,
        )
    return bool(ID.fullmatch(text))


def is_alias(text: str) -> bool:
    """Whether a version may be called so; ``latest`` may not."""
    return bool(NAME.fullmatch(text)) and not text.isdigit() and text != LATEST


def check_name(name: str) -> None:
    """Refuse what is not even text.

    Raises:
        BadInput: saying what it must be.
    """
    if not isinstance(name, str):
        raise BadInput(
            "This names no model.", field="name", expected="a model's name, as text", got=type(name).__name__
        )


def check_alias(alias: str) -> None:
    """Refuse what no alias can be.

    Raises:
        BadInput: saying what it could be.
    """
    if not isinstance(alias, str) or not is_alias(alias):
        got = repr(alias[:80]) if isinstance(alias, str) else type(alias).__name__
        raise BadInput("No alias can be called so.", field="alias", expected=ALIAS_TOLD, got=got)
