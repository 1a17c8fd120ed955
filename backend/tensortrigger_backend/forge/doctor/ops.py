"""Which Keras op is what this TensorFlow function was? Keras 2 wrapped such calls in layers of their own.

``TFOpLambda`` and ``SlicingOpLambda`` name the function; the older ``TensorFlowOpLayer`` holds a graph node. Only
functions of the table are translated, with the arguments that it names; nothing is looked up in TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NUMPY = "keras.src.ops.numpy"
NN = "keras.src.ops.nn"
MATH = "keras.src.ops.math"
CORE = "keras.src.ops.core"
IMAGE = "keras.src.ops.image"


class NoCounterpart(Exception):
    """The message says which function or argument is not translated."""


@dataclass(frozen=True, slots=True)
class Op:
    """A Keras op: where it is, how it is made, and what it is called with."""

    module: str
    name: str
    settings: Mapping[str, Any]
    args: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Function:
    """How a TensorFlow function's arguments map.

    Attributes:
        calls: its arguments that are tensors, in the order in which the op takes them.
        settings: its arguments that the op is made with, by the op's name for them.
        fixed: what else the op is made with.
        harmless: arguments that may be given with just this value.
    """

    module: str
    name: str
    calls: tuple[str, ...] = ("x",)
    settings: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    harmless: Mapping[str, Any] = field(default_factory=dict)


_PAIRS = {
    "add": "Add",
    "subtract": "Subtract",
    "multiply": "Multiply",
    "divide": "TrueDivide",
    "truediv": "TrueDivide",
    "div": "TrueDivide",
    "pow": "Power",
    "maximum": "Maximum",
    "minimum": "Minimum",
    "floordiv": "FloorDivide",
    "floormod": "Mod",
    "mod": "Mod",
    "divide_no_nan": "DivideNoNan",
    "div_no_nan": "DivideNoNan",
    "greater": "Greater",
    "greater_equal": "GreaterEqual",
    "less": "Less",
    "less_equal": "LessEqual",
    "equal": "Equal",
    "not_equal": "NotEqual",
    "logical_and": "LogicalAnd",
    "logical_or": "LogicalOr",
    "sub": "Subtract",
    "mul": "Multiply",
}
_SINGLES = {
    "abs": "Absolute",
    "sqrt": "Sqrt",
    "square": "Square",
    "exp": "Exp",
    "expm1": "Expm1",
    "log": "Log",
    "log1p": "Log1p",
    "negative": "Negative",
    "neg": "Negative",
    "reciprocal": "Reciprocal",
    "sin": "Sin",
    "cos": "Cos",
    "tan": "Tan",
    "floor": "Floor",
    "ceil": "Ceil",
    "sign": "Sign",
    "logical_not": "LogicalNot",
    "tanh": "Tanh",
    "zeros_like": "ZerosLike",
    "ones_like": "OnesLike",
    "round": "Round",
}
_ACTIVATIONS = {
    "relu": "Relu",
    "relu6": "Relu6",
    "elu": "Elu",
    "selu": "Selu",
    "sigmoid": "Sigmoid",
    "silu": "Silu",
    "swish": "Silu",
    "softplus": "Softplus",
    "softsign": "Softsign",
}
_REDUCTIONS = {
    "reduce_mean": "Mean",
    "reduce_sum": "Sum",
    "reduce_max": "Max",
    "reduce_min": "Min",
    "reduce_prod": "Prod",
    "reduce_std": "Std",
    "reduce_variance": "Var",
    "reduce_any": "Any",
    "reduce_all": "All",
}
_AXES = {"axis": "axis", "keepdims": "keepdims", "keep_dims": "keepdims", "reduction_indices": "axis"}

_FUNCTIONS: dict[str, _Function] = {
    **{name: _Function(NUMPY, op, ("x", "y")) for name, op in _PAIRS.items()},
    **{name: _Function(NUMPY, op) for name, op in _SINGLES.items()},
    **{name: _Function(NN, op, ("features",)) for name, op in _ACTIVATIONS.items()},
    **{name: _Function(NUMPY, op, ("input_tensor",), _AXES) for name, op in _REDUCTIONS.items()},
    "reduce_logsumexp": _Function(MATH, "Logsumexp", ("input_tensor",), _AXES),
    "rsqrt": _Function(MATH, "Rsqrt"),
    "erf": _Function(MATH, "Erf"),
    "softmax": _Function(NN, "Softmax", ("logits",), {"axis": "axis"}, {"axis": -1}),
    "log_softmax": _Function(NN, "LogSoftmax", ("logits",), {"axis": "axis"}, {"axis": -1}),
    "leaky_relu": _Function(NN, "LeakyRelu", ("features",), {"alpha": "negative_slope"}),
    "gelu": _Function(NN, "Gelu", ("features",), {"approximate": "approximate"}, {"approximate": False}),
    # TensorFlow's bound is on the sum of squares, Keras' on its root.
    "l2_normalize": _Function(
        NN, "Normalize", ("x",), {"axis": "axis"}, {"order": 2, "epsilon": 1e-6}, {"epsilon": 1e-12}
    ),
    "depth_to_space": _Function(
        NN, "DepthToSpace", ("input",), {"block_size": "block_size"}, harmless={"data_format": "NHWC"}
    ),
    "space_to_depth": _Function(
        NN, "SpaceToDepth", ("input",), {"block_size": "block_size"}, harmless={"data_format": "NHWC"}
    ),
    "one_hot": _Function(
        NN, "OneHot", ("indices",), {"depth": "num_classes", "axis": "axis", "dtype": "dtype"}
    ),
    "cast": _Function(CORE, "Cast", ("x",), {"dtype": "dtype"}),
    "stop_gradient": _Function(CORE, "StopGradient", ("input",)),
    "expand_dims": _Function(NUMPY, "ExpandDims", ("input",), {"axis": "axis"}),
    "squeeze": _Function(NUMPY, "Squeeze", ("input",), {"axis": "axis", "squeeze_dims": "axis"}),
    "transpose": _Function(NUMPY, "Transpose", ("a",), {"perm": "axes"}, harmless={"conjugate": False}),
    "reshape": _Function(NUMPY, "Reshape", ("tensor",), {"shape": "newshape"}),
    "concat": _Function(NUMPY, "Concatenate", ("values",), {"axis": "axis"}),
    "stack": _Function(NUMPY, "Stack", ("values",), {"axis": "axis"}, {"axis": 0}),
    "tile": _Function(NUMPY, "Tile", ("input",), {"multiples": "repeats"}),
    "clip_by_value": _Function(NUMPY, "Clip", ("t",), {"clip_value_min": "x_min", "clip_value_max": "x_max"}),
    "where": _Function(NUMPY, "Where", ("condition", "x", "y")),
    "gather": _Function(
        NUMPY, "Take", ("params", "indices"), {"axis": "axis"}, {"axis": 0}, {"batch_dims": 0}
    ),
    "cumsum": _Function(
        NUMPY, "Cumsum", ("x",), {"axis": "axis"}, {"axis": 0}, {"exclusive": False, "reverse": False}
    ),
    "reverse": _Function(NUMPY, "Flip", ("tensor",), {"axis": "axis"}),
    "pad": _Function(NUMPY, "Pad", ("tensor",), {"paddings": "pad_width", "mode": "mode"}),
    "split": _Function(
        NUMPY, "Split", ("value",), {"num_or_size_splits": "indices_or_sections", "axis": "axis"}
    ),
    "resize": _Function(
        IMAGE,
        "Resize",
        ("images",),
        {"size": "size", "method": "interpolation", "antialias": "antialias"},
        harmless={"preserve_aspect_ratio": False},
    ),
    "identity": _Function("keras.layers", "Identity", ("input",)),
}

_GRAPH_OPS = {
    "Mul": "multiply",
    "AddV2": "add",
    "Add": "add",
    "Sub": "subtract",
    "RealDiv": "truediv",
    "Pow": "pow",
    "Maximum": "maximum",
    "Minimum": "minimum",
    "Relu": "relu",
    "Relu6": "relu6",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Exp": "exp",
    "Log": "log",
    "Sqrt": "sqrt",
    "Rsqrt": "rsqrt",
    "Square": "square",
    "Abs": "abs",
    "Neg": "negative",
    "Softmax": "softmax",
    "Elu": "elu",
    "Selu": "selu",
    "Softplus": "softplus",
    "FloorDiv": "floordiv",
    "Greater": "greater",
    "Less": "less",
    "Identity": "identity",
    "StopGradient": "stop_gradient",
    "BatchMatMulV2": "matmul",
    "MatMul": "matmul",
}


def translate(config: Mapping[str, Any], first: Any, others: Mapping[str, Any]) -> Op:
    """The Keras op for one call of an op layer.

    Args:
        config: of the layer.
        first: the call's first argument, a tensor or a list of them.
        others: its other arguments by TensorFlow's names.

    Raises:
        NoCounterpart: the function or one of its arguments is not in the table.
    """
    function = function_of(config)
    name = function.rsplit(".", 1)[-1]
    if name == "getitem":
        return Op(NUMPY, "GetItem", {}, (first, _key(others.get("slice_spec"))))
    given = {key: value for key, value in others.items() if key != "name" and value is not None}
    if name == "matmul":
        return _matmul(first, given)
    if name == "pad" and given.pop("constant_values", 0) != 0:
        raise NoCounterpart("tf.pad with a value other than 0")
    known = _FUNCTIONS.get(name)
    if known is None or function.startswith(("raw_ops.", "io.", "py_function", "numpy_function")):
        raise NoCounterpart(f"tf.{function}")
    settings, args = dict(known.fixed), [first]
    for wanted in known.calls[1:]:
        if wanted not in given:
            raise NoCounterpart(f"tf.{function} without {wanted}")
        args.append(given.pop(wanted))
    for key, value in given.items():
        if key in known.settings:
            settings[known.settings[key]] = _setting(function, key, value)
        elif key not in known.harmless or known.harmless[key] != value:
            raise NoCounterpart(f"tf.{function} with {key}={str(value)[:40]}")
    return Op(known.module, known.name, settings, tuple(args))


def from_graph_node(config: Mapping[str, Any], tensors: list[Any]) -> Op:
    """The Keras op for a ``TensorFlowOpLayer``, which holds one node of a graph and its constants by place.

    Raises:
        NoCounterpart: as for :func:`translate`.
    """
    node = config.get("node_def")
    op = node.get("op") if isinstance(node, Mapping) else None
    constants = config.get("constants")
    if not isinstance(op, str) or not isinstance(constants, Mapping):
        raise NoCounterpart("a TensorFlow graph node that cannot be read")
    inputs = iter(tensors)
    count = len(tensors) + len(constants)
    args = [
        constants[str(place)] if str(place) in constants else next(inputs, None) for place in range(count)
    ]
    if op in _GRAPH_OPS and count == len(_FUNCTIONS.get(_GRAPH_OPS[op], _FUNCTIONS["add"]).calls):
        name = _GRAPH_OPS[op]
        calls = ("a", "b") if name == "matmul" else _FUNCTIONS[name].calls
        return translate({"function": name}, args[0], dict(zip(calls[1:], args[1:], strict=True)))
    if op in ("Mean", "Sum", "Max", "Min", "Prod") and count == 2 and "1" in constants:
        keep = str(_attribute(node, "keep_dims")).lower() == "true"
        return Op(NUMPY, op, {"axis": constants["1"], "keepdims": keep}, (args[0],))
    if op == "ExpandDims" and "1" in constants:
        return Op(NUMPY, "ExpandDims", {"axis": constants["1"]}, (args[0],))
    if op == "Reshape" and "1" in constants:
        return Op(NUMPY, "Reshape", {"newshape": constants["1"]}, (args[0],))
    if op == "Transpose" and "1" in constants:
        return Op(NUMPY, "Transpose", {"axes": constants["1"]}, (args[0],))
    if op == "ConcatV2" and str(count - 1) in constants:
        return Op(NUMPY, "Concatenate", {"axis": constants[str(count - 1)]}, (args[:-1],))
    raise NoCounterpart(f"the TensorFlow graph op {op[:60]}")


def function_of(config: Mapping[str, Any]) -> str:
    """The TensorFlow function that the layer names, without its ``tf.``."""
    function = config.get("function")
    return str(function)[:80].removeprefix("tf.") if isinstance(function, str) else "__operators__.getitem"


def _attribute(node: Any, name: str) -> Any:
    attributes = node.get("attr")
    value = attributes.get(name) if isinstance(attributes, Mapping) else None
    return value.get("b") if isinstance(value, Mapping) else None


def _setting(function: str, key: str, value: Any) -> Any:
    plain = value if isinstance(value, list) else [value]
    if not all(isinstance(part, bool | int | float | str) or _pair(part) for part in plain):
        raise NoCounterpart(f"tf.{function} whose {key} is computed")
    if function.endswith("split") and key == "num_or_size_splits" and isinstance(value, list):
        # TensorFlow names the lengths, Keras the places between them.
        return [sum(value[:place]) for place in range(1, len(value))]
    return value.lower() if key in ("mode", "method") and isinstance(value, str) else value


def _pair(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(part, int) for part in value)


def _matmul(first: Any, given: Mapping[str, Any]) -> Op:
    flags = {key: value for key, value in given.items() if key != "b" and value is not False}
    left, right = (
        ("ji" if flags.pop("transpose_a", False) else "ij"),
        ("kj" if flags.pop("transpose_b", False) else "jk"),
    )
    if flags or "b" not in given:
        raise NoCounterpart(f"tf.linalg.matmul with {', '.join(flags) or 'one operand'}")
    if (left, right) == ("ij", "jk"):
        return Op(NUMPY, "Matmul", {}, (first, given["b"]))
    return Op(NUMPY, "Einsum", {"subscripts": f"...{left},...{right}->...ik"}, (first, given["b"]))


def _key(spec: Any) -> Any:
    """What stands in the brackets, as Keras 3 writes it."""
    if not isinstance(spec, list):
        return _part(spec)
    return [_part(part) for part in spec]


def _part(part: Any) -> Any:
    if isinstance(part, Mapping):
        if part.get("class_name") == "__ellipsis__":
            return {"class_name": "__ellipsis__", "config": {}}
        bounds = {name: part.get(name) for name in ("start", "stop", "step")}
        if set(part) <= set(bounds) and all(isinstance(bound, int | None) for bound in bounds.values()):
            return {"class_name": "__slice__", "config": bounds}
    elif part == "Ellipsis":
        return {"class_name": "__ellipsis__", "config": {}}
    elif isinstance(part, int | None):
        return part
    raise NoCounterpart("a slice whose bounds are computed")
