"""ONNX models of every kind, built node by node, and those that must be refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_F = TensorProto.FLOAT
_WEIGHT = np.random.default_rng(3).normal(size=(3, 2)).astype("float32")


def value(name: str, shape: list[Any], kind: int = _F) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def model(
    nodes: list[Any], inputs: list[Any], outputs: list[Any], tensors: list[Any] = (), **more: Any
) -> Any:  # type: ignore[assignment]
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(tensors))
    more.setdefault("opset_imports", [helper.make_opsetid("", 18)])
    return helper.make_model(graph, producer_name="somebody", ir_version=9, **more)


def node(kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Any:
    return helper.make_node(kind, inputs, outputs, **attributes)


def weight() -> Any:
    return numpy_helper.from_array(_WEIGHT, "w")


def dense(first: Any = "n") -> Any:
    nodes = [node("MatMul", ["x", "w"], ["h"]), node("Softmax", ["h"], ["y"])]
    return model(nodes, [value("x", [first, 3])], [value("y", [first, 2])], [weight()])


def several() -> Any:
    nodes = [
        node("Concat", ["a", "b"], ["ab"], axis=1),
        node("ReduceSum", ["b", "axis"], ["total"], keepdims=1),
        node("Relu", ["ab"], ["out:0"]),
    ]
    axis = numpy_helper.from_array(np.array([1]), "axis")
    ins = [value("a", ["n", 2]), value("b", ["n", "k"])]
    return model(nodes, ins, [value("out:0", ["n", "m"]), value("total", ["n", 1])], [axis])


def text() -> Any:
    codes = {"keys_strings": ["red", "blue"], "values_int64s": [4, 7]}
    nodes = [
        node("LabelEncoder", ["word"], ["id"], domain="ai.onnx.ml", default_int64=-1, **codes),
        node("Identity", ["word"], ["same"]),
    ]  # fmt: skip
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    outs = [value("id", ["n", 1], TensorProto.INT64), value("same", ["n", 1], TensorProto.STRING)]
    return model(nodes, [value("word", ["n", 1], TensorProto.STRING)], outs, opset_imports=opsets)


def function_inside() -> Any:
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    twice = helper.make_function("own", "Twice", ["i"], ["o"], [node("Add", ["i", "i"], ["o"])], opsets[:1])
    nodes = [node("Twice", ["x"], ["h"], domain="own"), node("Twice", ["h"], ["y"], domain="own")]
    return model(
        nodes, [value("x", ["n", 3])], [value("y", ["n", 3])], opset_imports=opsets, functions=[twice]
    )


def loop_inside() -> Any:
    body = helper.make_graph(
        [node("Identity", ["go_in"], ["go_out"]), node("Add", ["v_in", "one"], ["v_out"])],
        "body",
        [value("i", [], TensorProto.INT64), value("go_in", [], TensorProto.BOOL), value("v_in", None)],  # type: ignore[arg-type]
        [value("go_out", [], TensorProto.BOOL), value("v_out", None)],  # type: ignore[arg-type]
        [numpy_helper.from_array(np.float32(1), "one")],
    )
    tensors = [numpy_helper.from_array(np.int64(5), "times"), numpy_helper.from_array(np.bool_(True), "go")]
    nodes = [node("Loop", ["times", "go", "x"], ["y"], body=body)]
    return model(nodes, [value("x", ["n", 3])], [value("y", ["n", 3])], tensors)


def weights_among_the_inputs() -> Any:
    made = dense()
    made.graph.input.append(value("w", [3, 2]))
    return made


SERVED: dict[str, Callable[[], Any]] = {
    "dense": dense,
    "batch_of_one": lambda: dense(1),
    "several": several,
    "text": text,
    "function_inside": function_inside,
    "loop_inside": loop_inside,
    "weights_among_the_inputs": weights_among_the_inputs,
}


def _external() -> Any:
    made = dense()
    (held,) = made.graph.initializer
    held.ClearField("raw_data")
    held.data_location = TensorProto.EXTERNAL
    held.external_data.append(onnx.StringStringEntryProto(key="location", value="/etc/passwd"))
    return made


def _custom() -> Any:
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("evil", 1)]
    nodes = [node("Run", ["x"], ["y"], domain="evil")]
    return model(nodes, [value("x", ["n", 3])], [value("y", ["n", 3])], opset_imports=opsets)


def _custom_in_a_branch() -> Any:
    made = _custom()
    then = helper.make_graph(
        [node("Run", ["x"], ["t"], domain="evil", name="hidden")], "then", [], [value("t", ["n", 3])]
    )
    other = helper.make_graph([node("Identity", ["x"], ["e"])], "else", [], [value("e", ["n", 3])])
    choose = numpy_helper.from_array(np.bool_(False), "choose")
    del made.graph.node[:]
    made.graph.node.append(node("If", ["choose"], ["y"], then_branch=then, else_branch=other, name="branch"))
    made.graph.initializer.append(choose)
    return made


def _recursive() -> Any:
    made = function_inside()
    made.functions[0].node.append(node("Twice", ["o"], ["p"], domain="own"))
    made.functions[0].opset_import.append(helper.make_opsetid("own", 1))
    return made


def _claims() -> Any:
    made = dense()
    made.graph.initializer[0].dims[0] = 3_000_000
    return made


def _mean() -> Any:
    nodes = [node("ReduceMean", ["x", "axis"], ["m"]), node("Sub", ["x", "m"], ["y"])]
    axis = numpy_helper.from_array(np.array([0]), "axis")
    return model(nodes, [value("x", ["n", 3])], [value("y", ["n", 3])], [axis])


def _four_rows() -> Any:
    shape = numpy_helper.from_array(np.array([4, 3]), "shape")
    flat = numpy_helper.from_array(np.array([12]), "flat")
    nodes = [node("Reshape", ["x", "flat"], ["h"]), node("Reshape", ["h", "shape"], ["y"])]
    return model(nodes, [value("x", [4, 3])], [value("y", [4, 3])], [flat, shape])


def _sequence() -> Any:
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(_F, ["n", 3]))
    made = model([node("SequenceConstruct", ["x"], ["y"])], [value("x", ["n", 3])], [])
    made.graph.output.append(helper.make_value_info("y", kind))
    return made


def _scalar() -> Any:
    nodes = [node("Mul", ["x", "rate"], ["y"])]
    return model(nodes, [value("x", ["n", 3]), value("rate", [])], [value("y", ["n", 3])])


def _rankless() -> Any:
    made = dense()
    made.graph.input[0].type.tensor_type.ClearField("shape")
    return made


REFUSED: dict[str, tuple[Callable[[], Any], str, str, tuple[str, ...]]] = {
    "external_data": (_external, "external_data", "another file", ("graph", "w")),
    "custom_domain": (_custom, "custom_domain", "'evil'", ("graph", "Run")),
    "custom_domain_in_a_branch": (
        _custom_in_a_branch,
        "custom_domain",
        "'hidden'",
        ("graph", "branch", "hidden"),
    ),
    "recursive_function": (_recursive, "too_deep", "'Twice'", ("functions", "Twice")),
    "weights_that_are_not_there": (_claims, "weights_mismatch", "declares 24000000", ("graph", "w")),
    "mean_of_the_batch": (_mean, "rows_not_independent", "other rows", ()),
    "four_rows_exactly": (_four_rows, "fixed_batch", "exactly 4 rows", ()),
    "sequence": (_sequence, "sparse_tensor", "sequence", ("graph", "output", "y")),
    "scalar": (_scalar, "no_batch_axis", "'rate'", ("graph", "input", "rate")),
    "unknown_rank": (_rankless, "unknown_rank", "'x'", ("graph", "input", "x")),
}
"""How each is built, the code of its refusal, what the message names, and the path behind ``model_content``."""
