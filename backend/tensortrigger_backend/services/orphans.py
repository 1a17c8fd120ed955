"""Remove blobs that no row tells of: their writer died between the two, or the database is an older one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from tensortrigger_backend.domain.contents import PREFIX
from tensortrigger_backend.ports.jobs import JobStore
from tensortrigger_backend.ports.storage import BlobStore
from tensortrigger_backend.ports.versions import ContentStore, ModelStore
from tensortrigger_backend.services.contents import Contents
from tensortrigger_backend.services.remote_intake import WAITING

log = structlog.get_logger(__name__)

GRACE: Final = 86_400.0
"""Seconds for which a blob without a row is left alone: its row may be about to be written. Rows that were uploaded by
URL never have one: this is how long jobs may name them."""

PURGE_EVERY: Final = 60.0
SWEEP_EVERY: Final = 3600.0
"""Seconds between two rounds; the latter goes through all blobs that there are."""

Unknown = Callable[[Sequence[str]], list[str]]


class Orphans:
    """Frees bytes that nobody needs, each step now and then.

    Args:
        clock: seconds since the epoch, UTC, as the blobs' own times are.
        timer: seconds that pass whatever is done to the clock.
    """

    def __init__(
        self,
        contents: Contents,
        store: ContentStore,
        blobs: BlobStore,
        models: ModelStore,
        jobs: JobStore,
        clock: Callable[[], float],
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._contents = contents
        self._store = store
        self._blobs = blobs
        # For prefixes whose keys are ``<prefix>/<id>/...``: which of some ids have no row.
        self._owned: dict[str, Unknown] = {"models": models.unknown, "jobs": jobs.unknown, WAITING: list}
        self._clock = clock
        self._timer = timer
        self._purged = self._swept = timer()

    def look_after(self) -> None:
        """Do what is due; quick when nothing is."""
        now = self._timer()
        if now - self._purged >= PURGE_EVERY:
            self._purged = now
            self._contents.purge()
        if now - self._swept >= SWEEP_EVERY:
            self._swept = now
            if swept := self.sweep():
                log.info("orphans.removed", blobs=swept)

    def sweep(self) -> int:
        """Go through all blobs, and remove those of long ago that no row tells of. How many."""
        before = self._clock() - GRACE
        count = self._store.free_unknown(self._blobs.delete, self._blobs.keys(PREFIX, before))
        for prefix, unknown in self._owned.items():
            keys = self._blobs.keys(prefix, before)
            gone = set(unknown(sorted({key.split("/")[1] for key in keys})))
            lost = [key for key in keys if key.split("/")[1] in gone]
            self._blobs.delete(lost)
            count += len(lost)
        return count
