"""Who is told that a job has ended: what is owed, and how it is brought there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Webhook:
    """One message that is owed.

    Attributes:
        message_id: the same each time that it is tried, so that a receiver can tell a repetition.
        body: JSON.
        attempts: how often it was tried before.
    """

    job_id: str
    owner: str
    message_id: str
    url: str
    body: str
    attempts: int


class WebhookStore(Protocol):
    """Messages that are owed. They are written by the ``JobStore`` in the transaction that ends their job."""

    def take(
        self, now: float, hold: float, not_to: Collection[str] = (), not_of: Collection[str] = ()
    ) -> Webhook | None:
        """The one that is due longest, which nobody else is given for ``hold`` seconds.

        Args:
            not_to: addresses that are left out.
            not_of: owners that are left out.
        """

    def settle(self, webhook: Webhook, error: str | None, due: float | None, now: float) -> None:
        """How an attempt went; the job's log says so as well. Nothing happens when another message took its place.

        Args:
            error: why it did not arrive; None when it did.
            due: when it is tried again; None for never.
        """


class Courier(Protocol):
    """Brings a message to its address."""

    def check(self, url: str) -> None:
        """Raises InvalidInput for an address that is never called: not HTTPS or HTTP, or private."""

    def bring(self, webhook: Webhook, headers: Mapping[str, str]) -> str | None:
        """Deliver it; None, or in words why it did not arrive. Takes seconds at most."""
