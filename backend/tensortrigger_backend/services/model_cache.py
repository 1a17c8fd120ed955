"""Ready versions held in memory, loaded once and found by any of their names."""

from __future__ import annotations

import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.encoding import VectorEncoder
from tensortrigger_backend.domain.errors import NotFound
from tensortrigger_backend.domain.models import ModelVersion
from tensortrigger_backend.domain.publishing import ONNX
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.ports.engines import Engine, Servable
from tensortrigger_backend.ports.storage import BlobStore
from tensortrigger_backend.services.batcher import Batcher
from tensortrigger_backend.services.receipts import Receipts
from tensortrigger_backend.services.registry import Registry

FRESH_FOR: Final = 1.0
"""Seconds for which a name is believed to mean the same version, and an id still to exist."""


@dataclass(eq=False)
class Resident:
    """A version in memory.

    Attributes:
        schema: the named-vector schema; None for a model that takes tensors.
        names: the schema's input names in order.
        encoder: reads rows by the schema; None for a model that takes tensors.
        whole: places of the vector that must be whole numbers.
        batcher: answers vectors on the event loop; None for a model that takes tensors.
    """

    version: ModelVersion
    servable: Servable
    schema: VectorSchema | None
    names: tuple[str, ...] = ()
    whole: npt.NDArray[np.intp] | None = None
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.float32))
    batcher: Batcher | None = None
    encoder: VectorEncoder | None = None


class ModelCache:
    """Loads servables on first use and keeps the most recently used ones.

    Args:
        scratch: a folder for the moment in which a servable is opened.
        executor: where slow models answer.
        capacity: how many versions stay in memory.
        receipts: holds what is loaded against its receipt.
    """

    def __init__(
        self,
        registry: Registry,
        blobs: BlobStore,
        engine: Engine,
        scratch: Path,
        executor: Executor,
        clock: Callable[[], float],
        capacity: int,
        receipts: Receipts | None = None,
    ) -> None:
        self._registry = registry
        self._blobs = blobs
        self._engine = engine
        self._scratch = scratch
        self._executor = executor
        self._clock = clock
        self._capacity = capacity
        self._receipts = receipts
        self._residents: OrderedDict[str, Resident] = OrderedDict()
        self._names: dict[tuple[str, str | None, str | None], tuple[Resident, float]] = {}
        self._opening: dict[str, Future[Resident]] = {}
        self._changes = 0
        self._lock = threading.RLock()

    def recall(self, owner: str, model_id: str | None, reference: str | None) -> Resident | None:
        """The resident that this caller's name meant a moment ago; never loads or asks the store."""
        known = self._names.get((owner, model_id, reference))
        # A clock that was set back must not make it last longer.
        fresh = known is not None and known[1] - FRESH_FOR <= self._clock() < known[1]
        return known[0] if known is not None and fresh else None

    def resident(self, owner: str, model_id: str | None, reference: str | None) -> Resident:
        """The version that ``model_id`` or ``model`` names, loaded.

        Raises:
            NotFound, Unavailable, ModelRefused: as ``Registry.resolve``.
        """
        key = (owner, model_id, reference)
        recalled = self.recall(*key)
        if recalled is not None:
            return recalled
        changes = self._changes
        resident = self.load(self._registry.resolve(owner, model_id, reference))
        with self._lock:
            if changes != self._changes:
                # An alias was moved meanwhile, perhaps this one: the next caller asks anew.
                return resident
            if len(self._names) > 16 * self._capacity:
                self._names.clear()
            self._names[key] = (resident, self._clock() + FRESH_FOR)
        return resident

    def load(self, version: ModelVersion) -> Resident:
        """The version in memory; one thread opens it, others that want the same one wait for that thread only."""
        with self._lock:
            resident = self._residents.get(version.model_id)
            if resident is not None:
                self._residents.move_to_end(version.model_id)
                return resident
            opening = self._opening.get(version.model_id)
            mine = opening is None
            if opening is None:
                opening = self._opening[version.model_id] = Future()
        if not mine:
            return opening.result()
        try:
            resident = self._open(version)
        except BaseException as error:
            with self._lock:
                del self._opening[version.model_id]
            opening.set_exception(error)
            raise
        with self._lock:
            del self._opening[version.model_id]
            self._residents[version.model_id] = resident
            while len(self._residents) > self._capacity:
                self.forget(next(iter(self._residents)))
        opening.set_result(resident)
        return resident

    def forget(self, model_id: str) -> None:
        """Drop a version. Safe to repeat. Its servable is freed when the last answer that uses it is out."""
        with self._lock:
            self._changes += 1
            self._residents.pop(model_id, None)
            stale = [
                key for key, (resident, _) in self._names.items() if resident.version.model_id == model_id
            ]
            for key in stale:
                del self._names[key]

    def forget_name(self, owner: str, name: str) -> None:
        """Believe nothing any more of what a name means, with or without an alias. Safe to repeat."""
        with self._lock:
            self._changes += 1
            for key in [key for key in self._names if key[0] == owner and _is_about(key[2], name)]:
                del self._names[key]

    def close(self) -> None:
        """Free every servable. Safe to repeat."""
        with self._lock:
            self._names.clear()
            while self._residents:
                self._residents.popitem()[1].servable.close()

    def _open(self, version: ModelVersion) -> Resident:
        if version.servable_key is None:
            raise NotFound(f"Model {version.model_id!r} has no servable.")
        with tempfile.TemporaryDirectory(prefix="load-", dir=self._scratch) as folder:
            artifact = Path(folder, "servable")
            self._blobs.fetch(version.servable_key, artifact)
            servable = self._engine.load(artifact)
        if self._receipts is not None:
            try:
                self._receipts.recheck(version, servable)
            except BaseException:
                servable.close()
                raise
        resident = _resident(version, servable, self._executor)
        # Freed when the last answer that uses it is out, and not a moment before; in a thread, because closing
        # may have to wait for another answer, and the last user may be the event loop.
        weakref.finalize(resident, _close_later, self._executor, servable).atexit = False
        return resident


def _is_about(reference: str | None, name: str) -> bool:
    return reference is not None and reference.partition("@")[0].partition("/")[0] == name


def _close_later(executor: Executor, servable: Servable) -> None:
    try:
        executor.submit(servable.close)
    except RuntimeError:  # the executor is shut down, and nobody is kept waiting
        servable.close()


def _resident(version: ModelVersion, servable: Servable, executor: Executor) -> Resident:
    schema = version.resolved_schema
    if schema is None:
        return Resident(version, servable, None)
    whole = [place for place, entry in enumerate(schema.inputs) if entry.var_type == "INT"]
    tensor = servable.signature.inputs[0]

    def infer(vectors: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        return servable.infer({tensor.name: vectors})

    return Resident(
        version,
        servable,
        schema,
        schema.input_names,
        np.array(whole, np.intp) if whole else None,
        np.dtype(tensor.dtype),
        # The second engine lives in another process: its calls must never hold the loop.
        Batcher(infer, executor, inline=servable.engine == ONNX),
        VectorEncoder(schema.inputs, np.dtype(tensor.dtype)),
    )
