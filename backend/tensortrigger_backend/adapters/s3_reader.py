"""A blob in S3 as a file to read: any place in it, asked for in windows that grow while it is read on."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from tensortrigger_backend.adapters.s3_bucket import S3Bucket

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

FIRST_WINDOW = 256 << 10
LARGEST_WINDOW = 8 << 20


class S3Reader(io.RawIOBase):
    """Reads one blob as it was when it was opened.

    The first window is asked for at once: a small blob, and the directory at the end of an archive, are one request.

    Raises:
        NotFound: there is no such object.
    """

    def __init__(self, bucket: S3Bucket, key: str) -> None:
        super().__init__()
        self._bucket = bucket
        self._key = key
        self._at = 0
        self._etag: str | None = None
        self._size = FIRST_WINDOW
        self._window = b""
        self._begin = 0
        self._fill(0, FIRST_WINDOW)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if begin + offset < 0:
            raise ValueError("a place before the first byte")
        self._at = begin + offset
        return self._at

    def readinto(self, into: WriteableBuffer) -> int:
        target = memoryview(into).cast("B")
        if self._at >= self._size or not target:
            return 0
        end = self._begin + len(self._window)
        if not self._begin <= self._at < end:
            length = FIRST_WINDOW
            if self._at == end:
                length = min(max(2 * len(self._window), FIRST_WINDOW), LARGEST_WINDOW)
            # An archive's directory is read backwards from the end.
            last = max(0, self._size - FIRST_WINDOW)
            self._fill(min(self._at, last) if self._at != end else self._at, length)
        skip = self._at - self._begin
        count = min(len(target), len(self._window) - skip)
        target[:count] = memoryview(self._window)[skip : skip + count]
        self._at += count
        return count

    def _fill(self, begin: int, length: int) -> None:
        # The old window goes first: two of them at once would be twice the memory.
        self._window = b""
        body = self._bucket.blocks(self._key, begin, begin + length, self._etag)
        self._etag, self._size = body.etag, body.size
        self._window, self._begin = b"".join(body), begin
