"""Does this process stand on the same database, blob store and pepper as all others of its deployment?"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from tensortrigger_backend.domain.errors import Conflict, NotFound
from tensortrigger_backend.ports.deployment import DeploymentStore
from tensortrigger_backend.ports.storage import BlobStore

MARK: Final = "deployment"
"""The blob that tells which deployment a blob store belongs to."""


class Deployment:
    """Compares what a process was given with what the deployment's first process was given.

    Without it a process with another folder of blobs would take over uploads that it cannot read, or remove blobs
    as orphans that another database needs; one with another pepper would know nobody's key.
    """

    def __init__(self, store: DeploymentStore) -> None:
        self._store = store

    def must_own(self, blobs: BlobStore) -> None:
        """Mark the blob store as this deployment's at its first start, and hold it against the mark ever after.

        Raises:
            Conflict: it is another one.
        """
        own = self._store.agree("id", secrets.token_hex(16))
        marked = self._store.fact("marked") is not None
        if not marked:
            # The mark first: whoever dies in between leaves one that the next start knows as its own.
            marked = not self._store.agree_after("marked", "yes", lambda: _put_mark(blobs, own))
        if marked:
            _must_be(_mark(blobs), own)

    def must_know(self, pepper: bytes) -> None:
        """Remember the pepper's fingerprint at the first start, and compare it ever after.

        Raises:
            Conflict: it is another one.
        """
        fingerprint = hashlib.sha256(b"tensortrigger pepper\0" + pepper).hexdigest()[:32]
        if self._store.agree("pepper", fingerprint) != fingerprint:
            raise Conflict(
                "The pepper of this process is not the one of its deployment, so it would know no API key: give "
                "every process the same TENSORTRIGGER_PEPPER, or the same file 'pepper' in its data folder."
            )


def _mark(blobs: BlobStore) -> str | None:
    try:
        return blobs.read(MARK).decode()
    except NotFound:
        return None


def _put_mark(blobs: BlobStore, own: str) -> None:
    there = _mark(blobs)
    if there is None:
        blobs.put(MARK, own.encode())
    else:
        _must_be(there, own)


def _must_be(there: str | None, own: str) -> None:
    if there == own:
        return
    if there is None:
        raise Conflict(
            f"The blob store of this process is not the one of its database: it lacks the mark of deployment "
            f"{own[:8]}. Give every process the same TENSORTRIGGER_BLOB_URL; with file:// or without one, that is "
            "a folder that all of them share."
        )
    raise Conflict(
        f"The blob store of this process belongs to deployment {there[:8]}, and its database to {own[:8]}: each "
        "database needs a blob store of its own. Correct TENSORTRIGGER_BLOB_URL or TENSORTRIGGER_DATABASE_URL, or "
        f"take another prefix; if deployment {there[:8]} is gone for good, delete the blob '{MARK}'."
    )
