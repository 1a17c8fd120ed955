"""Opening, running and making servables: what stands between the services and TensorFlow or ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy.typing as npt

from tensortrigger_backend.domain.publishing import ForgeOrder, ForgeVerdict
from tensortrigger_backend.domain.tensors import Signature


class Servable(Protocol):
    """A loaded model version, ready to answer. Safe to call from several threads at once."""

    @property
    def signature(self) -> Signature: ...

    @property
    def engine(self) -> str: ...

    def infer(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Answer one batch.

        Args:
            inputs: every input of the signature by name, already of its dtype, batch axis first.

        Returns:
            every output of the signature by name, batch axis first.

        Raises:
            InvalidInput: a shape that the model cannot take.
            Unavailable: the engine's process died twice in a row on this batch, or its memory does not suffice.
        """

    def close(self) -> None:
        """Free what it holds. Safe to repeat."""


class Engine(Protocol):
    """Opens canonical servables, never what was uploaded."""

    def load(self, artifact: Path) -> Servable:
        """Open the servable file at ``artifact``; it may be removed once this returns."""

    def close(self) -> None:
        """End every process and free every servable. Safe to repeat."""


class Forge(Protocol):
    """Checks an untrusted upload, rebuilds it as a servable, and verifies that the two answer alike.

    Nothing else ever opens what was uploaded, and the caller's own process never does.
    """

    def forge(
        self, source: Path, target: Path, order: ForgeOrder, on_stage: Callable[[str], None]
    ) -> ForgeVerdict:
        """Judge ``source``; when accepted, the servable lies at ``target`` on return.

        Beside it, at ``target.with_name(target.name + ".example")``, lies a sample of inputs with the original's
        own outputs: an npz of plain arrays ``in/<tensor>`` and ``out/<tensor>``, at most 7 rows and 4 MB but at
        least one row; there is none where one row is larger than 16 MB.

        Args:
            on_stage: told ``checking``, ``rebuilding``, ``verifying`` as each begins.

        Raises:
            NotInstalled: there is no TensorFlow on this machine.
            Unavailable: the forge could not run at all (not installed, no memory, killed, too slow); the
                upload was not judged, and asking again is safe.
        """

    def close(self) -> None:
        """End the forge's processes. Safe to repeat."""


class GuestChild(Protocol):
    """A running guest process: it has TensorFlow, opens what others made, and is trusted with nothing."""

    @property
    def pid(self) -> int: ...

    @property
    def stdin(self) -> BinaryIO:
        """What the guest reads; closing it tells the guest to leave."""

    @property
    def stdout(self) -> BinaryIO:
        """What the guest answers. Its words are untrusted: read with a bound, parse with suspicion."""

    def allow(self, seconds: float | None) -> None:
        """From now on the guest has this long before it is killed; None takes the limit away."""

    @property
    def alive(self) -> bool: ...

    @property
    def cause_of_death(self) -> str:
        """``time`` or ``memory`` where a limit ended it; else empty."""

    def last_words(self) -> str:
        """The tail of what it wrote to stderr, for the log and never for the caller."""

    def kill(self) -> None:
        """End the guest and all it started, at once; returns when it is gone. Safe to repeat."""


class ChildLauncher(Protocol):
    """The sandbox: how a guest process is started, and what it is kept from."""

    def launch(self, module: str, scratch: Path) -> GuestChild:
        """Start ``main()`` of an importable module by exec of an interpreter, never by fork alone.

        The guest has an emptied environment, ``scratch`` as its home and working folder, low priority and a
        memory limit, and it dies with this process.

        Args:
            module: its dotted name.
            scratch: an existing folder, the only one that the guest may write to.

        Raises:
            Unavailable: it could not be started.
        """

    def close(self) -> None:
        """Kill every guest still running. Safe to repeat."""
