"""One S3 bucket over the wire: requests with time-outs and retries, and errors in the domain's words."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, FlexibleChecksumError
from urllib3.exceptions import HTTPError

from tensortrigger_backend.domain.errors import Conflict, NotFound, TensorTriggerError, Unavailable

BLOCK = 1 << 20
CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0
ATTEMPTS = 5
"""For a request, and for a body that ends too early without having brought anything."""
RETRY_AFTER = 5.0

_MISSING = frozenset({"404", "NoSuchKey", "NotFound", "KeyTooLongError"})
_DENIED = frozenset({"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"})


class S3Bucket:
    """A bucket and a folder in it, which may be all of it.

    Args:
        url: ``s3://bucket`` or ``s3://bucket/folder``.
        endpoint_url: where S3 is; empty for Amazon's own.
        access_key: without it, boto3 looks where it always looks.
        attempts: how often a request is tried before it is given up.
    """

    def __init__(
        self,
        url: str,
        endpoint_url: str = "",
        region: str = "",
        access_key: str = "",
        secret_key: str = "",
        attempts: int = ATTEMPTS,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "s3" or not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", parts.netloc):
            raise ValueError(
                f"Not a place in S3: {url[:80]!r}. It looks like s3://bucket or s3://bucket/folder."
            )
        folder = parts.path.strip("/")
        self.name = parts.netloc
        self.folder = f"{folder}/" if folder else ""
        self.attempts = attempts
        self.client = boto3.session.Session().client(
            "s3",
            endpoint_url=endpoint_url or None,
            region_name=region or None,
            aws_access_key_id=access_key or None,
            aws_secret_access_key=secret_key or None,
            config=Config(
                signature_version="s3v4",
                # A name for each bucket is what Amazon wants; hardly any other server has that.
                s3={"addressing_style": "path" if endpoint_url else "auto"},
                connect_timeout=CONNECT_TIMEOUT,
                read_timeout=READ_TIMEOUT,
                retries={"mode": "standard", "total_max_attempts": attempts},
                max_pool_connections=32,
                tcp_keepalive=True,
            ),
        )
        for operation in ("PutObject", "UploadPart"):
            self.client.meta.events.register(f"before-call.s3.{operation}", _say_bytes)

    def call(self, operation: str, key: str | None = None, **arguments: Any) -> dict[str, Any]:
        """One request about an object, or about the bucket.

        Raises:
            NotFound: there is no such object.
            Conflict: a condition does not hold.
            Unavailable: it was tried several times.
        """
        if key is not None:
            arguments["Key"] = key
        with self.errors(key):
            answer: dict[str, Any] = getattr(self.client, operation)(Bucket=self.name, **arguments)
            return answer

    @contextlib.contextmanager
    def errors(self, key: str | None = None) -> Iterator[None]:
        """Turn the driver's errors into the domain's."""
        try:
            yield
        except ClientError as error:
            raise self._told(error, key) from error
        except (BotoCoreError, HTTPError, OSError) as error:
            raise Unavailable(
                f"The storage does not answer ({type(error).__name__}): try again.", RETRY_AFTER
            ) from error

    def blocks(self, key: str, offset: int = 0, end: int | None = None, etag: str | None = None) -> Body:
        """Begin to read an object; see ``Body``. ``end`` is exclusive."""
        return Body(self, key, offset, end, etag)

    def close(self) -> None:
        """Let go of all connections. Safe to repeat."""
        self.client.close()

    def _told(self, error: ClientError, key: str | None) -> TensorTriggerError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code == "NoSuchBucket":
            return Unavailable(f"The storage has no bucket {self.name!r}: make it.", 30.0)
        if code in _MISSING and key is not None:
            return NotFound(f"There is no blob {key.removeprefix(self.folder)!r}.")
        if code in {"412", "PreconditionFailed"}:
            return Conflict("The blob is another one than was expected.")
        if code in _DENIED:
            return Unavailable(
                f"The storage does not let this server into the bucket {self.name!r} ({code}).", 30.0
            )
        return Unavailable(f"The storage fails ({code}): try again.", RETRY_AFTER)


class Body:
    """The bytes of one object, block by block; what breaks off is asked for again from there.

    Attributes:
        size: of the whole object.
        etag: which bytes these are; what is asked for again must be the same.

    Raises:
        NotFound: there is no such object.
        Unavailable: it breaks off again and again, or was replaced meanwhile.
    """

    def __init__(self, bucket: S3Bucket, key: str, offset: int, end: int | None, etag: str | None) -> None:
        self._bucket = bucket
        self._key = key
        self._at = offset
        self._whole = offset == 0 and end is None and etag is None
        self.etag = etag
        self.size = 0
        self._end = end
        self._stream: Any = None
        self._ask()

    def __iter__(self) -> Iterator[bytes]:
        failures = 0
        end = self.size if self._end is None else min(self._end, self.size)
        try:
            while self._at < end:
                block = self._block(end)
                if block:
                    failures = 0
                    self._at += len(block)
                    yield block
                    continue
                failures += 1
                if failures >= self._bucket.attempts:
                    raise Unavailable(
                        "The storage breaks off in the middle of a blob: try again.", RETRY_AFTER
                    )
                self.close()
                self._ask()
        finally:
            self.close()

    def close(self) -> None:
        """Drop what was not read. Safe to repeat."""
        if self._stream is not None:
            self._stream.close()
        self._stream = None

    def _block(self, end: int) -> bytes:
        """Nothing, where it broke off."""
        if self._stream is None:
            return b""
        try:
            block: bytes = self._stream.read(min(BLOCK, end - self._at))
            if self._at + len(block) == end:
                # To the end of the stream: only there are its length and its checksum held against what came.
                self._stream.read()
        except FlexibleChecksumError as error:
            raise WrongBytes from error
        except (BotoCoreError, HTTPError, OSError):
            return b""
        return block

    def _ask(self) -> None:
        arguments: dict[str, Any] = {"IfMatch": self.etag} if self.etag else {}
        if not self._whole or self._at:
            if self._end is not None and self._end <= self._at:
                # A range cannot be empty.
                self._look()
                return
            last = "" if self._end is None else self._end - 1
            arguments["Range"] = f"bytes={self._at}-{last}"
        try:
            answer = self._bucket.call("get_object", self._key, **arguments)
        except Conflict as error:
            raise Unavailable("The blob was replaced while it was read: begin again.") from error
        except Unavailable as error:
            # Nothing lies there; how much does, only another request tells.
            if code_of(error) not in {"416", "InvalidRange"}:
                raise
            self._look()
            return
        told = str(answer.get("ContentRange", ""))
        self.size = int(told.rpartition("/")[2]) if told else int(answer["ContentLength"])
        self.etag = str(answer["ETag"])
        self._stream = answer["Body"]

    def _look(self) -> None:
        answer = self._bucket.call("head_object", self._key)
        self.size, self.etag = int(answer["ContentLength"]), str(answer["ETag"])


class WrongBytes(Exception):
    """All bytes came, and they are not those that were stored."""


def code_of(error: TensorTriggerError) -> str:
    """What S3 calls it; empty where S3 did not answer."""
    cause = error.__cause__
    return str(cause.response.get("Error", {}).get("Code", "")) if isinstance(cause, ClientError) else ""


def _say_bytes(params: dict[str, Any], **_: Any) -> None:
    """S3's own word for bytes: told nothing, SeaweedFS finds text and packs it, which costs it thrice the time."""
    params["headers"]["Content-Type"] = "binary/octet-stream"
