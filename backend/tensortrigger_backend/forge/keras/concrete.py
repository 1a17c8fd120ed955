"""How does the TensorFlow engine run a canonical servable? As one compiled function with a free batch axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tensortrigger_backend.adapters.artifact_file import (
    CONFIG,
    WEIGHTS,
    member_names,
    read_manifest,
    read_member,
)
from tensortrigger_backend.domain.publishing import TENSORFLOW
from tensortrigger_backend.domain.tensors import Signature
from tensortrigger_backend.forge.keras.canonical import rebuild
from tensortrigger_backend.forge.keras.signatures import structured
from tensortrigger_backend.forge.keras.without_dropout import without_dropout
from tensortrigger_backend.forge.saved_model.frozen_graph import FrozenServable, open_frozen


def concrete_function(model: Any, signature: Signature, outside: Sequence[Any] = ()) -> Any:
    """The model as one function of its inputs in order, giving its outputs in order, not training.

    Args:
        outside: variables of the model that are further arguments of the function, behind the inputs.
    """
    wanted = [str(keras.backend.standardize_dtype(tensor.dtype)) for tensor in model.inputs]

    def answer(*tensors: Any) -> list[Any]:
        cast = [
            tensor if name == "string" else tf.cast(tensor, name)
            for tensor, name in zip(tensors, wanted, strict=False)
        ]
        given = list(zip(outside, tensors[len(wanted) :], strict=True))
        with keras.StatelessScope(state_mapping=given) if given else nullcontext():
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
    specs += [
        tf.TensorSpec(variable.shape, variable.dtype, name=f"outside_{number}")
        for number, variable in enumerate(outside)
    ]
    with without_dropout(model):
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

    @property
    def model(self) -> Any:
        """What holds the variables and tables of the function."""
        return self._model

    @property
    def function(self) -> Any:
        """The compiled function: the inputs in order, giving a list of the outputs in order."""
        return self._function

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


def open_concrete(artifact: Path) -> ConcreteServable | FrozenServable:
    """Open the servable at ``artifact`` from its config and weights alone, or from its frozen graph.

    Raises:
        Unavailable: it is damaged or of another format version.
        ValueError: its weights do not fit its config.
        Refused: its frozen graph holds what the forge never writes.
    """
    if CONFIG not in member_names(artifact):
        return open_frozen(artifact)
    manifest = read_manifest(artifact)
    model = rebuild(read_member(artifact, CONFIG), read_member(artifact, WEIGHTS))
    return ConcreteServable(model, manifest.signature)
