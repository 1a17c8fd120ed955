"""The client that calls without ``client=`` share: made when first needed, replaced by ``login``."""

from __future__ import annotations

from functools import cache
from threading import Lock

from tensortrigger_lab.client import Client


class Session:
    """Holds at most one client for the life of the process or notebook kernel."""

    def __init__(self) -> None:
        self._client: Client | None = None
        self._lock = Lock()

    @property
    def client(self) -> Client:
        """The shared client; from the environment unless ``login`` came before."""
        with self._lock:
            if self._client is None:
                self._client = Client()
            return self._client

    @property
    def client_if_made(self) -> Client | None:
        """The shared client, None while nothing has needed it: for completion, which must not connect."""
        return self._client

    def use(self, client: Client) -> None:
        """Make ``client`` the shared one and close the one before."""
        with self._lock:
            former, self._client = self._client, client
        if former is not None and former is not client:
            former.close()

    def configure(self, *, url: str | None = None, timeout: float | None = None) -> None:
        """Go on with another URL, then without the key, or with another timeout."""
        self.use(self.client.changed(url=url, timeout=timeout))

    def close(self) -> None:
        """Close the shared client; the next call makes a new one. Safe to repeat."""
        with self._lock:
            former, self._client = self._client, None
        if former is not None:
            former.close()


@cache
def session() -> Session:
    """The session of this process."""
    return Session()


def login(url: str | None = None, key: str | None = None) -> Client:
    """Use this backend and key from now on, in this process only; nothing is written to disk or sent.

    Args:
        url: the backend; None for ``TENSORTRIGGER_URL`` or http://127.0.0.1:8500.
        key: an API key, None where the backend asks for none.

    Example:
        >>> login("https://models.example.org", key)  # doctest: +SKIP
        Client('https://models.example.org', with a key)
    """
    client = Client(url, key)
    session().use(client)
    return client
