"""What did the doctor change, and what can it not change? One note for all layers that the same was done to."""

from __future__ import annotations

from dataclasses import dataclass

from tensortrigger_backend.domain.errors import Fault
from tensortrigger_backend.domain.publishing import Repair
from tensortrigger_backend.forge.refusal import MODEL

Path = tuple[str | int, ...]


@dataclass(slots=True)
class _Note:
    path: Path
    where: str
    more: int = 0


class Notes:
    """Collects repairs and faults while a config is rewritten."""

    def __init__(self) -> None:
        self._notes: dict[str, _Note] = {}
        self.faults: list[Fault] = []

    def changed(self, path: Path, where: str, what: str) -> None:
        """Something was changed, in words that hold for every layer it was done to."""
        note = self._notes.get(what)
        if note is None:
            self._notes[what] = _Note(path, where)
        else:
            note.more += 1

    def refused(self, path: Path, code: str, message: str, remedy: str) -> None:
        """Something cannot be changed without code."""
        self.faults.append(Fault((MODEL, *path), code, message, remedy=remedy))

    def repairs(self) -> tuple[Repair, ...]:
        """What was done, in the order it was first done in."""
        return tuple(
            Repair(
                "/".join(str(part) for part in note.path),
                f"{note.where}{f' and {note.more} more' if note.more else ''}: {what}.",
            )
            for what, note in self._notes.items()
        )


def layer_words(name: object, kind: str) -> str:
    """How a layer is named in a note or a fault."""
    return f"layer '{str(name)[:80]}' ({kind[:80]})"
