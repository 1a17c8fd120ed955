"""Stages two to four: load the original, rebuild it from plain values, prove that the servable answers like it.

Importing this module imports TensorFlow.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tensortrigger_backend.adapters.artifact_file import CONFIG, GRAPH, WEIGHTS, Manifest
from tensortrigger_backend.adapters.engine_onnx import OPTIMIZATIONS, open_onnx
from tensortrigger_backend.domain.publishing import ONNX, TENSORFLOW, ForgeOrder, ForgeVerdict
from tensortrigger_backend.forge.doctor.weights import load_healed, load_healed_archive
from tensortrigger_backend.forge.formats import KERAS
from tensortrigger_backend.forge.inspection import Inspected
from tensortrigger_backend.forge.keras.canonical import canonical
from tensortrigger_backend.forge.keras.concrete import open_concrete
from tensortrigger_backend.forge.keras.signatures import signature_of
from tensortrigger_backend.forge.onnx.conversion import convert_model
from tensortrigger_backend.forge.proving import Candidate, checks_of, prove, versions_here
from tensortrigger_backend.forge.refusal import Refused, refuse
from tensortrigger_backend.forge.sampling import attempts, batches
from tensortrigger_backend.forge.schema_fit import check_signature
from tensortrigger_backend.forge.verification import Reference, predicted

_SEED = 1
_REMEDY = "save the model again with a current Keras and publish that file"
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
    original = _load(source, inspected)
    signature = signature_of(original)
    check_signature(signature, order)
    try:
        config, weights, rebuilt = canonical(original)
    except Refused:
        raise
    except Exception as error:
        raise _failed("rebuilt from its config and weights", error) from error
    members = {CONFIG: config, WEIGHTS: weights}
    draft = Manifest(
        ONNX,
        signature,
        versions=versions_here(),
        parameters=int(rebuilt.count_params()),
        trainable=sum(math.prod(weight.shape) for weight in rebuilt.trainable_weights),
        compiled=inspected.compiled,
    )
    reference = Reference(
        lambda batch: predicted(original, signature, batch),
        signature,
        chain([list(batches(original, signature))], attempts(signature)),
        lambda error: _failed("run on random inputs", error),
    )
    # Let go of once it is converted: the original and the servable are to fit into memory beside one another.
    once = [rebuilt]
    del rebuilt
    candidates = [
        Candidate(
            ONNX,
            lambda: members | {GRAPH: convert_model(once.pop(), signature)},
            open_onnx,
            "ONNX Runtime",
            OPTIMIZATIONS,
        ),
        Candidate(TENSORFLOW, lambda: members, open_concrete, "TensorFlow"),
    ]
    manifest = prove(target, draft, candidates, reference, on_stage, _REMEDY)
    return ForgeVerdict(
        accepted=True,
        format=inspected.format,
        signature=signature,
        engine=manifest.engine,
        engine_reason=manifest.engine_reason,
        max_deviation=manifest.max_deviation,
        parameters=manifest.parameters,
        versions=dict(manifest.versions or {}),
        repairs=inspected.healed.repairs if inspected.healed else (),
        checks=(
            "Every class and function that the file names is on the list of what Keras itself has.",
            "Every dataset of the file holds as much as it declares, in the file itself.",
            "The model was rebuilt from its config and plain weights alone, as it is kept.",
            *checks_of(manifest, "model.predict of the original"),
        ),
    )


def _load(source: Path, inspected: Inspected) -> Any:
    try:
        if inspected.healed is not None and inspected.format == KERAS:
            return load_healed_archive(source, inspected.config)
        if inspected.healed is not None:
            return load_healed(source, inspected.config, old=inspected.healed.old)
        return keras.models.load_model(source, compile=False, safe_mode=True)
    except Refused:
        raise
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
