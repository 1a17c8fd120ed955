"""Folders outside of TensorTrigger from which jobs may read, each under a name that the operator gave it."""

from __future__ import annotations

from typing import BinaryIO, Protocol


class Sources(Protocol):
    """Clients name a source and a key below it, and never an address."""

    def names(self) -> list[str]:
        """All that are configured, sorted."""

    def open(self, name: str, key: str) -> BinaryIO:
        """A file, to be read from its beginning; the caller closes it.

        Args:
            key: ``/``-separated, as ``domain.source_keys.checked_key`` lets it through.

        Raises:
            NotFound: no such source or file.
            Unavailable: the source cannot be reached now.
        """
