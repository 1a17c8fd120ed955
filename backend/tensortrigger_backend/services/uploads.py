"""Take uploads piece by piece, keep what arrived whatever breaks, and hand the whole over to a publish."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator
from types import TracebackType

import structlog

from tensortrigger_backend.domain.access import Principal, Scope
from tensortrigger_backend.domain.errors import Conflict, Fault, InvalidInput, NotFound, TensorTriggerError
from tensortrigger_backend.domain.uploads import (
    LIVES_FOR,
    OPEN_UPLOADS,
    PART_BYTES,
    Upload,
    UploadPart,
    announced_sha256,
    announced_size,
)
from tensortrigger_backend.ports.storage import BlobStore, BlobWriter, Idempotency
from tensortrigger_backend.ports.uploads import UploadStore
from tensortrigger_backend.ports.versions import ModelStore

log = structlog.get_logger(__name__)

_BLOCK = 1 << 20


class Uploads:
    """Uploads from their beginning to the version that is made of them.

    Args:
        limit: bytes that one upload may have.
        part_bytes: what arrived is kept in parts of so many bytes.
    """

    def __init__(
        self,
        store: UploadStore,
        models: ModelStore,
        blobs: BlobStore,
        clock: Callable[[], float],
        limit: int,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self._store = store
        self._models = models
        self._blobs = blobs
        self._clock = clock
        self._limit = limit
        self._part_bytes = part_bytes
        self._orphans_swept = False

    def begin(
        self, principal: Principal, size: object, sha256: object, idempotency: Idempotency | None = None
    ) -> Upload:
        """A new, empty upload, or the one that the same idempotency key began.

        Raises:
            InvalidInput, PayloadTooLarge: what was announced cannot be.
            Conflict: this owner has too many already.
        """
        principal.must(Scope.PUBLISH)
        now = self._clock()
        upload = Upload(
            secrets.token_hex(16),
            principal.owner,
            now,
            now,
            size=announced_size(size, self._limit),
            sha256=announced_sha256(sha256),
            ticket_id=principal.ticket_id,
        )
        return self._store.begin(upload, OPEN_UPLOADS, idempotency)

    def find(self, principal: Principal, upload_id: str) -> Upload:
        """One upload. Raises NotFound, also for what others began."""
        principal.must(Scope.PUBLISH)
        upload = self._store.get(upload_id)
        if not upload.open_to(principal):
            raise NotFound(f"There is no upload {upload_id[:80]!r}.")
        return upload

    def intake(self, principal: Principal, upload_id: str, offset: int) -> Intake:
        """Take bytes that go on at ``offset``.

        Raises:
            NotFound: there is no such upload.
            WrongOffset: it goes on elsewhere.
            Conflict: a version was made of it already.
        """
        upload = self.find(principal, upload_id)
        if upload.model_id is not None:
            raise Conflict(f"Model {upload.model_id} was made of this upload: begin a new one.")
        upload.must_continue_at(offset)
        return Intake(self._store, self._blobs, upload, self._clock, self._limit, self._part_bytes)

    def content(self, principal: Principal, upload_id: str, sha256: object = None) -> Iterator[bytes]:
        """All bytes of a whole upload, block by block; their hash is held against what was announced at the end.

        Args:
            sha256: what the publish says that they hash to, beside what the upload said.

        Raises:
            NotFound: there is no such upload.
            InvalidInput: bytes are missing, or the hash is another one.
        """
        upload = self.find(principal, upload_id)
        upload.must_be_whole()
        told = {announced for announced in (upload.sha256, announced_sha256(sha256)) if announced}
        return self._blocks(upload, told)

    def _blocks(self, upload: Upload, told: set[str]) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for key in self._keys(upload):
            with self._blobs.open(key) as stream:
                while block := stream.read(_BLOCK):
                    digest.update(block)
                    yield block
        for announced in sorted(told - {digest.hexdigest()}):
            message = "The bytes that arrived are not those that were announced: upload them again."
            raise InvalidInput.of(Fault(("sha256",), "sha256", message, announced, digest.hexdigest()))

    def _keys(self, upload: Upload) -> list[str]:
        parts = self._store.parts(upload.upload_id)
        if parts:
            return [part.key for part in parts]
        # A version was made of it, so the bytes are there.
        try:
            return [self._models.get(upload.model_id or "", upload.owner).source_key]
        except NotFound:
            raise Conflict(
                "The model that was made of this upload is gone, and its bytes with it: upload them again."
            ) from None

    def made(self, upload_id: str, model_id: str) -> None:
        """A version is being made of it: it stays until that is ready, so that a refusal costs no second upload."""
        self._store.made(upload_id, model_id, self._clock())

    def remove(self, principal: Principal, upload_id: str) -> None:
        """Leave nothing of an upload. Raises NotFound."""
        self.find(principal, upload_id)
        self._remove(upload_id)

    def sweep(self) -> int:
        """Free what nobody came back for, and the parts of what is a ready version by now. How many uploads."""
        expired = self._store.expired(self._clock() - LIVES_FOR)
        for upload_id in expired:
            self._remove(upload_id)
        published = self._store.published()
        for upload_id in published:
            self._store.release(upload_id)
            self._blobs.delete(self._blobs.keys(f"uploads/{upload_id}"))
        if not self._orphans_swept:
            self._orphans_swept = True
            self._sweep_orphans()
        if expired:
            log.info("uploads.expired", uploads=expired)
        return len(expired) + len(published)

    def _sweep_orphans(self) -> None:
        """Free the parts of uploads that a crash left no row of."""
        for upload_id in sorted({key.split("/")[1] for key in self._blobs.keys("uploads")}):
            try:
                self._store.get(upload_id)
            except NotFound:
                self._blobs.delete(self._blobs.keys(f"uploads/{upload_id}"))

    def _remove(self, upload_id: str) -> None:
        # The row first: what a crash in between leaves of the bytes has no row and is swept at the next start.
        self._store.discard(upload_id)
        self._blobs.delete(self._blobs.keys(f"uploads/{upload_id}"))


class Intake:
    """Bytes of one request on their way into an upload; what was fed is kept when it is left, however that is."""

    def __init__(
        self,
        store: UploadStore,
        blobs: BlobStore,
        upload: Upload,
        clock: Callable[[], float],
        limit: int,
        part_bytes: int,
    ) -> None:
        self.upload = upload
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._limit = limit
        self._part_bytes = part_bytes
        self._writer: BlobWriter | None = None
        self._key = ""

    def feed(self, data: bytes) -> None:
        """Take bytes; durable at every ``part_bytes``.

        Raises:
            PayloadTooLarge: more than was announced, or than the server takes; what fits is kept.
            WrongOffset: another request was quicker.
        """
        view = memoryview(data)
        while view:
            room = self.upload.room(self._limit) - self._size
            if not room:
                raise self.upload.overflow(self._limit)
            if self._writer is None:
                # A name of its own: whoever loses a race must not have written into the winner's part.
                self._key = (
                    f"uploads/{self.upload.upload_id}/{self.upload.offset:015d}-{secrets.token_hex(4)}"
                )
                self._writer = self._blobs.writer(self._key)
            taken = view[: min(room, self._part_bytes - self._writer.size)]
            self._writer.write(bytes(taken))
            view = view[len(taken) :]
            if self._writer.size == self._part_bytes:
                self.keep()

    def keep(self) -> Upload:
        """Make what was fed so far durable. Raises WrongOffset, NotFound."""
        writer, self._writer = self._writer, None
        if writer is None:
            return self.upload
        try:
            if writer.size:
                writer.commit()
                part = UploadPart(self.upload.offset, writer.size, self._key)
                try:
                    self.upload = self._store.append(self.upload.upload_id, part, self._clock())
                except TensorTriggerError:
                    self._blobs.delete([self._key])
                    raise
        finally:
            writer.abort()
        return self.upload

    def abort(self) -> None:
        """Let go of what is not kept yet. Safe to repeat."""
        if self._writer is not None:
            self._writer.abort()
            self._writer = None

    @property
    def _size(self) -> int:
        return self._writer.size if self._writer is not None else 0

    def __enter__(self) -> Intake:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()
