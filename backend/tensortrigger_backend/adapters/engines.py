"""Which engine opens a servable? The one that its manifest names."""

from __future__ import annotations

from pathlib import Path

from tensortrigger_backend.adapters.artifact_file import read_manifest
from tensortrigger_backend.adapters.engine_onnx import open_onnx
from tensortrigger_backend.adapters.engine_tensorflow import TensorFlowEngine
from tensortrigger_backend.domain.publishing import ONNX
from tensortrigger_backend.ports.engines import Servable


class Engines:
    """ONNX Runtime in this process, TensorFlow in a guest process that starts when something needs it.

    Args:
        tensorflow: the second engine; closed with this one.
        intra_op_threads: threads that one ONNX inference may use.
    """

    def __init__(self, tensorflow: TensorFlowEngine, *, intra_op_threads: int = 1) -> None:
        self._tensorflow = tensorflow
        self._intra_op_threads = intra_op_threads

    def load(self, artifact: Path) -> Servable:
        """Open the servable file at ``artifact``; it may be removed once this returns.

        Raises:
            Unavailable: it is damaged, or of a format version that this server does not read.
        """
        if read_manifest(artifact).engine == ONNX:
            return open_onnx(artifact, intra_op_threads=self._intra_op_threads)
        return self._tensorflow.load(artifact)

    def close(self) -> None:
        """End the TensorFlow process, if there is one. Safe to repeat."""
        self._tensorflow.close()
