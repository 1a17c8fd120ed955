"""Blobs as objects below one folder of an S3 bucket, each appearing whole or not at all."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import math
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from tensortrigger_backend.adapters.disk import disk_errors, private_copy
from tensortrigger_backend.adapters.s3_bucket import ATTEMPTS, RETRY_AFTER, S3Bucket, WrongBytes
from tensortrigger_backend.adapters.s3_reader import S3Reader
from tensortrigger_backend.adapters.s3_writer import PART, S3Writer, abort_upload
from tensortrigger_backend.domain.errors import Conflict, NotFound, Unavailable
from tensortrigger_backend.ports.storage import BlobWriter

Result = TypeVar("Result")

_INCOMING = ".incoming/"
"""No key begins with a dot."""
_NOTES = f"{_INCOMING}uploads/"
_STAGED = f"{_INCOMING}staged/"
_WRITTEN_AS = "written-as"
_AT_ONCE = 1000
"""Most keys of one request."""
_ABANDONED = 7 * 86_400.0
"""An unfinished upload of which no note tells is removed when it is so old, in seconds."""


class S3Blobs:
    """Keeps the ``BlobStore`` promises on S3, and on what speaks like it.

    Args:
        url: ``s3://bucket`` or ``s3://bucket/folder``; a blob's key is the object's below that.
        writer: the name of this process, which what it leaves half-written carries.
        endpoint_url: where S3 is; empty for Amazon's own.
        access_key: without it, boto3 looks where it always looks: the environment, the profile, the machine's role.
        attempts: how often a request is tried before ``Unavailable``.
    """

    def __init__(
        self,
        url: str,
        writer: str,
        endpoint_url: str = "",
        region: str = "",
        access_key: str = "",
        secret_key: str = "",
        attempts: int = ATTEMPTS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._bucket = S3Bucket(url, endpoint_url, region, access_key, secret_key, attempts)
        self._root = self._bucket.folder
        self._writer = writer
        self._clock = clock

    def writer(self, key: str | None = None, hashed: bool = True) -> BlobWriter:
        """See ``BlobStore.writer``."""
        target = None if key is None else self._full(key)
        name = f"{self._writer}.{secrets.token_hex(8)}"
        return S3Writer(
            self._bucket,
            target,
            self._full,
            f"{self._root}{_NOTES}{name}",
            f"{self._root}{_STAGED}{name}",
            hashed,
        )

    def put(self, key: str, data: bytes) -> None:
        """See ``BlobStore.put``."""
        self._write(key, (data,))

    def put_new(self, key: str, data: bytes) -> bool:
        """See ``BlobStore.put_new``."""
        token = secrets.token_hex(16)
        try:
            self._bucket.call(
                "put_object", self._full(key), Body=data, IfNoneMatch="*", Metadata={_WRITTEN_AS: token}
            )
        except Conflict:
            # The driver tries again when an answer is lost, and then it meets what it wrote itself.
            there = self._bucket.call("head_object", self._full(key))
            return bool(there["Metadata"].get(_WRITTEN_AS) == token)
        return True

    def keep(self, key: str, path: Path) -> tuple[str, int]:
        """See ``BlobStore.keep``."""
        self._full(key)
        with disk_errors("What is to be stored cannot be read"), path.open("rb") as stream:
            return self._write(key, iter(lambda: stream.read(PART), b""))

    def open(self, key: str) -> BinaryIO:
        """See ``BlobStore.open``."""
        return cast("BinaryIO", io.BufferedReader(S3Reader(self._bucket, self._full(key)), 64 << 10))

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """See ``BlobStore.read``."""
        end = None if length is None else offset + length

        def collect() -> bytes:
            # Unlike a list of blocks it needs the memory once.
            collected = io.BytesIO()
            collected.writelines(self._bucket.blocks(self._full(key), offset, end))
            return collected.getvalue()

        return self._certain(collect)

    def fetch(self, key: str, target: Path) -> None:
        """See ``BlobStore.fetch``."""

        def copy() -> None:
            with (
                contextlib.closing(self._bucket.blocks(self._full(key))) as body,
                private_copy(target) as stream,
            ):
                for block in body:
                    stream.write(block)

        self._certain(copy)

    def presign(self, key: str, seconds: float) -> str | None:
        """See ``BlobStore.presign``."""
        arguments = {"Bucket": self._bucket.name, "Key": self._full(key)}
        with self._bucket.errors():
            return str(
                self._bucket.client.generate_presigned_url(
                    "put_object", Params=arguments, ExpiresIn=math.ceil(seconds)
                )
            )

    def delete(self, keys: Iterable[str]) -> None:
        """See ``BlobStore.delete``."""
        whole = iter([self._full(key) for key in keys])
        while some := list(itertools.islice(whole, _AT_ONCE)):
            self._delete(some)

    def keys(self, prefix: str, written_before: float | None = None) -> list[str]:
        """See ``BlobStore.keys``."""
        return sorted(
            found["Key"].removeprefix(self._root)
            for found in self._listed(f"{self._full(prefix)}/")
            if written_before is None or found["LastModified"].timestamp() < written_before
        )

    def half_written_by(self) -> list[str]:
        """See ``BlobStore.half_written_by``."""
        return sorted({_author(found["Key"]) for found in self._listed(f"{self._root}{_INCOMING}")})

    def sweep_incoming(self, dead: Sequence[str]) -> None:
        """See ``BlobStore.sweep_incoming``."""
        notes, staged = self._root + _NOTES, self._root + _STAGED
        gone = [found["Key"] for found in self._listed(notes) if _author(found["Key"]) in dead]
        for note in gone:
            # Somebody else may sweep the same.
            with contextlib.suppress(NotFound):
                told = json.loads(b"".join(self._bucket.blocks(note)))
                abort_upload(self._bucket, told["key"], told["upload_id"])
        gone += [found["Key"] for found in self._listed(staged) if _author(found["Key"]) in dead]
        if gone:
            self._delete(gone)
        self._sweep_abandoned()

    def close(self) -> None:
        """See ``BlobStore.close``."""
        self._bucket.close()

    def _sweep_abandoned(self) -> None:
        """Those whose process died between the upload and its note."""
        before = self._clock() - _ABANDONED
        with self._bucket.errors():
            pages = self._bucket.client.get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self._bucket.name, Prefix=self._root):
                for found in page.get("Uploads", ()):
                    if found["Initiated"].timestamp() < before:
                        abort_upload(self._bucket, found["Key"], found["UploadId"])

    def _write(self, key: str, blocks: Iterable[bytes]) -> tuple[str, int]:
        writer = self.writer(key)
        try:
            for block in blocks:
                writer.write(block)
            writer.commit()
        finally:
            writer.abort()
        return writer.sha256, writer.size

    def _certain(self, read: Callable[[], Result]) -> Result:
        """Read again what does not fit its checksum."""
        for _ in range(self._bucket.attempts):
            with contextlib.suppress(WrongBytes):
                return read()
        raise Unavailable("The storage gives other bytes than it was given: try again.", RETRY_AFTER)

    def _listed(self, prefix: str) -> Iterator[dict[str, Any]]:
        with self._bucket.errors():
            for page in self._bucket.client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket.name, Prefix=prefix
            ):
                yield from page.get("Contents", ())

    def _delete(self, keys: Sequence[str]) -> None:
        objects = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        errors = self._bucket.call("delete_objects", Delete=objects).get("Errors", ())
        codes = sorted({str(error.get("Code")) for error in errors} - {"NoSuchKey"})
        if codes:
            raise Unavailable(f"The storage cannot delete ({', '.join(codes)}): try again.", RETRY_AFTER)

    def _full(self, key: str) -> str:
        names = key.split("/")
        if any(not name or name.startswith(".") or "\\" in name or "\0" in name for name in names):
            raise ValueError(f"not a blob key: {key!r}")
        return self._root + key


def _author(key: str) -> str:
    return key.rpartition("/")[2].rpartition(".")[0]
