"""Which adapter a URL of the settings names; drivers are imported only where they are needed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tensortrigger_backend.adapters.blobs_local import LocalBlobs
from tensortrigger_backend.adapters.queue_memory import MemoryQueue
from tensortrigger_backend.adapters.sources import ConfiguredSources
from tensortrigger_backend.domain.jobs import JobKind
from tensortrigger_backend.ports.jobs import Queue
from tensortrigger_backend.ports.storage import BlobStore
from tensortrigger_backend.settings import Settings

if TYPE_CHECKING:
    from tensortrigger_backend.adapters.s3_bucket import S3Bucket


def open_blobs(settings: Settings, writer: str) -> BlobStore:
    """The blob store, written to under this process's name.

    Raises:
        ValueError: the URL is none that is known, or its driver is not installed.
    """
    if not settings.blob_url.startswith("s3:"):
        return LocalBlobs(settings.resolved_blob_root(), writer)
    with _extra("s3", "TENSORTRIGGER_BLOB_URL"):
        from tensortrigger_backend.adapters.blobs_s3 import S3Blobs
    return S3Blobs(settings.blob_url, writer, *_s3(settings))


def open_sources(settings: Settings) -> ConfiguredSources:
    """The folders from which jobs may read; a bucket is connected to when it is first read from.

    Raises:
        ValueError: a URL is none that is known, or its driver is not installed.
    """

    def bucket(url: str) -> S3Bucket:
        from tensortrigger_backend.adapters.s3_bucket import S3Bucket

        return S3Bucket(url, *_s3(settings))

    if any(url.startswith("s3:") for url in settings.sources.values()):
        with _extra("s3", "TENSORTRIGGER_SOURCES"):
            import tensortrigger_backend.adapters.s3_bucket  # noqa: F401 - whether it can be
    return ConfiguredSources(settings.sources, bucket)


def _s3(settings: Settings) -> tuple[str, str, str, str]:
    key, secret = settings.s3_access_key_id, settings.s3_secret_access_key
    return (
        settings.s3_endpoint_url,
        settings.s3_region,
        key.get_secret_value() if key else "",
        secret.get_secret_value() if secret else "",
    )


def open_queue(settings: Settings, kind: JobKind, consumers: int) -> Queue:
    """The queue of one kind of work.

    Args:
        consumers: threads of this process that receive from it.

    Raises:
        ValueError: the URL is none that is known, or its driver is not installed.
    """
    url = settings.broker_url
    if url.startswith("memory:"):
        return MemoryQueue()
    if not url.startswith(("amqp:", "amqps:")):
        raise ValueError(
            f"TENSORTRIGGER_BROKER_URL must begin with memory:, amqp: or amqps:, not {url.split(':')[0][:40]!r}."
        )
    with _extra("rabbitmq", "TENSORTRIGGER_BROKER_URL"):
        from tensortrigger_backend.adapters.queue_rabbitmq import RabbitQueue
    return RabbitQueue(url, str(kind), settings.broker_prefix, max(consumers, 1))


@contextlib.contextmanager
def _extra(name: str, setting: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{setting} needs the Python package {error.name!r}: pip install 'tensortrigger-lab[{name}]'."
        ) from None
