"""The steps of the protocol by which a partition is worked on, each a point where a process may die (docs/jobs.md)."""

from __future__ import annotations

from enum import StrEnum


class Step(StrEnum):
    """In order. Tests kill a process at each of them; nothing else happens at them."""

    UPLOAD_STORED = "upload_stored"
    JOB_WRITTEN = "job_written"
    TOLD = "told"
    RELAYED = "relayed"
    CLAIMED = "claimed"
    READ = "read"
    SCORED = "scored"
    RESULTS_WRITTEN = "results_written"
    REJECTS_WRITTEN = "rejects_written"
    READY = "ready"
    COMMITTED = "committed"
    MANIFEST_WRITTEN = "manifest_written"
    FINISHED = "finished"
    ACKNOWLEDGED = "acknowledged"


def keep_going(_: Step) -> None:
    """What happens at each step outside of tests: nothing."""
