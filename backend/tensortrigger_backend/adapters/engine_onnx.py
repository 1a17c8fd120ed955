"""How does a servable answer without TensorFlow? ONNX Runtime, in process, safe from many threads at once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from tensortrigger_backend.adapters.artifact_file import GRAPH, read_manifest, read_member
from tensortrigger_backend.adapters.tensor_shapes import describe, describe_array, shape_faults
from tensortrigger_backend.domain.errors import Fault, InvalidInput, Unavailable
from tensortrigger_backend.domain.publishing import ONNX
from tensortrigger_backend.domain.tensors import Signature

EXTENDED = "extended"
OPTIMIZATIONS = (None, EXTENDED)
"""All of them, or those that leave the order of additions as it is: some models magnify its rounding."""

_QUIET = 4
"""Fatal alone: each error is raised as well, and a job by whose halves refused rows are found would log every one."""
_OUT_OF_MEMORY = re.compile(r"bad_alloc|Failed to allocate")
_NAMED = re.compile(r"(?:input|Input|name)[: ]+'?\"?([\w.\-]+)")


class OnnxServable:
    """One ONNX graph in a session of its own."""

    def __init__(
        self,
        graph: bytes,
        signature: Signature,
        *,
        intra_op_threads: int = 1,
        optimization: str | None = None,
    ) -> None:
        # ONNX Runtime reports its use to its makers, and keeps a device id below the home folder, unless this is
        # set before it is imported. Nothing that is served here is told to anybody.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        # Imported here: a process that only asks for metadata need not pay for it.
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = intra_op_threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = _QUIET
        if optimization == EXTENDED:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        # The arena never gives back what one large batch took; plain malloc does, at a microsecond a call.
        options.enable_cpu_mem_arena = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # A graph may name files for its weights, and without a folder they are looked for from the working folder on,
        # `..` and all. Nothing lies below this one: what a guest wrote reads no file of this process.
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
        try:
            self._session: Any = onnxruntime.InferenceSession(
                graph, sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise Unavailable("The servable's graph cannot be opened; publish the model again.") from error
        self._signature = signature
        self._output_names = [spec.name for spec in signature.outputs]

    @property
    def signature(self) -> Signature:
        return self._signature

    @property
    def engine(self) -> str:
        return ONNX

    def infer(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Answer one batch; every array is of its signature's dtype, batch axis first.

        Raises:
            InvalidInput: a shape or a value that the model cannot take.
            Unavailable: the model was unloaded, or the memory does not suffice.
        """
        session = self._session
        if session is None:
            raise Unavailable("This model was just unloaded; try again.")
        try:
            answers = session.run(self._output_names, inputs)
        except Exception as error:
            self._explain(inputs, error)
            raise
        return dict(zip(self._output_names, answers, strict=True))

    def close(self) -> None:
        """Free the session. Safe to repeat."""
        self._session = None

    def _explain(self, inputs: Mapping[str, npt.NDArray[Any]], error: Exception) -> None:
        """Raise what the caller can mend, or try again; return where it is neither."""
        faults = shape_faults(self._signature, inputs)
        if faults:
            raise InvalidInput.of(*faults) from error
        if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)):
            # Not a fault of what was sent: elsewhere, or in a while, the same rows may be answered.
            rows = len(next(iter(inputs.values())))
            raise Unavailable(f"There is not enough memory for {rows} rows of this model.") from error
        if type(error).__module__.startswith("onnxruntime"):
            first = self._signature.inputs[0]
            named = _NAMED.search(str(error))
            names = {spec.name for spec in self._signature.inputs}
            name = named.group(1) if named and named.group(1) in names else first.name
            raise InvalidInput.of(
                Fault(
                    loc=("inputs", name),
                    code="value",
                    message=f"The model cannot take this value of '{name}'; check its lengths and its range.",
                    expected=describe(next(spec for spec in self._signature.inputs if spec.name == name)),
                    got=describe_array(inputs[name]),
                )
            ) from error


def open_onnx(artifact: Path, *, intra_op_threads: int = 1) -> OnnxServable:
    """Open the servable at ``artifact``; the file may be removed once this returns.

    Raises:
        Unavailable: it is damaged or of another format version.
    """
    manifest = read_manifest(artifact)
    return OnnxServable(
        read_member(artifact, GRAPH),
        manifest.signature,
        intra_op_threads=intra_op_threads,
        optimization=manifest.optimization,
    )
