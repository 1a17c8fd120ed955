"""Blobs as files below one folder, each appearing whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from tensortrigger_backend.adapters.disk import disk_errors, private_copy
from tensortrigger_backend.domain.errors import NotFound

_TRIES = 10
_NOT_WRITTEN = "The storage cannot be written"


class LocalBlobs:
    """Keeps the ``BlobStore`` promises on a local file system.

    A blob is written beside its place, synced, and renamed into it, so that a crash leaves at most a file
    in ``incoming``, which another process removes.

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

    def writer(self, key: str | None = None, hashed: bool = True) -> _FileWriter:
        """See ``BlobStore.writer``."""
        target = None if key is None else self._path(key)
        incoming = self._incoming / f"{self._writer}.{secrets.token_hex(8)}"
        return _FileWriter(target, self._path, incoming, self._moving, hashed)

    def put(self, key: str, data: bytes) -> None:
        """See ``BlobStore.put``."""
        writer = self.writer(key, hashed=False)
        try:
            writer.write(data)
            writer.commit()
        finally:
            writer.abort()

    def put_new(self, key: str, data: bytes) -> bool:
        """See ``BlobStore.put_new``."""
        writer = self.writer(key, hashed=False)
        try:
            writer.write(data)
            return writer.commit_new()
        finally:
            writer.abort()

    def keep(self, key: str, path: Path) -> tuple[str, int]:
        """See ``BlobStore.keep``."""
        writer = self.writer(key)
        try:
            with disk_errors("What is to be stored cannot be read"), path.open("rb") as stream:
                while block := stream.read(1 << 20):
                    writer.write(block)
            writer.commit()
        finally:
            writer.abort()
        return writer.sha256, writer.size

    def open(self, key: str) -> BinaryIO:
        """See ``BlobStore.open``."""
        with disk_errors("The storage cannot be read"):
            try:
                return self._path(key).open("rb")
            except FileNotFoundError:
                raise NotFound(f"There is no blob {key!r}.") from None

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """See ``BlobStore.read``."""
        with disk_errors("The storage cannot be read"), self.open(key) as stream:
            stream.seek(offset)
            return stream.read(-1 if length is None else length)

    def fetch(self, key: str, target: Path) -> None:
        """See ``BlobStore.fetch``."""
        with self.open(key) as source, private_copy(target) as copy:
            shutil.copyfileobj(source, copy, 1 << 20)

    def presign(self, key: str, seconds: float) -> str | None:  # noqa: ARG002
        """See ``BlobStore.presign``."""
        return None

    def delete(self, keys: Iterable[str]) -> None:
        """See ``BlobStore.delete``."""
        for key in keys:
            path = self._path(key)
            with disk_errors("The storage cannot delete"):
                path.unlink(missing_ok=True)
            # A folder that somebody fills again meanwhile stays, and that is right.
            with self._moving, contextlib.suppress(OSError):
                path.parent.rmdir()

    def keys(self, prefix: str, written_before: float | None = None) -> list[str]:
        """See ``BlobStore.keys``."""
        found = []
        with disk_errors("The storage cannot be listed"):
            for folder, _, names in os.walk(self._path(prefix), onerror=_unless_gone):
                for path in (Path(folder, name) for name in names):
                    # What is deleted while this goes through the folders is not there.
                    with contextlib.suppress(FileNotFoundError):
                        about = path.stat()
                        if stat.S_ISREG(about.st_mode) and (
                            written_before is None or about.st_mtime < written_before
                        ):
                            found.append(path.relative_to(self._blobs).as_posix())
        return sorted(found)

    def half_written_by(self) -> list[str]:
        """See ``BlobStore.half_written_by``."""
        with disk_errors("The storage cannot be listed"):
            return sorted({path.name.rpartition(".")[0] for path in self._incoming.iterdir()})

    def sweep_incoming(self, dead: Sequence[str]) -> None:
        """See ``BlobStore.sweep_incoming``."""
        with disk_errors("The storage cannot delete"):
            for path in self._incoming.iterdir():
                if path.name.rpartition(".")[0] in dead:
                    path.unlink(missing_ok=True)

    def close(self) -> None:
        """See ``BlobStore.close``."""

    def _path(self, key: str) -> Path:
        names = key.split("/")
        if any(not name or name.startswith(".") or "\\" in name or "\0" in name for name in names):
            raise ValueError(f"not a blob key: {key!r}")
        return self._blobs.joinpath(*names)


class _FileWriter:
    def __init__(
        self,
        target: Path | None,
        path_of: Callable[[str], Path],
        incoming: Path,
        moving: threading.Lock,
        hashed: bool,
    ) -> None:
        self._target = target
        self._path_of = path_of
        self._moving = moving
        self._incoming = incoming
        self._hash = hashlib.sha256() if hashed else None
        with disk_errors(_NOT_WRITTEN):
            self._stream = incoming.open("xb")
        self.size = 0

    @property
    def sha256(self) -> str:
        if self._hash is None:
            raise ValueError("a writer without a hash")
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        with disk_errors(_NOT_WRITTEN):
            self._stream.write(data)
        if self._hash is not None:
            self._hash.update(data)
        self.size += len(data)

    def commit(self, key: str | None = None) -> None:
        target = self._target if key is None else self._path_of(key)
        if target is None:
            raise ValueError("a blob without a key")
        self._appear(target, lambda: self._incoming.replace(target))

    def commit_new(self) -> bool:
        """Whether it appeared; not where a blob is already."""
        target = self._target
        assert target is not None
        new = True

        def link() -> None:
            nonlocal new
            try:
                target.hardlink_to(self._incoming)
            except FileExistsError:
                new = False

        self._appear(target, link)
        return new

    def _appear(self, target: Path, move: Callable[[], object]) -> None:
        with disk_errors(_NOT_WRITTEN):
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
            with self._moving:
                self._into_place(target, move)
            _sync_folder(target.parent)

    def _into_place(self, target: Path, move: Callable[[], object]) -> None:
        for left in reversed(range(_TRIES)):
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                move()
                return
            except (FileNotFoundError, FileExistsError):
                # Another process removed the folder, empty for a moment, in between.
                if not left:
                    raise

    def abort(self) -> None:
        # A full disk can refuse the last buffered bytes at close; the file goes anyway.
        with contextlib.suppress(OSError):
            self._stream.close()
        # What cannot be removed now is swept once this process is gone.
        with contextlib.suppress(OSError):
            self._incoming.unlink(missing_ok=True)


def _unless_gone(error: OSError) -> None:
    """A folder that is not there, or not any more, holds nothing; nor does a blob."""
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error


def _sync_folder(folder: Path) -> None:
    """Make a rename durable; folders cannot be opened on Windows, where it is anyway."""
    if os.name == "nt":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        # The blob was deleted already, and its empty folder with it: there is nothing to make durable.
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
