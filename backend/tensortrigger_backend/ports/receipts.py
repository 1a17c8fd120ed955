"""What a receipt needs of the outside: examples in files, and the version of an engine."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Protocol

from tensortrigger_backend.domain.receipts import Example


class ExampleFormat(Protocol):
    """How an example lies in a blob."""

    def encode(self, example: Example) -> bytes:
        """The bytes of the blob."""

    def read(self, source: Path | BinaryIO) -> Example:
        """The example in a file. Raises Unavailable: it is damaged or too large."""

    def sample(self, servable: Path) -> Example | None:
        """What the forge asked the original, from beside a servable that it has just made; None without it.

        Raises:
            Unavailable: it is damaged or too large.
        """


class EngineVersions(Protocol):
    """Which version of an engine answers here."""

    def __call__(self, engine: str) -> str: ...
