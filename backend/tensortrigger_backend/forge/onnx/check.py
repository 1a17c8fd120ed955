"""Is this ONNX file one plain graph of known ops, all of its numbers in it? Looked at without running it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import onnx
import onnx.inliner
from google.protobuf.message import DecodeError

from tensortrigger_backend.domain.errors import Fault
from tensortrigger_backend.forge.limits import Limits
from tensortrigger_backend.forge.onnx.tensors import check_tensor
from tensortrigger_backend.forge.refusal import MODEL, Refused, refuse

DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_SPELLED = {"ai.onnx": ""}
_EXPORT = "export the model again, with all of its weights in the one file"
_MOST_FAULTS = 20
_DEEPEST = 16


@dataclass(frozen=True, slots=True)
class JudgedOnnx:
    """An ONNX model that holds only listed ops, its functions put in where they were called."""

    proto: Any
    nodes: int


def judge_onnx(source: Path, limits: Limits) -> JudgedOnnx:
    """Judge an ONNX file by what is written in it.

    Raises:
        Refused: an op or a tensor that is not plain, with its node.
    """
    size = source.stat().st_size
    if size > limits.graph_bytes:
        raise refuse("too_large", f"the file has {size} bytes", expected=f"at most {limits.graph_bytes}")
    try:
        proto = onnx.ModelProto.FromString(source.read_bytes())
    except (DecodeError, RecursionError, ValueError) as error:
        raise refuse("corrupt_onnx", "the ONNX file is damaged", remedy=_EXPORT) from error
    judge = _Judge(limits)
    # Functions first, as they are: putting one in that holds itself would never end.
    _check_functions(proto, limits)
    for function in proto.functions:
        judge.nodes(function.node, _opsets(function), (function.name[:100],), proto)
    judge.graph(proto.graph, _opsets(proto), (), proto)
    fixed = {tensor.name for tensor in proto.graph.initializer}
    for value in proto.graph.input:
        kind = value.type
        if (
            value.name not in fixed
            and kind.HasField("tensor_type")
            and not kind.tensor_type.HasField("shape")
        ):
            judge.fault(
                ("input", value.name[:100]),
                "unknown_rank",
                f"the graph does not tell how many axes input '{value.name[:100]}' has",
                "export the model with the shape of each input, free axes included",
            )
    if proto.training_info:
        judge.fault(
            (), "training_info", "the model holds a training program", "export the model for inference"
        )
    if judge.faults:
        raise Refused(*judge.faults)
    try:
        if proto.functions:
            proto = onnx.inliner.inline_local_functions(proto)
            if proto.functions:
                raise refuse(
                    "corrupt_onnx", "its functions cannot be put in where they are called", remedy=_EXPORT
                )
        onnx.checker.check_model(proto, full_check=False)
    except Refused:
        raise
    except Exception as error:
        words = " ".join(str(error).split())[:300]
        raise refuse("corrupt_onnx", f"the ONNX model is not valid: {words}", remedy=_EXPORT) from error
    return JudgedOnnx(proto, judge.count)


def inner_graphs(node: Any) -> list[Any]:
    """The graphs that a node holds."""
    return [
        inner
        for attribute in node.attribute
        for inner in ([attribute.g] if attribute.HasField("g") else list(attribute.graphs))
    ]


def _opsets(holder: Any) -> dict[str, int]:
    return {_SPELLED.get(entry.domain, entry.domain): int(entry.version) for entry in holder.opset_import}


class _Judge:
    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._bytes = 0
        self.count = 0
        self.faults: list[Fault] = []

    def graph(self, graph: Any, opsets: dict[str, int], path: tuple[str, ...], model: Any) -> None:
        if len(path) > _DEEPEST:
            raise refuse("too_deep", f"graphs nest more than {_DEEPEST} deep in the model", *path[:8])
        for tensor in graph.initializer:
            self._weigh(tensor, (*path, tensor.name[:100]))
        for sparse in graph.sparse_initializer:
            for tensor in (sparse.values, sparse.indices):
                self._weigh(tensor, (*path, sparse.values.name[:100]))
        self.nodes(graph.node, opsets, path, model)

    def nodes(self, nodes: Any, opsets: dict[str, int], path: tuple[str, ...], model: Any) -> None:
        local = {(function.domain, function.name) for function in model.functions}
        for node in nodes:
            self.count += 1
            if self.count > self._limits.graph_nodes:
                raise refuse("too_large", f"the model has more than {self._limits.graph_nodes} nodes")
            place = (*path, (node.name or node.op_type)[:100])
            if (node.domain, node.op_type) not in local:
                self._judge(node, opsets, place)
            for attribute in node.attribute:
                tensors = [attribute.t] if attribute.HasField("t") else []
                sparse = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
                for held in (*sparse, *attribute.sparse_tensors):
                    tensors += [held.values, held.indices]
                for tensor in (*tensors, *attribute.tensors):
                    self._weigh(tensor, place)
            for inner in inner_graphs(node):
                self.graph(inner, opsets, place, model)

    def fault(self, path: tuple[str, ...], code: str, message: str, remedy: str) -> None:
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(Fault((MODEL, "graph", *path), code, message, remedy=remedy))

    def _judge(self, node: Any, opsets: dict[str, int], place: tuple[str, ...]) -> None:
        domain = _SPELLED.get(node.domain, node.domain)
        named = f"the op {node.op_type[:80]} (node '{node.name[:100]}')"
        if node.domain not in DOMAINS:
            self.fault(
                place,
                "custom_domain",
                f"{named} is of the domain {node.domain[:80]!r}, whose ops are not ONNX' own",
                "export the model with ONNX' own ops, before any optimizer fuses them",
            )
        elif not onnx.defs.has(node.op_type, opsets.get(domain, 1), domain):
            self.fault(
                place,
                "unlisted_op",
                f"{named} is no op of ONNX in version {opsets.get(domain, 1)} of its domain",
                "export the model with ONNX' own ops",
            )

    def _weigh(self, tensor: Any, place: tuple[str, ...]) -> None:
        fault = check_tensor(tensor, self._limits)
        if fault:
            self.fault(place, *fault)
            return
        self._bytes += math.prod(tensor.dims)
        if self._bytes > self._limits.declared_bytes:
            raise refuse("too_large", "the model's tensors are larger than they may be, all together")


def _check_functions(proto: Any, limits: Limits) -> None:
    """See that putting the functions in comes to an end, and to a graph of a bounded size."""
    by_key = {(function.domain, function.name): function for function in proto.functions}
    sizes: dict[tuple[str, str], int] = {}

    def size(key: tuple[str, str], around: tuple[Any, ...]) -> int:
        if key in around or len(around) > _DEEPEST:
            raise refuse(
                "too_deep",
                f"the function {key[1][:100]!r} calls itself, or calls nest more than {_DEEPEST} deep",
                "functions",
                key[1][:100],
                remedy="export the model without functions",
            )
        if key not in sizes:
            total = 0
            for node in _all_nodes(by_key[key].node, 0):
                inner = (node.domain, node.op_type)
                total += 1 + (size(inner, (*around, key)) if inner in by_key else 0)
            sizes[key] = total
        return sizes[key]

    total = 0
    for node in _all_nodes(proto.graph.node, 0):
        key = (node.domain, node.op_type)
        total += size(key, ()) if key in by_key else 1
        if total > limits.graph_nodes:
            raise refuse(
                "too_large", f"the model has more than {limits.graph_nodes} nodes, its functions put in"
            )


def _all_nodes(nodes: Any, depth: int) -> Iterator[Any]:
    if depth > _DEEPEST:
        raise refuse("too_deep", f"graphs nest more than {_DEEPEST} deep in the model")
    for node in nodes:
        yield node
        for inner in inner_graphs(node):
            yield from _all_nodes(inner.node, depth + 1)
