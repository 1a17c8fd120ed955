"""One CSV file that is scored: how far it is, as the browser sees it."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class ScoreState(StrEnum):
    """The life of a score. The last three are final."""

    READING = "reading"
    UPLOADING = "uploading"
    SCORING = "scoring"
    WRITING = "writing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing more will happen."""
        return self in (ScoreState.SUCCEEDED, ScoreState.FAILED, ScoreState.CANCELLED)


@dataclass(slots=True)
class Score:
    """A score as it stands.

    Attributes:
        path, output_path, rejects_path: of the contents manager; the latter two once they are written.
        model: ``name``, ``name/3`` or ``name@alias``.
        rows_done: rows that the model has seen; while writing, rows that are written.
    """

    path: str
    model: str
    score_id: str = field(default_factory=lambda: secrets.token_hex(16))
    state: ScoreState = ScoreState.READING
    output_path: str | None = None
    rejects_path: str | None = None
    job_id: str | None = None
    rows_done: int = 0
    rows_total: int = 0
    rows_rejected: int = 0
    error: str | None = None
    created: str = field(default_factory=lambda: timestamp())
    finished: str | None = None

    def end(self, state: ScoreState, error: str | None = None) -> None:
        """Come to a final state, unless there is one already."""
        if not self.state.final:
            self.state, self.error, self.finished = state, error, timestamp()

    def to_dict(self) -> dict[str, Any]:
        """The Score object of the route."""
        return asdict(self)


def timestamp() -> str:
    """Now, as ISO 8601 in UTC to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
