"""Configured sources: folders of this machine, and folders in S3 buckets."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from tensortrigger_backend.domain.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from tensortrigger_backend.adapters.s3_bucket import S3Bucket

BUFFER = 1 << 20


class ConfiguredSources:
    """Keeps the ``Sources`` promise.

    Args:
        urls: of each source's folder, ``file:///folder`` or ``s3://bucket/folder``.
        bucket: connects to the bucket and folder of such a URL, on first use.

    Raises:
        ValueError: a URL of another kind.
    """

    def __init__(self, urls: Mapping[str, str], bucket: Callable[[str], S3Bucket]) -> None:
        for name, url in urls.items():
            if not url.startswith(("file:///", "s3://")):
                raise ValueError(f"Source {name!r} must begin with file:/// or s3://, not {url[:40]!r}.")
        self._urls = dict(urls)
        self._connect = bucket
        self._buckets: dict[str, S3Bucket] = {}

    def names(self) -> list[str]:
        """See ``Sources.names``."""
        return sorted(self._urls)

    def open(self, name: str, key: str) -> BinaryIO:
        """See ``Sources.open``."""
        url = self._urls.get(name)
        if url is None:
            raise NotFound(f"There is no source {name[:80]!r}: GET /jobs/sources lists them.")
        if url.startswith("file://"):
            return _open_file(Path(url.removeprefix("file://")), name, key)
        from tensortrigger_backend.adapters.s3_reader import S3Reader

        bucket = self._buckets.get(name) or self._connect(url)
        self._buckets[name] = bucket
        try:
            return cast("BinaryIO", io.BufferedReader(S3Reader(bucket, bucket.folder + key), BUFFER))
        except NotFound:
            raise _missing(name, key) from None


def _open_file(folder: Path, name: str, key: str) -> BinaryIO:
    try:
        path = (folder / key).resolve()
        # A link in the folder may lead out of it, and not everyone who may write there may read everything.
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            raise _missing(name, key)
        return path.open("rb")
    except RuntimeError:
        # A ring of links leads to no file.
        raise _missing(name, key) from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise _missing(name, key) from None
        raise Unavailable(f"Source {name!r} cannot be read: {error.strerror}.", retry_after=5.0) from None


def _missing(name: str, key: str) -> NotFound:
    return NotFound(f"Source {name!r} holds no file {key[:200]!r}.")
