"""A run as the native API shows it."""

from __future__ import annotations

from typing import Any

from tensortrigger_backend.api.answers import timestamp
from tensortrigger_backend.domain.runs import Run


def describe_run(run: Run) -> dict[str, Any]:
    """The Run object of the native API."""
    return {
        **run.described(),
        "created": timestamp(run.created),
        "last_updated": timestamp(run.last_updated),
        "finished": timestamp(run.finished) if run.finished is not None else None,
    }
