"""How does a SavedModel become a servable? Frozen, judged once more, converted, and held against the original.

Importing this module imports TensorFlow.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from tensortrigger_backend.adapters.artifact_file import FROZEN, GRAPH, Manifest
from tensortrigger_backend.adapters.engine_onnx import OPTIMIZATIONS, open_onnx
from tensortrigger_backend.domain.publishing import ONNX, TENSORFLOW, ForgeOrder, ForgeVerdict
from tensortrigger_backend.domain.tensors import Signature, TensorSpec
from tensortrigger_backend.forge.limits import Limits
from tensortrigger_backend.forge.onnx.conversion import convert_graph
from tensortrigger_backend.forge.proving import Candidate, NotExpressible, checks_of, prove, versions_here
from tensortrigger_backend.forge.refusal import Refused, refuse
from tensortrigger_backend.forge.sampling import Batch, attempts
from tensortrigger_backend.forge.saved_model.archive import GRAPH as GRAPH_FILE
from tensortrigger_backend.forge.saved_model.check import JudgedSavedModel
from tensortrigger_backend.forge.saved_model.frozen_graph import open_frozen
from tensortrigger_backend.forge.saved_model.pruning import IN, OUT
from tensortrigger_backend.forge.saved_model.rebuild import Frozen, RunningSavedModel
from tensortrigger_backend.forge.saved_model.signature import GraphTensor
from tensortrigger_backend.forge.schema_fit import check_signature
from tensortrigger_backend.forge.signature_names import one_batch_axis
from tensortrigger_backend.forge.verification import Answers, Reference, in_batches_of

FORMAT = "saved_model"

_REMEDY = "export the model again with model.export(folder) or tf.saved_model.save"
_FREE = "export it with a free first axis: tf.TensorSpec([None, ...])"
_log = logging.getLogger(__name__)


def publish_saved_model(
    target: Path, judged: JudgedSavedModel, order: ForgeOrder, on_stage: Callable[[str], None]
) -> ForgeVerdict:
    """Write the servable of a judged SavedModel at ``target``, or say why there is none.

    Raises:
        Refused: it cannot become a servable.
    """
    on_stage("rebuilding")
    limits = Limits()
    inputs, rows = _input_specs(judged.served.inputs)
    try:
        running = RunningSavedModel(judged, limits)
    except Refused:
        raise
    except Exception as error:
        raise _failed("loaded", error) from error
    try:
        frozen = running.freeze(limits, free_batch=rows > 0)
    except Refused:
        raise
    except Exception as error:
        raise (_fixed(rows, str(error)) if rows > 0 else _failed("frozen", error)) from error
    names = [output.name for output in judged.served.outputs]

    def ask(batch: Batch) -> Answers:
        answers = running.ask([batch[spec.name] for spec in inputs])
        return dict(zip(names, answers, strict=True))

    wanted = Signature(inputs, ())
    reference = Reference(
        ask if rows < 1 else in_batches_of(rows, ask),
        wanted,
        attempts(wanted),
        lambda error: _failed("run on any sample that was tried", error),
    )
    reference.prepare()
    signature = Signature(inputs, _output_specs(judged, frozen, reference.sample[1], rows))
    check_signature(signature, order)
    draft = Manifest(ONNX, signature, versions=versions_here(), parameters=frozen.parameters)

    def converted() -> dict[str, bytes]:
        if frozen.tables:
            raise NotExpressible("the model keeps a lookup table, which ONNX cannot express")
        graph_def = tf.compat.v1.GraphDef.FromString(frozen.graph)
        ins = [f"{IN}{number}:0" for number in range(len(signature.inputs))]
        outs = [f"{OUT}{number}:0" for number in range(len(signature.outputs))]
        return {FROZEN: frozen.graph, GRAPH: convert_graph(graph_def, ins, outs, signature)}

    candidates = [
        Candidate(ONNX, converted, open_onnx, "ONNX Runtime", OPTIMIZATIONS),
        Candidate(TENSORFLOW, lambda: {FROZEN: frozen.graph}, open_frozen, "TensorFlow"),
    ]
    try:
        manifest = prove(target, draft, candidates, reference, on_stage, _REMEDY)
    except Refused as refused:
        if rows > 0 and refused.faults[0].code == "does_not_verify":
            raise _fixed(rows, refused.faults[0].message) from refused
        raise
    finally:
        running.close()
    return ForgeVerdict(
        accepted=True,
        format=FORMAT,
        signature=signature,
        engine=manifest.engine,
        engine_reason=manifest.engine_reason,
        max_deviation=manifest.max_deviation,
        parameters=manifest.parameters,
        versions=dict(manifest.versions or {}),
        checks=_checks(judged, frozen, rows, manifest),
    )


def _checks(judged: JudgedSavedModel, frozen: Frozen, rows: int, manifest: Manifest) -> tuple[str, ...]:
    tables = f", {frozen.tables} lookup table{'s' * (frozen.tables > 1)} filled" if frozen.tables else ""
    freed = f" The first axis was fixed to {rows}, and was made free." if rows > 0 else ""
    return (
        "The archive holds the files of a SavedModel and nothing else that is read.",
        f"All {judged.ops} nodes that run for the signature '{judged.served.key}' or before it, in functions too, "
        "are on the list of ops that only compute.",
        f"{len(judged.variables)} variables were read by name and frozen{tables}; TensorFlow's loader was not used.",
        f"The frozen graph was held against the list once more.{freed}",
        *checks_of(manifest, f"the original's signature '{judged.served.key}'"),
    )


def _input_specs(tensors: tuple[GraphTensor, ...]) -> tuple[tuple[TensorSpec, ...], int]:
    """The inputs with a free batch axis, and how many rows the model takes at a time; -1 for any number."""
    specs = []
    rows: set[int] = set()
    for tensor in tensors:
        place = (GRAPH_FILE, "input", tensor.name)
        if tensor.shape is None:
            raise refuse(
                "unknown_rank",
                f"the signature does not tell how many axes input '{tensor.name}' has",
                *place,
                remedy="export it with tf.TensorSpec of a known rank, free axes as None",
            )
        if not tensor.shape:
            raise refuse(
                "no_batch_axis",
                f"input '{tensor.name}' is a single value, not a batch of rows",
                *place,
                remedy="make it a constant of the model, or give it a batch axis",
            )
        rows.add(tensor.shape[0])
        specs.append(TensorSpec(tensor.name, tensor.dtype, (-1, *tensor.shape[1:])))
    return tuple(specs), one_batch_axis(rows)


def _output_specs(
    judged: JudgedSavedModel, frozen: Frozen, answers: Answers, rows: int
) -> tuple[TensorSpec, ...]:
    specs = []
    for tensor, shape in zip(judged.served.outputs, frozen.shapes, strict=True):
        answer = answers[tensor.name]
        known = shape if shape is not None and len(shape) == answer.ndim else None
        if known is None and tensor.shape is not None and len(tensor.shape) == answer.ndim:
            known = tensor.shape
        if known is None:
            known = (-1,) * answer.ndim
        if known[0] >= 0 and rows > 0:
            raise _fixed(rows, f"output '{tensor.name}' keeps {known[0]} rows")
        specs.append(TensorSpec(tensor.name, tensor.dtype, (-1, *known[1:])))
    return tuple(specs)


def _fixed(rows: int, why: str) -> Refused:
    return refuse(
        "fixed_batch",
        f"the model takes exactly {rows} rows at a time, and cannot be freed from it",
        GRAPH_FILE,
        got=" ".join(why.split())[:300],
        remedy=_FREE,
    )


def _failed(what: str, error: Exception) -> Refused:
    if isinstance(error, Refused):
        return error
    if isinstance(error, MemoryError | tf.errors.ResourceExhaustedError):
        return refuse("too_large", f"the model needs more memory to be {what} than there is")
    if isinstance(error, tf.errors.DeadlineExceededError):
        return refuse(
            "forge_limit", "the model took longer than 30 s to answer 40 rows", remedy="bound its loops"
        )
    _log.warning("the SavedModel cannot be %s", what, exc_info=error)
    words = " ".join(str(error).split())[:300]
    return refuse(
        "cannot_load",
        f"the SavedModel cannot be {what}: {words}",
        GRAPH_FILE,
        remedy="see that tf.saved_model.load opens it and its signature answers inputs of the shapes it tells",
    )
