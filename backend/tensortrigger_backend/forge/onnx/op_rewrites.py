"""Which TensorFlow ops that tf2onnx does not know are put together from ONNX's own?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
from onnx import TensorProto
from onnx.helper import tensor_dtype_to_np_dtype


@contextmanager
def calls_written_out() -> Iterator[None]:
    """Trace inner functions in place of calling them.

    Keras has grouped convolutions compiled by XLA on a CPU, and a call of a compiled function is never written out.
    """
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def bucketize(context: Any, node: Any, name: str, args: Any) -> None:  # noqa: ARG001 - the converter's own signature
    """Bucketize, which Discretization holds, counts the boundaries that are not above the value."""
    output, x = node.output[0], node.input[0]
    shape = context.get_shape(output)
    boundaries = np.array(node.get_attr("boundaries").floats, dtype=np.float32)
    context.remove_node(node.name)
    limits = context.make_const(f"{node.name}_boundaries", boundaries).output[0]
    last = context.make_const(f"{node.name}_last", np.array([-1], dtype=np.int64)).output[0]
    value = context.make_node("Cast", [x], attr={"to": TensorProto.FLOAT}).output[0]
    column = context.make_node("Unsqueeze", [value, last]).output[0]
    reached = context.make_node("GreaterOrEqual", [column, limits]).output[0]
    ones = context.make_node("Cast", [reached], attr={"to": TensorProto.INT32}).output[0]
    context.make_node(
        "ReduceSum",
        [ones, last],
        attr={"keepdims": 0},
        outputs=[output],
        name=node.name,
        shapes=[shape],
        dtypes=[TensorProto.INT32],
    )


def log1p(context: Any, node: Any, name: str, args: Any) -> None:  # noqa: ARG001 - the converter's own signature
    """Log1p is the logarithm of one more; what that loses near zero is below a float's step at one."""
    output, x = node.output[0], node.input[0]
    shape, dtype = context.get_shape(output), context.get_dtype(output)
    context.remove_node(node.name)
    one = context.make_const(f"{node.name}_one", np.array(1, dtype=tensor_dtype_to_np_dtype(dtype))).output[0]
    more = context.make_node("Add", [x, one], shapes=[shape], dtypes=[dtype]).output[0]
    context.make_node("Log", [more], outputs=[output], name=node.name, shapes=[shape], dtypes=[dtype])


HANDLERS: dict[str, tuple[Any, list[Any]]] = {"Bucketize": (bucketize, []), "Log1p": (log1p, [])}
"""As tf2onnx takes them: the op, what writes it, and that function's own arguments."""
