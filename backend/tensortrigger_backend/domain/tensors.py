"""What goes into a model and what comes out: names, dtypes and shapes of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor.

    Attributes:
        name: as the caller writes it.
        dtype: numpy's name of it (``float32``, ``int64``, ``bool``); ``string`` for text.
        shape: with the batch axis first; -1 where the length is free.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> TensorSpec:
        return cls(str(members["name"]), str(members["dtype"]), tuple(int(n) for n in members["shape"]))

    @property
    def width(self) -> int | None:
        """n where the tensor is a batch of vectors, shape (-1, n) with n known; else None."""
        if len(self.shape) == 2 and self.shape[1] > 0:
            return self.shape[1]
        return None


@dataclass(frozen=True, slots=True)
class Signature:
    """The inputs and outputs of a servable, in the model's own order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "inputs": [spec.to_dict() for spec in self.inputs],
            "outputs": [spec.to_dict() for spec in self.outputs],
        }

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> Signature:
        return cls(
            tuple(TensorSpec.from_dict(spec) for spec in members["inputs"]),
            tuple(TensorSpec.from_dict(spec) for spec in members["outputs"]),
        )

    @property
    def vector_width(self) -> int | None:
        """n where the model takes exactly one vector of n numbers, so that a named-vector schema fits."""
        if len(self.inputs) == 1 and self.inputs[0].dtype != "string":
            return self.inputs[0].width
        return None

    @property
    def output_width(self) -> int | None:
        """n where the model answers with exactly one vector of n numbers."""
        return self.outputs[0].width if len(self.outputs) == 1 else None
