"""What all processes of a deployment agreed on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class DeploymentStore(Protocol):
    """Facts by name, each set once and then the same for ever."""

    def fact(self, name: str) -> str | None: ...

    def agree(self, name: str, value: str) -> str:
        """Set a fact unless it is there; what it is now."""

    def agree_after(self, name: str, value: str, do: Callable[[], None]) -> bool:
        """Do something once and then set a fact, one process after the other; False where it was set already.

        What ``do`` raises leaves the fact unset.
        """
