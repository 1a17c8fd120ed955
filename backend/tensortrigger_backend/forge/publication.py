"""Stages two to four: load the original, rebuild it from plain values, prove that the servable answers like it.

Importing this module imports TensorFlow.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tensortrigger_backend.adapters.artifact_file import CONFIG, GRAPH, WEIGHTS, Manifest, write_artifact
from tensortrigger_backend.adapters.engine_onnx import open_onnx
from tensortrigger_backend.domain.publishing import ONNX, TENSORFLOW, ForgeOrder, ForgeVerdict
from tensortrigger_backend.domain.tensors import Signature
from tensortrigger_backend.forge.canonical import canonical
from tensortrigger_backend.forge.concrete import open_concrete
from tensortrigger_backend.forge.inspection import Inspected
from tensortrigger_backend.forge.refusal import Refused, refuse
from tensortrigger_backend.forge.sampling import batches
from tensortrigger_backend.forge.schema_fit import check_signature
from tensortrigger_backend.forge.signatures import signature_of
from tensortrigger_backend.forge.to_onnx import NotExpressible, convert_model
from tensortrigger_backend.forge.verification import Answers, largest_deviation, reference
from tensortrigger_backend.ports.engines import Servable

_SEED = 1
_PACKAGES = ("keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime", "numpy", "h5py", "safetensors")
_log = logging.getLogger(__name__)


def publish(
    source: Path, target: Path, inspected: Inspected, order: ForgeOrder, on_stage: Callable[[str], None]
) -> ForgeVerdict:
    """Write the servable at ``target``, or say why there is none.

    Args:
        source: the upload, already inspected, under a name that ends as its format asks.
        on_stage: told ``rebuilding`` and ``verifying`` as each begins.

    Raises:
        Refused: the upload cannot become a servable.
    """
    on_stage("rebuilding")
    keras.utils.set_random_seed(_SEED)
    original = _load(source)
    signature = signature_of(original)
    check_signature(signature, order)
    try:
        config, weights, rebuilt = canonical(original)
    except Refused:
        raise
    except Exception as error:
        raise _failed("rebuilt from its config and weights", error) from error
    members = {CONFIG: config, WEIGHTS: weights}
    manifest = Manifest(
        ONNX,
        signature,
        versions=_versions(),
        parameters=int(rebuilt.count_params()),
        trainable=sum(math.prod(weight.shape) for weight in rebuilt.trainable_weights),
        compiled=inspected.compiled,
    )
    try:
        graph = convert_model(rebuilt, signature)
        write_artifact(target, manifest, members | {GRAPH: graph})
    except NotExpressible as reason:
        manifest = replace(manifest, engine=TENSORFLOW, engine_reason=str(reason))
    on_stage("verifying")
    expected = _Reference(original, signature)
    if manifest.engine == ONNX:
        try:
            deviation = expected.compare(open_onnx(target))
        except Refused:
            raise
        except Exception as reason:  # noqa: BLE001 - whatever ONNX Runtime makes of it, the other engine may do
            manifest = replace(manifest, engine=TENSORFLOW, engine_reason=f"on ONNX Runtime {reason}")
    if manifest.engine == TENSORFLOW:
        _log.info("second engine: %s", manifest.engine_reason)
        write_artifact(target, manifest, members)
        try:
            deviation = expected.compare(open_concrete(target))
        except Refused:
            raise
        except Exception as reason:
            target.unlink(missing_ok=True)
            raise expected.judge(str(reason)) from reason
    else:
        members |= {GRAPH: graph}
    manifest = replace(manifest, max_deviation=deviation)
    write_artifact(target, manifest, members)
    return ForgeVerdict(
        accepted=True,
        format=inspected.format,
        signature=signature,
        engine=manifest.engine,
        engine_reason=manifest.engine_reason,
        max_deviation=deviation,
        parameters=manifest.parameters,
        versions=dict(manifest.versions or {}),
    )


class _Reference:
    """The original's answers, asked for once and held against whichever servable is tried."""

    def __init__(self, original: Any, signature: Signature) -> None:
        self._original = original
        self._signature = signature
        self._batches = list(batches(original, signature))
        self._answers: list[Answers] = []

    def compare(self, servable: Servable) -> float:
        if not self._answers:
            self._answers = [self._ask(batch) for batch in self._batches]
        try:
            pairs = zip(self._batches, self._answers, strict=True)
            return max(largest_deviation(servable, batch, answers) for batch, answers in pairs)
        finally:
            servable.close()

    def judge(self, reason: str) -> Refused:
        """Why neither engine answers like the original."""
        batch, answers = self._batches[0], self._answers[0]
        alone = self._ask({name: values[:1] for name, values in batch.items()})
        name = self._signature.outputs[0].name
        first = answers[name][:1]
        if first.dtype.kind == "f" and abs(alone[name] - first).max(initial=0.0) > 1e-2:
            return refuse(
                "rows_not_independent",
                "the model's answer to a row depends on the other rows of its batch, and callers share batches",
                remedy="take out what computes over the batch axis",
            )
        return refuse(
            "does_not_verify",
            f"the rebuilt model does not answer like the original: {reason}",
            remedy="save the model again with a current Keras and publish that file",
        )

    def _ask(self, batch: Any) -> Answers:
        try:
            return reference(self._original, self._signature, batch)
        except Exception as error:
            raise _failed("run on random inputs", error) from error


def _load(source: Path) -> Any:
    try:
        return keras.models.load_model(source, compile=False, safe_mode=True)
    except Exception as error:
        raise _failed("loaded by Keras", error) from error


def _failed(what: str, error: Exception) -> Refused:
    if isinstance(error, MemoryError | tf.errors.ResourceExhaustedError):
        return refuse("too_large", f"the model needs more memory to be {what} than there is")
    _log.warning("the model cannot be %s", what, exc_info=error)
    first = str(error).strip().split("\n", 1)[0][:300]
    return refuse(
        "cannot_load",
        f"the model cannot be {what}: {first}",
        remedy="save it as .keras with a current Keras, and see that keras.models.load_model opens it",
    )


def _versions() -> dict[str, str]:
    return {package: version(package) for package in _PACKAGES if package != "tensorflow"} | {
        "tensorflow": tf.__version__
    }
