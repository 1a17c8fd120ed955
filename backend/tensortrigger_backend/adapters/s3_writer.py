"""A blob on its way into S3: in one request where it is small, else in parts, two of them under way at once."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from boto3.s3.transfer import TransferConfig

from tensortrigger_backend.adapters.s3_bucket import S3Bucket, code_of
from tensortrigger_backend.domain.errors import PayloadTooLarge, TensorTriggerError, Unavailable

PART = 8 << 20
MOST_PARTS = 10_000
LARGE_PART = 64 << 20
LARGE_AFTER = 9_000
"""Up to here parts are of one size, as some servers ask for: 70 GiB."""
UNDER_WAY = 2

# One request copies at most 5 GiB.
_COPY = TransferConfig(multipart_threshold=4 << 30, multipart_chunksize=1 << 30, use_threads=False)


class S3Writer:
    """See ``BlobWriter``.

    Until it is committed, nothing can be seen; what was sent lies in an unfinished upload, of which a note at
    ``note`` tells the sweeper of a later process.

    Args:
        target: the whole key, or None when it is told at ``commit``.
        note: where it is written down that an upload is under way.
        staged: where parts are put together while the key is not known.
    """

    def __init__(
        self,
        bucket: S3Bucket,
        target: str | None,
        full_key: Callable[[str], str],
        note: str,
        staged: str,
        hashed: bool = True,
    ) -> None:
        self._bucket = bucket
        self._target = target
        self._full_key = full_key
        self._note = note
        self._staged = staged
        self._hash = hashlib.sha256() if hashed else None
        self._buffer = bytearray()
        self._upload: _Upload | None = None
        self._ended = False
        self.size = 0

    @property
    def sha256(self) -> str:
        if self._hash is None:
            raise ValueError("a writer without a hash")
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        if self._hash is not None:
            self._hash.update(data)
        self.size += len(data)
        rest = memoryview(data)
        while rest:
            part_size = PART if self._upload is None else self._upload.next_size()
            room = part_size - len(self._buffer)
            self._buffer += rest[:room]
            rest = rest[room:]
            if len(self._buffer) == part_size and rest:
                self._send()

    def commit(self, key: str | None = None) -> None:
        target = self._target if key is None else self._full_key(key)
        if target is None:
            raise ValueError("a blob without a key")
        if self._upload is None:
            self._bucket.call("put_object", target, Body=self._buffer)
        else:
            self._send()
            self._upload.complete(self.size)
            if self._upload.key != target:
                source = {"Bucket": self._bucket.name, "Key": self._upload.key}
                with self._bucket.errors():
                    self._bucket.client.copy(source, self._bucket.name, target, Config=_COPY)
            self._forget()
        self._ended = True
        self._buffer = bytearray()

    def abort(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._buffer = bytearray()
        if self._upload is not None:
            # What cannot be removed now is written down in the note.
            with contextlib.suppress(Unavailable):
                self._upload.abort()
                self._forget()

    def _send(self) -> None:
        if self._upload is None:
            self._upload = _Upload(self._bucket, self._target or self._staged)
            told = {"key": self._upload.key, "upload_id": self._upload.upload_id}
            self._bucket.call("put_object", self._note, Body=json.dumps(told).encode())
        part, self._buffer = self._buffer, bytearray()
        self._upload.send(part)

    def _forget(self) -> None:
        """The blob is there or given up; what is left over is not worth a failure."""
        with contextlib.suppress(Unavailable):
            if self._target is None:
                self._bucket.call("delete_object", self._staged)
            self._bucket.call("delete_object", self._note)


class _Upload:
    """Parts of one upload, sent by threads."""

    def __init__(self, bucket: S3Bucket, key: str) -> None:
        self._bucket = bucket
        self.key = key
        self.upload_id = str(bucket.call("create_multipart_upload", key)["UploadId"])
        self._threads = ThreadPoolExecutor(UNDER_WAY, thread_name_prefix="s3-part")
        self._under_way: deque[Future[dict[str, Any]]] = deque()
        self._parts: list[dict[str, Any]] = []
        self._number = 0

    def next_size(self) -> int:
        return PART if self._number < LARGE_AFTER else LARGE_PART

    def send(self, part: bytearray) -> None:
        """Wait for a free thread, then hand it over; a part that failed is told here."""
        while len(self._under_way) >= UNDER_WAY:
            self._parts.append(self._under_way.popleft().result())
        self._number += 1
        if self._number > MOST_PARTS:
            raise PayloadTooLarge("The storage takes no blob of more than 132 GiB.")
        self._under_way.append(self._threads.submit(self._put, self._number, part))

    def complete(self, size: int) -> None:
        while self._under_way:
            self._parts.append(self._under_way.popleft().result())
        self._threads.shutdown()
        try:
            self._bucket.call(
                "complete_multipart_upload",
                self.key,
                UploadId=self.upload_id,
                MultipartUpload={"Parts": self._parts},
            )
        except Unavailable:
            # It may have been done, and only the answer was lost.
            if not self._is_there(size):
                raise

    def abort(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        abort_upload(self._bucket, self.key, self.upload_id)

    def _put(self, number: int, part: bytearray) -> dict[str, Any]:
        answer = self._bucket.call(
            "upload_part", self.key, UploadId=self.upload_id, PartNumber=number, Body=part
        )
        checksums = {
            name: answer[name] for name in answer if name.startswith("Checksum") and name != "ChecksumType"
        }
        return {"PartNumber": number, "ETag": answer["ETag"], **checksums}

    def _is_there(self, size: int) -> bool:
        try:
            found = self._bucket.call("head_object", self.key)
        except TensorTriggerError:
            return False
        return bool(
            found["ContentLength"] == size and str(found["ETag"]).strip('"').endswith(f"-{len(self._parts)}")
        )


def abort_upload(bucket: S3Bucket, key: str, upload_id: str) -> None:
    """Safe to repeat.

    Raises:
        Unavailable: the storage does not answer.
    """
    try:
        bucket.call("abort_multipart_upload", key, UploadId=upload_id)
    except Unavailable as error:
        if code_of(error) != "NoSuchUpload":
            raise
