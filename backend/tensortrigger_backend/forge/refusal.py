"""How does a stage of the forge say no? By raising what the verdict will show."""

from __future__ import annotations

from dataclasses import replace
from typing import overload

from tensortrigger_backend.domain.errors import Fault

MODEL = "model_content"
SCHEMA = "model_schema"
"""Where the caller put what is judged: the first part of every fault's path."""

_SAVE_AGAIN = "save the model again with the library that made it, and publish that file as it is"
_SMALLER = "publish a smaller model"
_REMEDIES = {
    "too_large": _SMALLER,
    "too_deep": "write the model with less nesting",
    "too_many_members": "pack only what the library wrote when it saved the model",
}


class Refused(Exception):
    """The upload cannot become a servable; ``faults`` say why, where, and what to do."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = tuple(
            replace(
                fault,
                message=_sentence(fault.message),
                remedy=_sentence(fault.remedy or _REMEDIES.get(fault.code, _SAVE_AGAIN)),
            )
            for fault in faults
        )
        super().__init__(self.faults[0].message)


@overload
def _sentence(words: str) -> str: ...


@overload
def _sentence(words: str | None) -> str | None: ...


def _sentence(words: str | None) -> str | None:
    """What a caller reads begins with a capital letter and ends with a full stop."""
    if not words:
        return words
    return words[0].upper() + words[1:] + ("" if words.endswith((".", "!", "?")) else ".")


def refuse(
    code: str,
    message: str,
    *path: str | int,
    remedy: str | None = None,
    expected: str | None = None,
    got: str | None = None,
) -> Refused:
    """The refusal for one fault at a path inside the uploaded model."""
    return Refused(Fault((MODEL, *path), code, message, expected=expected, got=got, remedy=remedy))
