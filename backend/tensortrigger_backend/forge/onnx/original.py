"""How does an uploaded ONNX model answer by itself? On ONNX Runtime with every optimization off."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np

from tensortrigger_backend.domain.tensors import Signature
from tensortrigger_backend.forge.refusal import refuse
from tensortrigger_backend.forge.sampling import Batch
from tensortrigger_backend.forge.verification import Answers

SECONDS = 30.0
"""How long one sample may take; what takes longer would hold up every other caller, too."""


class OnnxOriginal:
    """The judged model as it was uploaded, asked by the names of the signature."""

    def __init__(self, proto: Any, signature: Signature, own: dict[str, str]) -> None:
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_cpu_mem_arena = False
        self._options: Any = onnxruntime.RunOptions
        self._signature = signature
        self._own = own
        self._session = onnxruntime.InferenceSession(
            proto.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
        )

    def ask(self, batch: Batch) -> Answers:
        """The outputs for one batch.

        Raises:
            Refused: it took too long.
        """
        options = self._options()
        late = threading.Event()

        def stop() -> None:
            late.set()
            options.terminate = True

        timer = threading.Timer(SECONDS, stop)
        timer.daemon = True
        timer.start()
        try:
            answers = self._session.run(
                [self._own[spec.name] for spec in self._signature.outputs],
                {self._own[name]: values for name, values in batch.items()},
                options,
            )
        except Exception as error:
            if late.is_set():
                raise refuse(
                    "forge_limit",
                    f"the model took longer than {SECONDS:g} s to answer 40 rows",
                    remedy="bound its loops, or publish a smaller model",
                ) from error
            raise
        finally:
            timer.cancel()
        return {
            spec.name: np.asarray(answer)
            for spec, answer in zip(self._signature.outputs, answers, strict=True)
        }
