"""Hand a version out in other forms than its own, each made when it is first asked for and kept for a day."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from tensortrigger_backend.domain.access import Principal
from tensortrigger_backend.domain.errors import NotFound, Unavailable
from tensortrigger_backend.domain.models import VersionState
from tensortrigger_backend.ports.exports import SavedModelWriter
from tensortrigger_backend.ports.storage import BlobStore
from tensortrigger_backend.services.registry import Registry

KEPT_FOR: Final = 24 * 3600.0
"""Seconds for which an export is kept: it can be made again, and takes as much room as the model."""

IN_LINE: Final = 4
"""How many exports may be in work or wait for it."""


class Exports:
    """SavedModels of versions.

    Args:
        scratch: a folder for short-lived copies.
        clock: seconds since the epoch, as the blob store's own.
    """

    def __init__(
        self,
        registry: Registry,
        blobs: BlobStore,
        writer: SavedModelWriter,
        scratch: Path,
        clock: Callable[[], float],
    ) -> None:
        self._registry = registry
        self._blobs = blobs
        self._writer = writer
        self._scratch = scratch
        self._clock = clock
        self._one_at_a_time = threading.Lock()
        self._line = threading.BoundedSemaphore(IN_LINE)

    def example(self, principal: Principal, model_id: str) -> BinaryIO:
        """The example that the receipt is about, as an ``.npz``; the caller closes it. Raises NotFound."""
        version = self._registry.find(principal, model_id)
        if version.receipt is None or version.example_key is None:
            raise NotFound(f"Model {model_id!r} has no example.")
        return self._blobs.open(version.example_key)

    def saved_model(self, principal: Principal, model_id: str) -> BinaryIO:
        """A zip of a SavedModel for TensorFlow Serving; the caller closes it.

        Raises:
            NotFound: there is no such version, or it is not ready.
            InvalidInput: it came in a form from which none can be made, with the reason.
            NotInstalled, Unavailable: it cannot be made here and now.
        """
        version = self._registry.find(principal, model_id)
        if version.state is not VersionState.READY or version.servable_key is None:
            raise NotFound(f"Model {model_id!r} has no SavedModel: it is {version.state}.")
        # The servable's own hash: an export made of another one is never handed out.
        key = f"exports/{version.servable_sha256}/saved_model"
        with contextlib.suppress(NotFound):
            return self._blobs.open(key)
        with self._turn():
            with contextlib.suppress(NotFound):
                # Made by whoever was before.
                return self._blobs.open(key)
            with tempfile.TemporaryDirectory(prefix="export-", dir=self._scratch) as folder:
                artifact, made = Path(folder, "servable"), Path(folder, "saved_model.zip")
                self._blobs.fetch(version.servable_key, artifact)
                self._writer.write(artifact, made)
                self._blobs.keep(key, made)
        return self._blobs.open(key)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """One export at a time. Raises Unavailable when several wait: each holds a thread that answers requests."""
        if not self._line.acquire(blocking=False):
            raise Unavailable(
                f"{IN_LINE} SavedModels are being written or wait for it already.", retry_after=30.0
            )
        try:
            with self._one_at_a_time:
                yield
        finally:
            self._line.release()

    def sweep(self) -> int:
        """Free exports that were made a day ago. How many."""
        old = self._blobs.keys("exports", self._clock() - KEPT_FOR)
        self._blobs.delete(old)
        return len(old)
