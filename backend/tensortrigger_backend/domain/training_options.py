"""What may a caller choose about a training? Each member of the request, checked and told of by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from tensortrigger_backend.domain.compiled import LOSSES, OPTIMIZERS, listed
from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.job_options import DEFAULT_PRIORITY

Value = TypeVar("Value")

MAX_EPOCHS: Final = 100_000
MAX_BATCH: Final = 1_000_000
TITLE_LIMIT: Final = 200
ADDRESS_LIMIT: Final = 2_048


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """What the caller chose, checked; None where the caller left it open."""

    epochs: int = 100
    batch_size: int = 32
    validation_split: float = 0.0
    shuffle: bool = True
    learning_rate: float | None = None
    loss: str | None = None
    optimizer: str | None = None
    title: str | None = None
    priority: int = DEFAULT_PRIORITY
    webhook: str | None = None

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> TrainingOptions:
        """The options of a request's body.

        Raises:
            InvalidInput: naming every member that is wrong.
        """
        faults: list[Fault] = []
        read = _Reader(body, faults)
        options = cls(
            read.whole("epochs", 100, 1, MAX_EPOCHS),
            read.whole("batch_size", 32, 1, MAX_BATCH),
            read.number("validation_split", 0.0, lambda value: 0 <= value < 1, "0 to less than 1") or 0.0,
            read.flag("shuffle", True),
            read.number("learning_rate", None, lambda value: 0 < value <= 1e3, "more than 0, at most 1000"),
            read.listed("loss", LOSSES),
            read.listed("optimizer", OPTIMIZERS),
            read.text("name", TITLE_LIMIT),
            read.whole("priority", DEFAULT_PRIORITY, 0, 9),
            read.text("webhook", ADDRESS_LIMIT),
        )
        if faults:
            raise InvalidInput.of(*faults)
        return options


class _Reader:
    """Members of a body, with what is wrong with them."""

    def __init__(self, body: Mapping[str, Any], faults: list[Fault]) -> None:
        self._body = body
        self._faults = faults

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        value = self._body.get(name)
        if value is None:
            return default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            expected = f"{least} to {most}"
            return self._wrong(name, f"{name} must be a whole number from {expected}.", expected, default)
        return value

    def number(
        self, name: str, default: float | None, fits: Callable[[float], bool], expected: str
    ) -> float | None:
        value = self._body.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not fits(value):
            return self._wrong(name, f"{name} must be a number, {expected}.", expected, default)
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        value = self._body.get(name)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        return self._wrong(name, f"{name} must be true or false.", "boolean", default)

    def text(self, name: str, longest: int) -> str | None:
        value = self._body.get(name)
        if value is None:
            return None
        fits = isinstance(value, str) and 0 < len(value.strip()) <= longest and value.isprintable()
        if not fits:
            expected = f"a string of 1 to {longest} printable characters"
            return self._wrong(name, f"{name} must be {expected}.", expected, None)
        return str(value).strip()

    def listed(self, name: str, among: Mapping[str, str]) -> str | None:
        value = self._body.get(name)
        if value is None:
            return None
        found = listed(value, among) if isinstance(value, str) else None
        if found is None:
            article = "an" if name[0] in "aeiou" else "a"
            message = f"{name} must be the name of {article} {name} of Keras that is allowed here."
            return self._wrong(name, message, ", ".join(among), None)
        return found

    def _wrong(self, name: str, message: str, expected: str, instead: Value) -> Value:
        given = self._body[name]
        # Python refuses to write thousands of digits.
        huge = isinstance(given, int) and abs(given) >= 10**30
        shown = "a number of more than 30 digits" if huge else repr(given)[:80]
        self._faults.append(Fault((name,), name, message, expected, shown))
        return instead
