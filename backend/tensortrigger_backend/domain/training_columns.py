"""Which columns of a file hold the labels of a training, and which numbers may stand in them?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.fields import Field, VarType
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.domain.tensors import Signature
from tensortrigger_backend.domain.training import Choice
from tensortrigger_backend.domain.training_points import BETWEEN_0_AND_1


@dataclass(frozen=True, slots=True)
class LabelColumns:
    """The labels of one row stand side by side, or are the number of its class.

    Attributes:
        fields: a column each, with the rules that its numbers keep.
        indexed: there is one column, of class indices.
    """

    fields: tuple[Field, ...]
    indexed: bool

    @property
    def schema(self) -> VectorSchema:
        """What reads them."""
        return VectorSchema(self.fields)

    def targets(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Shape (n, columns): float32, or int32 where they are class indices."""
        return values.astype(np.int32 if self.indexed else np.float32)


def label_columns(
    names: Sequence[str], signature: Signature, declared: VectorSchema | None, choice: Choice
) -> LabelColumns:
    """The columns of these names, or of the outputs that were declared where none are named.

    Raises:
        InvalidInput: the model does not answer with one vector, or takes another number of labels.
    """
    width = signature.output_width
    if width is None:
        outputs = ", ".join(output.name for output in signature.outputs)
        message = "This model does not answer with one vector: send points with 'inputs' and 'outputs'."
        raise InvalidInput.of(Fault(("labels",), "gives_tensors", message, f"outputs: {outputs}", "labels"))
    names = tuple(names) or (declared.output_names if declared is not None else ())
    classes = choice.takes_classes(0) and width > 1
    expected = f"{width} column{'s' if width > 1 else ''}" + (
        ", or 1 with the class's number" if classes else ""
    )
    if not names:
        message = f"Name the columns that hold the labels: this model takes {expected}."
        raise InvalidInput.of(Fault(("labels",), "missing", message, expected, "none"))
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        message = f"Label {twice[0][:80]!r} is named {names.count(twice[0])} times."
        raise InvalidInput.of(Fault(("labels",), "duplicate", message, "each column once", twice[0][:80]))
    indexed = classes and len(names) == 1
    if not indexed and len(names) != width:
        message = f"{len(names)} label columns are named, this model takes {expected}."
        raise InvalidInput.of(Fault(("labels",), "count_mismatch", message, expected, str(len(names))))
    if indexed:
        return LabelColumns((Field(names[0], VarType.INT, 0, width - 1),), True)
    low, high = (0.0, 1.0) if choice.losses[0].name in BETWEEN_0_AND_1 else (None, None)
    return LabelColumns(tuple(Field(name, VarType.FLOAT, low, high) for name in names), False)
