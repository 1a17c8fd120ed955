"""How does an uploaded ONNX model become a servable? Judged, written anew, and held against itself not optimized."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tensortrigger_backend.adapters.artifact_file import GRAPH, Manifest
from tensortrigger_backend.adapters.engine_onnx import OPTIMIZATIONS, open_onnx
from tensortrigger_backend.domain.publishing import ONNX, ForgeOrder, ForgeVerdict
from tensortrigger_backend.domain.tensors import Signature
from tensortrigger_backend.forge.onnx.check import JudgedOnnx
from tensortrigger_backend.forge.onnx.original import OnnxOriginal
from tensortrigger_backend.forge.onnx.rewrite import canonical_onnx, onnx_signature
from tensortrigger_backend.forge.proving import Candidate, checks_of, prove, versions_here
from tensortrigger_backend.forge.refusal import Refused, refuse
from tensortrigger_backend.forge.sampling import attempts
from tensortrigger_backend.forge.schema_fit import check_signature
from tensortrigger_backend.forge.verification import Answers, Reference, in_batches_of

FORMAT = "onnx"

_REMEDY = "export the model again with a free first axis, and with ONNX' own ops"
_log = logging.getLogger(__name__)


def publish_onnx(
    target: Path, judged: JudgedOnnx, order: ForgeOrder, on_stage: Callable[[str], None]
) -> ForgeVerdict:
    """Write the servable of a judged ONNX model at ``target``, or say why there is none.

    Raises:
        Refused: it cannot become a servable.
    """
    on_stage("rebuilding")
    signature, own, rows = onnx_signature(judged.proto)
    check_signature(signature, order)
    try:
        original = OnnxOriginal(judged.proto, signature, own)
    except Exception as error:
        raise _failed("opened by ONNX Runtime", error) from error
    ask = original.ask if rows < 1 else in_batches_of(rows, original.ask)
    reference = Reference(ask, signature, attempts(signature), lambda error: _failed("run", error))
    # Asked before it is rewritten: only its answers tell how many axes an output has where the graph does not.
    reference.prepare()
    signature = _settled(signature, reference.sample[1])
    draft = Manifest(ONNX, signature, versions=versions_here(), parameters=_parameters(judged.proto))
    candidate = Candidate(
        ONNX,
        lambda: {GRAPH: canonical_onnx(judged.proto, signature, own)},
        open_onnx,
        "ONNX Runtime",
        OPTIMIZATIONS,
    )
    try:
        manifest = prove(target, draft, [candidate], reference, on_stage, _REMEDY)
    except Refused as refused:
        if rows > 0 and refused.faults[0].code == "does_not_verify":
            raise _fixed(rows, refused) from refused
        raise
    freed = f" Its first axis was fixed to {rows}, and was made free." if rows > 0 else ""
    return ForgeVerdict(
        accepted=True,
        format=FORMAT,
        signature=manifest.signature,
        engine=manifest.engine,
        max_deviation=manifest.max_deviation,
        parameters=manifest.parameters,
        versions=dict(manifest.versions or {}),
        checks=(
            f"The file is one ONNX model of {judged.nodes} nodes, every op in it ONNX' own; no external data.",
            "Every tensor holds as many bytes as it declares.",
            f"The graph was written anew, without functions and without marks of its producer.{freed}",
            *checks_of(manifest, "the uploaded model, run by ONNX Runtime without any optimization,"),
        ),
    )


def _settled(signature: Signature, answers: Answers) -> Signature:
    """The signature with what only an answer tells: how many axes an output has."""
    return Signature(
        signature.inputs,
        tuple(
            replace(spec, shape=(-1,) * answers[spec.name].ndim)
            if len(spec.shape) != answers[spec.name].ndim
            else spec
            for spec in signature.outputs
        ),
    )


def _fixed(rows: int, refused: Refused) -> Refused:
    return refuse(
        "fixed_batch",
        f"the model takes exactly {rows} rows at a time, and does not answer alike with any other number",
        got=refused.faults[0].message,
        remedy="export it with a free first axis (dynamic_axes={'input': {0: 'rows'}})",
    )


def _parameters(proto: Any) -> int:
    return sum(int(np.prod(tensor.dims)) for tensor in proto.graph.initializer)


def _failed(what: str, error: Exception) -> Refused:
    if isinstance(error, Refused):
        return error
    _log.warning("the ONNX model cannot be %s", what, exc_info=error)
    words = " ".join(str(error).split())[:300]
    return refuse(
        "cannot_load",
        f"the model cannot be {what}: {words}",
        "graph",
        remedy="see that onnxruntime.InferenceSession opens and runs it with inputs of the graph's shapes",
    )
