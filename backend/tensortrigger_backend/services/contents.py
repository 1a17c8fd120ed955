"""Keep bytes under their own hash: the same bytes once, and as long as some version needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tensortrigger_backend.domain.contents import content_key, is_content
from tensortrigger_backend.ports.storage import BlobStore, BlobWriter
from tensortrigger_backend.ports.versions import ContentStore

GRACE: Final = 900.0
"""Seconds for which bytes stay that were put and are not needed by any version, or not yet."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Bytes that were put: where they lie, and what they are."""

    key: str
    sha256: str
    size: int
    touched: float


class Contents:
    """Puts bytes and frees them again.

    Args:
        clock: seconds since the epoch, UTC.
    """

    def __init__(self, store: ContentStore, blobs: BlobStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock

    def writer(self) -> BlobWriter:
        """Begin bytes whose hash is not known yet; end with ``commit``, or with its own ``abort``."""
        return self._blobs.writer()

    def commit(self, writer: BlobWriter) -> Kept:
        """Let them appear under their hash. Putting the same bytes again is harmless."""
        kept = Kept(content_key(writer.sha256), writer.sha256, writer.size, self._clock())
        # Before the bytes: from here on nobody frees them, and what is freed just now is put again.
        self._store.touch(kept.key, kept.touched)
        writer.commit(kept.key)
        return kept

    def keep(self, path: Path) -> Kept:
        """Put a file, however large, block by block."""
        writer = self.writer()
        try:
            with path.open("rb") as stream:
                while block := stream.read(1 << 20):
                    writer.write(block)
            return self.commit(writer)
        finally:
            writer.abort()

    def release(self, keys: Iterable[str | None], touched: float) -> None:
        """Free these at once, unless a version needs them or somebody touched them later than that.

        Blobs of before content addressing belong to one version, and go with it.
        """
        known = [key for key in keys if key is not None]
        self._blobs.delete([key for key in known if not is_content(key)])
        self._store.free(self._blobs.delete, touched, [key for key in known if is_content(key)])

    def purge(self) -> int:
        """Free what no version needs and nobody touched for a while. How many."""
        return self._store.free(self._blobs.delete, self._clock() - GRACE)
