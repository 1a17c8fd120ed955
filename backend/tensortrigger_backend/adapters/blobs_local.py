"""Blobs as files below one folder, each appearing whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from tensortrigger_backend.domain.errors import NotFound, Unavailable
from tensortrigger_backend.ports.storage import BlobWriter

_TRIES = 10


class LocalBlobs:
    """Keeps the ``BlobStore`` promises on a local file system.

    A blob is written beside its place, synced, and renamed into it, so that a crash leaves at most a file
    in ``incoming``, which the next start removes.

    Args:
        writer: the name of this process, which its half-written files carry.
    """

    def __init__(self, root: Path, writer: str) -> None:
        self._writer = writer
        self._blobs = root / "blobs"
        self._incoming = root / "incoming"
        self._moving = threading.Lock()
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._incoming.mkdir(parents=True, exist_ok=True)

    def writer(self, key: str) -> BlobWriter:
        """See ``BlobStore.writer``."""
        return _FileWriter(
            self._path(key), self._incoming / f"{self._writer}.{secrets.token_hex(8)}", self._moving
        )

    def put(self, key: str, data: bytes) -> None:
        """See ``BlobStore.put``."""
        writer = self.writer(key)
        try:
            writer.write(data)
            writer.commit()
        finally:
            writer.abort()

    def keep(self, key: str, path: Path) -> tuple[str, int]:
        """See ``BlobStore.keep``."""
        writer = self.writer(key)
        try:
            with path.open("rb") as stream:
                while block := stream.read(1 << 20):
                    writer.write(block)
            writer.commit()
        finally:
            writer.abort()
        return writer.sha256, writer.size

    def open(self, key: str) -> BinaryIO:
        """See ``BlobStore.open``."""
        try:
            return self._path(key).open("rb")
        except FileNotFoundError:
            raise NotFound(f"There is no blob {key!r}.") from None

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """See ``BlobStore.read``."""
        with self.open(key) as stream:
            stream.seek(offset)
            return stream.read(-1 if length is None else length)

    def fetch(self, key: str, target: Path) -> None:
        """See ``BlobStore.fetch``."""
        with self.open(key) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)

    def delete(self, keys: Iterable[str]) -> None:
        """See ``BlobStore.delete``."""
        for key in keys:
            path = self._path(key)
            path.unlink(missing_ok=True)
            # A folder that somebody fills again meanwhile stays, and that is right.
            with self._moving, contextlib.suppress(OSError):
                path.parent.rmdir()

    def keys(self, prefix: str) -> list[str]:
        """See ``BlobStore.keys``."""
        below = self._path(prefix)
        return sorted(path.relative_to(self._blobs).as_posix() for path in below.rglob("*") if path.is_file())

    def half_written_by(self) -> list[str]:
        """Names of the processes that have files in ``incoming``."""
        return sorted({path.name.partition(".")[0] for path in self._incoming.iterdir()})

    def sweep_incoming(self, dead: Sequence[str]) -> None:
        """Remove what these processes left half-written."""
        for path in self._incoming.iterdir():
            if path.name.partition(".")[0] in dead:
                path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        names = key.split("/")
        if any(not name or name.startswith(".") or "\\" in name or "\0" in name for name in names):
            raise ValueError(f"not a blob key: {key!r}")
        return self._blobs.joinpath(*names)


class _FileWriter:
    def __init__(self, target: Path, incoming: Path, moving: threading.Lock) -> None:
        self._target = target
        self._moving = moving
        self._incoming = incoming
        self._hash = hashlib.sha256()
        self._stream = incoming.open("xb")
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        try:
            self._stream.write(data)
        except OSError as error:
            raise Unavailable(
                f"The storage cannot be written: {error.strerror}.", retry_after=30.0
            ) from error
        self._hash.update(data)
        self.size += len(data)

    def commit(self) -> None:
        try:
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
            with self._moving:
                self._into_place()
            _sync_folder(self._target.parent)
        except OSError as error:
            raise Unavailable(
                f"The storage cannot be written: {error.strerror}.", retry_after=30.0
            ) from error

    def _into_place(self) -> None:
        for left in reversed(range(_TRIES)):
            try:
                self._target.parent.mkdir(parents=True, exist_ok=True)
                self._incoming.replace(self._target)
                return
            except (FileNotFoundError, FileExistsError):
                # Another process removed the folder, empty for a moment, in between.
                if not left:
                    raise

    def abort(self) -> None:
        # A full disk can refuse the last buffered bytes at close; the file goes anyway.
        with contextlib.suppress(OSError):
            self._stream.close()
        self._incoming.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename durable; folders cannot be opened on Windows, where it is anyway."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
