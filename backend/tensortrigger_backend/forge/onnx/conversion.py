"""How does a rebuilt model become an ONNX graph? Frozen, converted, and looked over for what ONNX cannot express."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tf2onnx import optimizer, tf_loader, tfonnx

from tensortrigger_backend.domain.tensors import Signature
from tensortrigger_backend.forge.keras.concrete import concrete_function
from tensortrigger_backend.forge.onnx.large_constants import Constants, large_weights, put_back, set_aside
from tensortrigger_backend.forge.onnx.op_rewrites import HANDLERS, calls_written_out
from tensortrigger_backend.forge.proving import NotExpressible

OPSET = 18


def convert_model(model: Any, signature: Signature) -> bytes:
    """The model as a serialized ONNX graph whose tensors bear the signature's names.

    Raises:
        NotExpressible: an op that has no ONNX counterpart, or a graph that does not hold together.
    """
    large = large_weights(model)
    if large:
        try:
            return _convert_model(model, signature, large)
        except NotExpressible:
            # A few conversions must see the weights themselves; then memory has to do.
            pass
    return _convert_model(model, signature, [])


def _convert_model(model: Any, signature: Signature, large: list[Any]) -> bytes:
    with calls_written_out():
        function = concrete_function(model, signature, large)
    try:
        frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
    except Exception as error:
        # A layer that draws random numbers though it is not training, such as RandomSaturation.
        what = " ".join(str(error).split())[:120]
        raise NotExpressible(f"the model changes a state of its own as it answers: {what}") from error
    inputs = [tensor.name for tensor in frozen.inputs if tensor.dtype != tf.resource]
    count = len(signature.inputs)
    if len(inputs) != count + len(large):
        raise NotExpressible("the model keeps a lookup table, which ONNX cannot express")
    outside = dict(zip(inputs[count:], map(np.asarray, large), strict=True))
    outputs = [tensor.name for tensor in frozen.outputs]
    return convert_graph(frozen.graph.as_graph_def(), inputs[:count], outputs, signature, outside)


def convert_graph(
    graph_def: Any,
    inputs: list[str],
    outputs: list[str],
    signature: Signature,
    outside: Constants | None = None,
) -> bytes:
    """A frozen graph as a serialized ONNX graph whose tensors bear the signature's names.

    Args:
        graph_def: without variables and tables.
        inputs: names of its tensors in the signature's order, as are ``outputs``.
        outside: by the names of further inputs, the constants that these stand for.

    Raises:
        NotExpressible: an op that has no ONNX counterpart, or a graph that does not hold together.
    """
    outside = {**(outside or {}), **set_aside(graph_def)}
    names = [spec.name for spec in (*signature.inputs, *signature.outputs)]
    renamed = dict(zip((*inputs, *outputs), names, strict=True))
    try:
        proto = _convert(graph_def, [*inputs, *outside], outputs, renamed)
    except Exception as error:
        what = " ".join(str(error).split())[:200]
        raise NotExpressible(f"the conversion to ONNX failed: {type(error).__name__}: {what}") from error
    _refuse_unknown_ops(proto)
    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as error:
        raise NotExpressible(f"the ONNX graph is not valid: {str(error)[:200]}") from error
    put_back(proto, outside)
    _set_interface(proto, signature)
    _shorten_names(proto.graph, set(names))
    packed: bytes = proto.SerializeToString(deterministic=True)
    return packed


def _convert(graph_def: Any, inputs: list[str], outputs: list[str], renamed: dict[str, str]) -> Any:
    """What ``tf2onnx.convert.from_graph_def`` does, but with the passes that we choose."""
    with tf.Graph().as_default():
        tf.import_graph_def(graph_def, name="")
        graph_def = tf_loader.tf_optimize(inputs, outputs, graph_def)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        converted = tfonnx.process_tf_graph(
            graph,
            continue_on_error=True,
            opset=OPSET,
            input_names=inputs,
            output_names=outputs,
            tensors_to_rename=renamed,
            custom_op_handlers={"Erfc": (_erfc, []), "Expm1": (_expm1, []), **HANDLERS},
        )
        # The einsum pass tries every order of the letters, seconds of work for each attention layer, to take
        # apart an op that ONNX Runtime has itself.
        passes = {
            name: make for name, make in optimizer._get_optimizers().items() if name != "einsum_optimizer"
        }
        return optimizer.optimize_graph(converted, True, optimizers=passes).make_model("servable")


def _erfc(context: Any, node: Any, name: str, args: Any) -> None:  # noqa: ARG001 - the converter's own signature
    """Erfc, which exact GELU holds and ONNX lacks, is 1 - Erf."""
    write = _Rewriter(context, node)
    write.result("Sub", write.constant(1.0), write.op("Erf", node.input[0]))


def _expm1(context: Any, node: Any, name: str, args: Any) -> None:  # noqa: ARG001 - the converter's own signature
    """Expm1, which CELU holds, is tanh(x/2) (exp(x) + 1): unlike exp(x) - 1 it keeps its digits near zero."""
    write = _Rewriter(context, node)
    x = node.input[0]
    half = write.op("Tanh", write.op("Mul", x, write.constant(0.5)))
    plus_one = write.op("Add", write.op("Exp", x), write.constant(1.0))
    # Far below zero both are exact; far above, exp overflows as the original does.
    write.result("Mul", half, plus_one)


class _Rewriter:
    """Puts elementwise ONNX ops in the place of one node that the converter does not know."""

    def __init__(self, context: Any, node: Any) -> None:
        self._context = context
        self._name = node.name
        self._output = node.output[0]
        self._shape = context.get_shape(self._output)
        self._dtype = context.get_dtype(self._output)
        context.remove_node(node.name)

    def constant(self, value: float) -> str:
        kind = onnx.helper.tensor_dtype_to_np_dtype(self._dtype)
        name = f"{self._name}_{value}"
        return str(self._context.make_const(name, np.array(value, dtype=kind)).output[0])

    def op(self, kind: str, *inputs: str) -> str:
        node = self._context.make_node(kind, list(inputs), shapes=[self._shape], dtypes=[self._dtype])
        return str(node.output[0])

    def result(self, kind: str, *inputs: str) -> None:
        self._context.make_node(
            kind,
            list(inputs),
            outputs=[self._output],
            name=self._name,
            shapes=[self._shape],
            dtypes=[self._dtype],
        )


def _graphs(graph: Any) -> Iterator[Any]:
    yield graph
    for node in graph.node:
        for inner in _subgraphs(node):
            yield from _graphs(inner)


def _subgraphs(node: Any) -> list[Any]:
    return [
        inner
        for attribute in node.attribute
        for inner in ([attribute.g] if attribute.HasField("g") else list(attribute.graphs))
    ]


def _refuse_unknown_ops(proto: Any) -> None:
    opsets = {entry.domain: entry.version for entry in proto.opset_import}
    unknown = sorted(
        {
            node.op_type
            for graph in _graphs(proto.graph)
            for node in graph.node
            if not onnx.defs.has(node.op_type, opsets.get(node.domain, 1), node.domain)
        }
    )
    if unknown:
        ops = ", ".join(unknown)
        raise NotExpressible(f"ONNX has no counterpart of the TensorFlow op{'s' * (len(unknown) > 1)} {ops}")


def _set_interface(proto: Any, signature: Signature) -> None:
    """Give inputs and outputs the signature's shapes, with names for the free axes, and drop the producer's marks."""
    for values, specs in ((proto.graph.input, signature.inputs), (proto.graph.output, signature.outputs)):
        by_name = {value.name: value for value in values}
        if set(by_name) != {spec.name for spec in specs}:
            raise NotExpressible("the ONNX graph lost an input or an output that the model does not use")
        for spec in specs:
            shape = by_name[spec.name].type.tensor_type.shape
            del shape.dim[:]
            for axis, length in enumerate(spec.shape):
                if length >= 0:
                    shape.dim.add().dim_value = length
                else:
                    shape.dim.add().dim_param = f"{spec.name}_{axis}" if axis else "rows"
    del proto.graph.value_info[:]
    proto.graph.doc_string = proto.doc_string = ""


def _shorten_names(graph: Any, interface: set[str]) -> None:
    """Number the inner names: they hold counters of this process, and the same model must give the same bytes."""
    fresh = (name for name in (f"t{number}" for number in itertools.count()) if name not in interface)
    nodes = itertools.count()

    def rename(graph: Any, outer: dict[str, str]) -> None:
        # A subgraph sees the names around it, and its own are gone behind it.
        own = dict(outer)

        def short(name: str) -> str:
            if name and name not in own:
                own[name] = next(fresh)
            return own.get(name, name)

        for value in (*graph.input, *graph.initializer):
            value.name = short(value.name)
        for node in graph.node:
            node.name, node.doc_string = f"n{next(nodes)}", ""
            node.input[:] = [short(name) for name in node.input]
            for inner in _subgraphs(node):
                inner.name, inner.doc_string = "inner", ""
                del inner.value_info[:]
                rename(inner, own)
            node.output[:] = [short(name) for name in node.output]
        for value in graph.output:
            value.name = short(value.name)

    rename(graph, {name: name for name in interface})
