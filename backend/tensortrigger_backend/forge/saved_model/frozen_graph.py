"""How does the TensorFlow engine run a graph that the forge froze? In a session of its own, tables and all.

The graph's inputs are its nodes ``tt_in_0``, ``tt_in_1``, ... in the signature's order, its outputs ``tt_out_0`` on;
``tt_start``, where there is one, fills the tables and runs once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tensortrigger_backend.adapters.artifact_file import FROZEN, read_manifest, read_member
from tensortrigger_backend.domain.publishing import TENSORFLOW
from tensortrigger_backend.domain.tensors import Signature
from tensortrigger_backend.forge.limits import Limits
from tensortrigger_backend.forge.saved_model.check import judge_frozen
from tensortrigger_backend.forge.saved_model.frozen_module import FrozenModule
from tensortrigger_backend.forge.saved_model.pruning import IN, OUT, START

_MILLISECONDS = 30_000


class GraphRun:
    """A graph in a session: tensors in by node, tensors out by node.

    Args:
        graph_def: a message of TensorFlow's own.
        optimized: whether TensorFlow may rewrite the graph before it runs.
        known_ops: the ops as the producer of the graph knew them, where it told.
    """

    def __init__(self, graph_def: Any, *, optimized: bool, known_ops: Any = None) -> None:
        self.graph = tf.Graph()
        with self.graph.as_default():
            tf.graph_util.import_graph_def(graph_def, name="", producer_op_list=known_ops)
        config = tf.compat.v1.ConfigProto(allow_soft_placement=True)
        config.graph_options.rewrite_options.disable_meta_optimizer = not optimized
        self.session: Any = tf.compat.v1.Session(graph=self.graph, config=config)

    def run(self, fetches: Any, feeds: Mapping[str, Any]) -> Any:
        """Values of nodes or tensors, by name; TensorFlow's DeadlineExceededError after 30 s."""
        fed = {f"{name}:0": value for name, value in feeds.items()}
        return self.session.run(fetches, fed, options=tf.compat.v1.RunOptions(timeout_in_ms=_MILLISECONDS))

    def close(self) -> None:
        """End the session; tables and variables go with it. Safe to repeat."""
        self.session.close()


class FrozenServable:
    """A frozen graph opened in this process, TensorFlow and all."""

    def __init__(self, graph: bytes, signature: Signature) -> None:
        self._signature = signature
        self._graph = graph
        self._run = GraphRun(tf.compat.v1.GraphDef.FromString(graph), optimized=True)
        if START in {operation.name for operation in self._run.graph.get_operations()}:
            self._run.run(START, {})
        inputs = [f"{IN}{number}:0" for number in range(len(signature.inputs))]
        outputs = [f"{OUT}{number}:0" for number in range(len(signature.outputs))]
        self._call: Any = self._run.session.make_callable(outputs, inputs)

    @property
    def signature(self) -> Signature:
        return self._signature

    @property
    def engine(self) -> str:
        return TENSORFLOW

    @property
    def module(self) -> FrozenModule:
        """The same graph as something that TensorFlow can save."""
        return FrozenModule(self._graph, len(self._signature.outputs))

    def infer(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Answer one batch; TensorFlow's own errors pass."""
        outputs = self._call(*(inputs[spec.name] for spec in self._signature.inputs))
        return {
            spec.name: np.asarray(output)
            for spec, output in zip(self._signature.outputs, outputs, strict=True)
        }

    def close(self) -> None:
        """Free the session. Safe to repeat."""
        self._call = None
        self._run.close()


def open_frozen(artifact: Path) -> FrozenServable:
    """Open the servable at ``artifact`` from its frozen graph, judged once more.

    Raises:
        Unavailable: it is damaged or of another format version.
        Refused: its graph holds what the forge never writes.
    """
    manifest = read_manifest(artifact)
    graph = read_member(artifact, FROZEN)
    judge_frozen(graph, len(manifest.signature.outputs), Limits())
    return FrozenServable(graph, manifest.signature)
