"""Rows that lie elsewhere, fetched by a worker: the first partition of such a job (docs/jobs.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import BinaryIO, Final

from tensortrigger_backend.domain.errors import InvalidInput, PayloadTooLarge
from tensortrigger_backend.domain.job_options import Source
from tensortrigger_backend.domain.jobs import Claim, Cut
from tensortrigger_backend.ports.rows import CutSize
from tensortrigger_backend.ports.sources import Sources
from tensortrigger_backend.ports.storage import BlobStore
from tensortrigger_backend.ports.versions import ModelStore
from tensortrigger_backend.services.heartbeat import Heartbeat
from tensortrigger_backend.services.intake import Formats, Intake, feed_all

BLOCK: Final = 1 << 20
WAITING: Final = "row-uploads"
"""Blobs that were uploaded by URL lie here until a job has taken them over."""


def waiting_key(owner: str, upload_id: str) -> str:
    """Where the rows of an upload by URL lie: no other owner's id leads there."""
    return f"{WAITING}/{hashlib.sha256(owner.encode()).hexdigest()[:16]}/{upload_id}"


class RemoteIntake:
    """Copies the rows of a source into the job's own storage, and cuts them meanwhile.

    The copy is what partitions read: a source may change under a job, and is packed or encoded as it likes.
    """

    def __init__(
        self, models: ModelStore, blobs: BlobStore, formats: Formats, sources: Sources, size: CutSize
    ) -> None:
        self._models = models
        self._blobs = blobs
        self._formats = formats
        self._sources = sources
        self._size = size

    def cut(self, claim: Claim, heartbeat: Heartbeat) -> Cut:
        """Fetch and cut; safe to repeat, since each attempt writes to a key that holds its fence.

        Raises:
            InvalidInput, NotFound: the source has no such file, or it is no upload for this model.
            Unavailable: the source cannot be reached now.
            LostClaim: the partition is another worker's, or its job was cancelled.
        """
        source = claim.options.source
        if source is None:
            raise InvalidInput("This job has no source to fetch rows from.")
        key = f"jobs/{claim.job_id}/upload-{claim.fence}"
        # Attempts before this one left theirs when they died. Those after it are not looked at: this one may have
        # slept past its lease, and what they brought may be the job's own by now.
        there = self._blobs.keys(f"jobs/{claim.job_id}")
        self._blobs.delete([old for old in there if -1 < _fence_of(old) < claim.fence])
        version = self._models.get(claim.model_id, None)
        options = claim.options
        intake = Intake(
            self._blobs, self._formats, key, version, options, self._size, options.row_format, hashed=False
        )
        try:
            with self._open(source) as stream:
                feed_all(intake, _blocks(stream), heartbeat.check)
            heartbeat.verify()
            intake.keep()
        except PayloadTooLarge as error:
            # It is as large at the next attempt.
            raise InvalidInput(error.detail) from None
        finally:
            intake.abort()
        return Cut(tuple(intake.slices), intake.splitter.columns, key, intake.writer.size)

    def _open(self, source: Source) -> BinaryIO:
        if source.name is None:
            return self._blobs.open(source.key)
        return self._sources.open(source.name, source.key)


def _fence_of(key: str) -> int:
    """Of an upload that an attempt brought; -1 for any other blob of a job."""
    name, _, fence = key.split("/")[2].partition("-")
    return int(fence) if name == "upload" and fence.isdigit() else -1


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    while block := stream.read(BLOCK):
        yield block
