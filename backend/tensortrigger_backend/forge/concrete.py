"""How does the TensorFlow engine run a canonical servable? As one compiled function with a free batch axis."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tensortrigger_backend.adapters.artifact_file import CONFIG, WEIGHTS, read_manifest, read_member
from tensortrigger_backend.domain.publishing import TENSORFLOW
from tensortrigger_backend.domain.tensors import Signature
from tensortrigger_backend.forge.canonical import rebuild
from tensortrigger_backend.forge.signatures import structured


def concrete_function(model: Any, signature: Signature) -> Any:
    """The model as one function of its inputs in order, giving its outputs in order, not training."""
    wanted = [str(keras.backend.standardize_dtype(tensor.dtype)) for tensor in model.inputs]

    def answer(*tensors: Any) -> list[Any]:
        cast = [
            tensor if name == "string" else tf.cast(tensor, name)
            for tensor, name in zip(tensors, wanted, strict=True)
        ]
        outputs = keras.tree.flatten(model(structured(model, cast), training=False))
        # An identity, so that an output that is an input or comes twice has a name of its own.
        return [
            tf.identity(tf.cast(output, spec.dtype) if spec.dtype != "string" else output)
            for output, spec in zip(outputs, signature.outputs, strict=True)
        ]

    specs = [
        tf.TensorSpec(
            [None if length < 0 else length for length in spec.shape], spec.dtype, name=f"in_{number}"
        )
        for number, spec in enumerate(signature.inputs)
    ]
    return tf.function(answer, autograph=False).get_concrete_function(*specs)


class ConcreteServable:
    """A canonical servable opened in this process, TensorFlow and all."""

    def __init__(self, model: Any, signature: Signature) -> None:
        # The function only borrows the model's variables.
        self._model = model
        self._signature = signature
        self._function = concrete_function(model, signature)

    @property
    def signature(self) -> Signature:
        return self._signature

    @property
    def engine(self) -> str:
        return TENSORFLOW

    def infer(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Answer one batch; TensorFlow's own errors pass."""
        tensors = [
            tf.constant(
                inputs[spec.name].tolist() if spec.dtype == "string" else inputs[spec.name], dtype=spec.dtype
            )
            for spec in self._signature.inputs
        ]
        outputs = self._function(*tensors)
        return {
            spec.name: np.asarray(output.numpy())
            for spec, output in zip(self._signature.outputs, outputs, strict=True)
        }

    def close(self) -> None:
        """Let go of the model. What TensorFlow took goes with the process."""
        self._model = self._function = None


def open_concrete(artifact: Path) -> ConcreteServable:
    """Open the servable at ``artifact`` from its config and weights alone.

    Raises:
        Unavailable: it is damaged or of another format version.
        ValueError: its weights do not fit its config.
    """
    manifest = read_manifest(artifact)
    model = rebuild(read_member(artifact, CONFIG), read_member(artifact, WEIGHTS))
    return ConcreteServable(model, manifest.signature)
