"""How does a servable answer that ONNX cannot express? TensorFlow, in one guest process for all of them."""

from __future__ import annotations

import itertools
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from tensortrigger_backend.adapters.artifact_file import read_manifest
from tensortrigger_backend.adapters.tensor_frames import BrokenFrame, Tensors, read_frame, write_frame
from tensortrigger_backend.adapters.tensor_shapes import shape_faults
from tensortrigger_backend.domain.errors import Fault, InvalidInput, Unavailable
from tensortrigger_backend.domain.publishing import TENSORFLOW
from tensortrigger_backend.domain.tensors import Signature
from tensortrigger_backend.ports.engines import ChildLauncher, GuestChild

_log = logging.getLogger(__name__)

HOST_MODULE = "tensortrigger_backend.forge.host"


class TensorFlowServable:
    """One model in the host process, reloaded there whenever the host is a new one."""

    def __init__(self, engine: TensorFlowEngine, key: str, signature: Signature) -> None:
        self._engine = engine
        self._key = key
        self._signature = signature

    @property
    def signature(self) -> Signature:
        return self._signature

    @property
    def engine(self) -> str:
        return TENSORFLOW

    def infer(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Answer one batch; every array is of its signature's dtype, batch axis first."""
        faults = shape_faults(self._signature, inputs)
        if faults:
            raise InvalidInput.of(*faults)
        return self._engine.infer(self._key, self._signature, inputs)

    def close(self) -> None:
        """Drop the model from the host. Safe to repeat."""
        self._engine.drop(self._key)


class TensorFlowEngine:
    """Keeps one host process with TensorFlow while it is used, and none while it is not.

    Args:
        launcher: the sandbox that starts the host.
        scratch: an existing folder for copies of the servables.
        idle_seconds: how long after its last answer the host leaves.
        start_seconds: how long it may take to start and to load one model.
        infer_seconds: how long one batch may take.
    """

    def __init__(
        self,
        launcher: ChildLauncher,
        scratch: Path,
        *,
        idle_seconds: float = 120.0,
        start_seconds: float = 120.0,
        infer_seconds: float = 60.0,
    ) -> None:
        self._launcher = launcher
        self._home = Path(tempfile.mkdtemp(prefix="tensorflow-", dir=scratch))
        self._idle_seconds = idle_seconds
        self._start_seconds = start_seconds
        self._infer_seconds = infer_seconds
        self._lock = threading.Lock()
        self._keys = (f"model-{number}" for number in itertools.count())
        self._artifacts: dict[str, Path] = {}
        self._host: GuestChild | None = None
        self._in_host: set[str] = set()
        self._last_use = time.monotonic()
        self._leaving: threading.Timer | None = None
        self._closed = False

    @property
    def host_pid(self) -> int | None:
        """The host's process id while there is one."""
        host = self._host
        return host.pid if host is not None and host.alive else None

    def load(self, artifact: Path) -> TensorFlowServable:
        """Take a copy of the servable and start the host if none runs; the model itself is loaded on its first batch.

        Raises:
            Unavailable: the file is damaged or of another format version, or the host cannot be started.
        """
        manifest = read_manifest(artifact)
        with self._lock:
            if self._closed:
                raise Unavailable("The server is shutting down; try again in a moment.")
            key = next(self._keys)
            copy = self._home / f"{key}.servable"
            shutil.copyfile(artifact, copy)
            self._artifacts[key] = copy
            self._running_host()
            self._leave_later()
        return TensorFlowServable(self, key, manifest.signature)

    def infer(
        self, key: str, signature: Signature, inputs: Mapping[str, npt.NDArray[Any]]
    ) -> dict[str, npt.NDArray[Any]]:
        """Answer one batch with the model of that key; tried once more when the host dies over it.

        Raises:
            InvalidInput: values that the model cannot take.
            Unavailable: the host died twice, or took too long.
        """
        with self._lock:
            try:
                for last in (False, True):
                    if key not in self._artifacts or self._closed:
                        raise Unavailable("This model was just unloaded; try again.")
                    host = self._running_host()
                    try:
                        return self._ask(host, key, signature, inputs)
                    except BrokenFrame as broken:
                        self._bury(host, broken)
                        if last or host.cause_of_death == "time":
                            raise Unavailable(
                                "The engine's process ended while it answered; try again with fewer rows.",
                                retry_after=5.0,
                            ) from broken
                raise AssertionError("unreachable")
            finally:
                self._leave_later()

    def drop(self, key: str) -> None:
        """Forget one model. Safe to repeat."""
        with self._lock:
            artifact = self._artifacts.pop(key, None)
            if artifact is None:
                return
            artifact.unlink(missing_ok=True)
            host = self._host
            if host is not None and key in self._in_host:
                self._in_host.discard(key)
                try:
                    host.allow(self._infer_seconds)
                    self._exchange(host, {"do": "drop", "key": key}, {})
                    host.allow(None)
                except BrokenFrame as broken:
                    self._bury(host, broken)

    def close(self) -> None:
        """End the host and remove the copies. Safe to repeat."""
        self._closed = True
        host = self._host
        if host is not None:
            # Without the lock: whoever is waiting for an answer sees the pipe end and lets go of it.
            host.kill()
        with self._lock:
            if self._leaving is not None:
                self._leaving.cancel()
            self._host = None
            self._artifacts.clear()
            shutil.rmtree(self._home, ignore_errors=True)

    def _ask(
        self, host: GuestChild, key: str, signature: Signature, inputs: Mapping[str, npt.NDArray[Any]]
    ) -> Tensors:
        if key not in self._in_host:
            host.allow(self._start_seconds)
            request = {"do": "load", "key": key, "path": str(self._artifacts[key])}
            header, _ = self._exchange(host, request, {})
            if header.get("failed"):
                raise Unavailable(f"The engine cannot load this model: {header['failed']}", retry_after=30.0)
            self._in_host.add(key)
        host.allow(self._infer_seconds)
        header, outputs = self._exchange(host, {"do": "infer", "key": key}, inputs)
        host.allow(None)
        if header.get("failed"):
            name = signature.inputs[0].name
            message = "The model cannot take these values; check their lengths and their range."
            raise InvalidInput.of(Fault(("inputs", name), "value", message))
        if set(outputs) != {spec.name for spec in signature.outputs}:
            raise BrokenFrame("an answer without the outputs of the signature")
        return outputs

    def _exchange(
        self, host: GuestChild, header: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]
    ) -> tuple[dict[str, Any], Tensors]:
        write_frame(host.stdin, header, tensors)
        return read_frame(host.stdout)

    def _running_host(self) -> GuestChild:
        host = self._host
        if host is None or not host.alive:
            if host is not None:
                self._bury(host, BrokenFrame("found dead"))
            self._in_host.clear()
            host = self._host = self._launcher.launch(HOST_MODULE, self._home)
        return host

    def _bury(self, host: GuestChild, broken: BrokenFrame) -> None:
        host.kill()
        self._host = None
        self._in_host.clear()
        if not self._closed:
            _log.warning(
                "the TensorFlow engine's process ended (%s%s): %s",
                broken,
                f", over its {host.cause_of_death} limit" if host.cause_of_death else "",
                host.last_words()[-2000:],
            )

    def _leave_later(self) -> None:
        self._last_use = time.monotonic()
        if self._leaving is None and not self._closed:
            self._leaving = self._timer(self._idle_seconds)

    def _timer(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, self._leave_if_idle)
        timer.daemon = True
        timer.start()
        return timer

    def _leave_if_idle(self) -> None:
        with self._lock:
            self._leaving = None
            if self._closed or self._host is None:
                return
            remaining = self._last_use + self._idle_seconds - time.monotonic()
            if remaining > 0:
                self._leaving = self._timer(remaining)
                return
            self._host.kill()
            self._host = None
            self._in_host.clear()
