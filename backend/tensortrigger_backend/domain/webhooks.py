"""What is said when a job has ended, and how the message is signed (Standard Webhooks)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Final

from tensortrigger_backend.domain.jobs import Job

RETRY_AFTER: Final = (5.0, 30.0, 300.0, 3600.0, 18_000.0)
"""Seconds between one attempt and the next; after the last of these the message is given up."""

_SAID_FIRST: Final = "whsec_"
MEDIA_TYPE: Final = "application/json"


def body_of(job: Job) -> str:
    """The message about a job that has ended, as it stands in the transaction that ends it."""
    ended = job.last_updated if job.finished is None else job.finished
    when = datetime.fromtimestamp(ended, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    data = {
        "job_id": job.job_id,
        "kind": str(job.kind),
        "model_id": job.model_id,
        "model_name": job.model_name,
        "model_version": job.model_version,
        "state": str(job.state),
        "rows_total": job.rows_total,
        "rows_done": job.rows_done,
        "rows_rejected": job.rows_rejected,
        "error": job.error,
    }
    return json.dumps({"type": f"job.{job.state}", "timestamp": when, "data": data}, separators=(",", ":"))


def secret_of(pepper: bytes, owner: str) -> str:
    """The owner's secret, as receivers are told it: it follows from the pepper, so that none is stored."""
    key = hmac.digest(pepper, f"webhook:{owner}".encode(), hashlib.sha256)
    return _SAID_FIRST + base64.b64encode(key).decode()


def signed(secret: str, message_id: str, now: float, body: str) -> dict[str, str]:
    """The headers that go with a message."""
    at = str(int(now))
    key = base64.b64decode(secret.removeprefix(_SAID_FIRST))
    signature = hmac.digest(key, f"{message_id}.{at}.{body}".encode(), hashlib.sha256)
    return {
        "content-type": MEDIA_TYPE,
        "webhook-id": message_id,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }


def next_attempt(attempts: int, now: float, jitter: float) -> float | None:
    """When a message is tried again that has failed for the ``attempts``-th time; None for never.

    Args:
        jitter: from 0 to 1, so that what failed at one moment does not come back at one moment.
    """
    if attempts > len(RETRY_AFTER):
        return None
    return now + RETRY_AFTER[attempts - 1] * (1.0 + 0.2 * jitter)
