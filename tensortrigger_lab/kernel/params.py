"""What a front end's parameters are: a JSON object as text, and the texts in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tensortrigger_lab.kernel.reply import Refusal


def read(params: str) -> dict[str, Any]:
    """The parameters by name.

    Raises:
        Refusal: they are no JSON object.
    """
    try:
        members = json.loads(params)
    except ValueError as error:
        raise Refusal("bad_input", f"The parameters are no JSON: {error}.") from None
    if not isinstance(members, dict):
        raise Refusal("bad_input", "The parameters are no JSON object.")
    return members


def text_of(params: Mapping[str, Any], name: str) -> str:
    """A text that must be there.

    Raises:
        Refusal: it is not.
    """
    value = text_or_none(params, name)
    if value is None:
        raise Refusal("bad_input", f"The parameter {name!r} is missing.")
    return value


def texts_of(params: Mapping[str, Any], name: str) -> dict[str, str]:
    """Texts by name; none where the parameter is left out.

    Raises:
        Refusal: it is no object of texts.
    """
    found = params.get(name) or {}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise Refusal("bad_input", f"The parameter {name!r} is no object of texts.")
    return found


def text_or_none(params: Mapping[str, Any], name: str) -> str | None:
    """A text that may be left out; an empty one is taken as such.

    Raises:
        Refusal: it is no text.
    """
    value = params.get(name)
    if value is not None and not isinstance(value, str):
        raise Refusal("bad_input", f"The parameter {name!r} is no text.")
    return value or None
