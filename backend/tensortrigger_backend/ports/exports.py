"""Making other forms of a servable, without TensorFlow in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class SavedModelWriter(Protocol):
    """Writes SavedModels for TensorFlow Serving."""

    def write(self, artifact: Path, target: Path) -> None:
        """Write the SavedModel of a servable as a zip at ``target``.

        Args:
            artifact: a servable, with a config and weights or a frozen graph in it.

        Raises:
            InvalidInput: the servable holds none, with the reason.
            NotInstalled: there is no TensorFlow on this machine.
            Unavailable: the process could not run, or failed; asking again is safe.
        """

    def close(self) -> None:
        """Give up what is in work. Safe to repeat."""
