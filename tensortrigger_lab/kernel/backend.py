"""Where a publication goes, and with which right: the front end's ticket, or what the kernel has itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tensortrigger_lab.config import URL_VARIABLE, from_environment

if TYPE_CHECKING:
    from tensortrigger_lab.client import Client

PATIENCE = 3.0
"""Seconds to knock: somebody looks at a dialog meanwhile."""


@dataclass(frozen=True, slots=True)
class Link:
    """A backend.

    Attributes:
        upload: may send the model.
        follow: may look at it and run it, as far as the backend lets it.
        by_ticket: whether ``upload`` may do nothing but upload.
    """

    upload: Client
    follow: Client
    by_ticket: bool


def known_backend() -> tuple[str | None, bool]:
    """The URL that this kernel was told, None where it was told none, and whether it has a key for it."""
    client = _client_if_made()
    if client is not None:
        return client.url, client.has_key
    if not os.environ.get(URL_VARIABLE):
        return None, False
    settings = from_environment()
    return settings.url, settings.api_key is not None


def known_skew() -> str | None:
    """Which of this kernel's package and its backend to update, as far as an answer has told their versions."""
    client = _client_if_made()
    return client.skew if client is not None else None


@contextmanager
def link(ticket: str | None, url: str | None) -> Iterator[Link]:
    """The way to ``url``, or to the kernel's own backend where none is given.

    The ticket is sent to ``url`` only, and the kernel's key to the backend that it belongs to only.

    Raises:
        BadInput: the URL is none of http(s).
    """
    from tensortrigger_lab.client import Client
    from tensortrigger_lab.config import Settings
    from tensortrigger_lab.session import session

    if url is None:
        own = session().client
        yield Link(own, own, by_ticket=False)
        return
    address = Settings(url).url
    known, _ = known_backend()
    own_is_it = known is not None and known.rstrip("/") == address
    # Without a key of ours an open backend still answers.
    follow = session().client if own_is_it else Client(address, patience=PATIENCE)
    upload = Client(address, ticket, patience=PATIENCE) if ticket else follow
    try:
        yield Link(upload, follow, by_ticket=bool(ticket))
    finally:
        if upload is not follow:
            upload.close()
        if not own_is_it:
            follow.close()


@contextmanager
def through(client: Client, *_: str | None) -> Iterator[Link]:
    """The way that a client of the caller's is."""
    yield Link(client, client, by_ticket=False)


def _client_if_made() -> Client | None:
    """The shared client; loading its module would load the HTTP library, which may never be needed."""
    module = sys.modules.get("tensortrigger_lab.session")
    client: Client | None = module.session().client_if_made if module is not None else None
    return client
