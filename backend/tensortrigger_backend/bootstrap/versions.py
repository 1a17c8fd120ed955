"""Model versions as a process needs them: found, judged where there is a forge, loaded and answered with."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tensortrigger_backend.adapters.engine_tensorflow import TensorFlowEngine
from tensortrigger_backend.adapters.engine_versions import installed_engine
from tensortrigger_backend.adapters.engines import Engines
from tensortrigger_backend.adapters.example_file import NpzExamples
from tensortrigger_backend.adapters.sandbox import SandboxedLauncher
from tensortrigger_backend.bootstrap.foundation import Foundation
from tensortrigger_backend.ports.engines import Forge
from tensortrigger_backend.services.model_cache import ModelCache
from tensortrigger_backend.services.receipts import Receipts
from tensortrigger_backend.services.registry import NOBODY, Registry

SLOW_CALLS = 4
"""Threads for inference that is too slow for the event loop; ONNX Runtime and the pipes let go of the GIL."""


class Versions:
    """The registry, and the cache of what it has.

    Args:
        forge: judges uploads; None leaves them to a process that has one.
        holds: whether this process judges what it receives.
    """

    def __init__(
        self, base: Foundation, launcher: SandboxedLauncher, forge: Forge | None, holds: bool
    ) -> None:
        settings, undo = base.settings, base.undo
        engine = Engines(
            TensorFlowEngine(launcher, base.scratch, idle_seconds=settings.forge_idle),
            intra_op_threads=settings.engine_threads,
        )
        undo.callback(engine.close)
        self.slow_calls = ThreadPoolExecutor(SLOW_CALLS, thread_name_prefix="inference")
        undo.callback(self.slow_calls.shutdown, wait=True, cancel_futures=True)
        receipts = Receipts(
            engine, base.models, base.blobs, base.contents, NpzExamples(), installed_engine, base.clock
        )
        self.registry = Registry(
            base.models,
            base.blobs,
            base.contents,
            forge,
            base.scratch,
            base.clock,
            lambda model_id: self.cache.forget(model_id),
            lambda owner, name: self.cache.forget_name(owner, name),
            base.name if holds else NOBODY,
            base.presence.dead,
            receipts,
        )
        self.cache = ModelCache(
            self.registry,
            base.blobs,
            engine,
            base.scratch,
            self.slow_calls,
            base.clock,
            settings.resident_models,
            receipts,
        )
        undo.callback(self.cache.close)
