"""A model that takes its time and tells which row it was given, published without TensorFlow."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from tensortrigger_backend.adapters.artifact_file import GRAPH, Manifest, write_artifact
from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.model_store import SqlModelStore
from tensortrigger_backend.domain.access import LOCAL_OWNER
from tensortrigger_backend.domain.models import ModelVersion, VersionState
from tensortrigger_backend.domain.publishing import ONNX, ForgeVerdict
from tensortrigger_backend.domain.tensors import Signature, TensorSpec
from tensortrigger_backend.ports.storage import BlobStore

Array = npt.NDArray[np.float32]

INPUTS = 8
WIDTH = 1536
"""Of the layers: five million operations a row."""
LARGEST = 4.0
UNIT = 1 / 16
"""Inputs but the first are multiples of this, up to ``LARGEST``."""
SUMMED = 16


def weights(width: int) -> dict[str, Array]:
    """By name. All are whole numbers, and so small that no sum is beyond what a float32 holds exactly.

    So the answers are the same to the last bit, however an engine orders its sums, and can be worked out elsewhere.
    """
    random = np.random.default_rng(1)
    into = random.integers(-1, 2, size=(INPUTS, width))
    # The first input is a row's number, which may be large, and is handed out by itself.
    into[0] = 0
    across = random.integers(-1, 2, size=(width, width))
    out = (np.arange(width) % (width // SUMMED) == 0)[:, np.newaxis]
    first = np.eye(INPUTS, 1)
    most = (INPUTS - 1) * LARGEST * width * int(out.sum())
    assert most / UNIT < 2**24
    return {
        name: value.astype(np.float32)
        for name, value in (("into", into), ("across", across), ("out", out), ("first", first))
    }


def answers(inputs: Array, width: int = WIDTH) -> Array:
    """What the model answers as ``y``, without an engine; shape (n, inputs) to (n,)."""
    known = weights(width)
    # Most of the work is for columns that nothing is made of.
    used = known["out"][:, 0] != 0
    hidden = np.maximum(inputs @ known["into"], 0)
    answered: Array = np.maximum(hidden @ known["across"][:, used], 0).sum(axis=1)
    return answered


def write_servable(target: Path, width: int) -> Signature:
    """A network of two wide layers, some ``2 * width ** 2`` operations a row, beside its first input."""
    nodes = [
        helper.make_node("MatMul", ["x", "into"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "across"], ["c"]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("MatMul", ["d", "out"], ["y"]),
        helper.make_node("MatMul", ["x", "first"], ["x0_out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "slow",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", INPUTS])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 1]) for name in ("y", "x0_out")],
        [numpy_helper.from_array(value, name) for name, value in weights(width).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    signature = Signature(
        (TensorSpec("x", "float32", (-1, INPUTS)),),
        (TensorSpec("y", "float32", (-1, 1)), TensorSpec("x0_out", "float32", (-1, 1))),
    )
    write_artifact(target, Manifest(ONNX, signature), {GRAPH: model.SerializeToString()})
    return signature


def publish(database: Database, blobs: BlobStore, scratch: Path, width: int = WIDTH) -> str:
    """A ready version, as the forge would leave it; its id."""
    model_id = secrets.token_hex(16)
    artifact = scratch / model_id
    signature = write_servable(artifact, width)
    models = SqlModelStore(database)
    models.add(
        ModelVersion(
            model_id=model_id,
            owner=LOCAL_OWNER,
            name="slow",
            title="Slow",
            description="",
            state=VersionState.RECEIVED,
            source_key=f"models/{model_id}/source",
            source_sha256="0" * 64,
            size=1,
            created=time.time(),
        )
    )
    blobs.put(f"models/{model_id}/source", b"what was uploaded")
    blobs.put(f"models/{model_id}/servable", artifact.read_bytes())
    verdict = ForgeVerdict(True, format="keras", signature=signature, engine=ONNX, max_deviation=0.0)
    models.make_ready(model_id, verdict, f"models/{model_id}/servable", "1" * 64, time.time())
    return model_id
