"""How is a large model converted in little memory? Its large constants wait outside and come back at the end.

Every pass over a graph copies what the graph holds, so a few hundred megabytes of weights become many gigabytes. An
input of the same type and shape stands in for each large constant meanwhile. ONNX Runtime folds at loading what the
passes would have folded into the constant itself.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from tensorflow.python.framework import dtypes

Constants = dict[str, npt.NDArray[Any]]
"""By the name of the tensor that stands in for each."""

LEAST_TOTAL = 16 << 20
"""Bytes of constants from which on it is worth it: the passes see through small ones and do better for it."""
LEAST_EACH = 1 << 20


def large_weights(model: Any) -> list[Any]:
    """The variables of a Keras model that are better kept out of its graph; none of a small model."""
    sizes = [
        (variable, math.prod(variable.shape) * dtypes.as_dtype(variable.dtype).size)
        for variable in model.variables
        if variable.dtype != "string"
    ]
    if sum(size for _, size in sizes) < LEAST_TOTAL:
        return []
    return [variable for variable, size in sizes if size >= LEAST_EACH]


def set_aside(graph_def: Any) -> Constants:
    """Put placeholders where large constants of a GraphDef were, in place; what they held.

    None are taken where the graph is small, and none out of the functions of its library.
    """
    large = [
        node
        for node in graph_def.node
        if node.op == "Const" and len(node.attr["value"].tensor.tensor_content) >= LEAST_EACH
    ]
    if sum(len(node.attr["value"].tensor.tensor_content) for node in large) < LEAST_TOTAL:
        return {}
    kept: Constants = {}
    for node in large:
        tensor = node.attr["value"].tensor
        dtype = dtypes.as_dtype(tensor.dtype).as_numpy_dtype
        shape = [dim.size for dim in tensor.tensor_shape.dim]
        # A view of the bytes as they are, and so no second copy of them.
        kept[f"{node.name}:0"] = np.frombuffer(tensor.tensor_content, dtype).reshape(shape)
        node.attr["shape"].shape.CopyFrom(tensor.tensor_shape)
        node.op = "Placeholder"
        del node.attr["value"]
    return kept


def put_back(proto: onnx.ModelProto, outside: Constants) -> None:
    """Make the ONNX graph's inputs of these names constants again, in place."""
    used = {value.name for value in proto.graph.input} & outside.keys()
    inputs = [value for value in proto.graph.input if value.name not in used]
    del proto.graph.input[:]
    proto.graph.input.extend(inputs)
    for name in sorted(used):
        proto.graph.initializer.append(onnx.numpy_helper.from_array(outside[name], name))
