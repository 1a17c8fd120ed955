"""Where is written down which uploads there are, and how far each has come?"""

from __future__ import annotations

from typing import Protocol

from tensortrigger_backend.domain.uploads import Upload, UploadPart
from tensortrigger_backend.ports.storage import Idempotency


class UploadStore(Protocol):
    """Uploads and their parts. Who may see which is for the caller to look after."""

    def begin(self, upload: Upload, limit: int, idempotency: Idempotency | None = None) -> Upload:
        """Store a new upload, or find the one that the same idempotency key began.

        Args:
            limit: how many uploads this owner may have at once.

        Raises:
            Conflict: there are so many already, or the idempotency key was used for another request.
        """

    def get(self, upload_id: str) -> Upload:
        """Raises NotFound."""

    def append(self, upload_id: str, part: UploadPart, now: float) -> Upload:
        """Add a part exactly where the upload ends; of several at one place, one wins.

        Raises:
            WrongOffset: it ends elsewhere.
            NotFound: it is gone.
        """

    def parts(self, upload_id: str) -> list[UploadPart]:
        """All parts, in order."""

    def made(self, upload_id: str, model_id: str, now: float) -> None:
        """Note the version that was made of it. An upload that is gone is no error."""

    def discard(self, upload_id: str) -> None:
        """Forget it and its parts. Safe to repeat."""

    def expired(self, before: float) -> list[str]:
        """Ids of the uploads that nothing was done with since then."""

    def published(self) -> list[str]:
        """Ids of the uploads that still have parts though their version is ready, or was removed."""

    def release(self, upload_id: str) -> list[UploadPart]:
        """Forget the parts, but not the upload: what they held is the version's now. Which they were."""
