"""What is left of a SavedModel's graph when only what was judged may stay? A graph with plain names at its edges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.message import EncodeError

from tensortrigger_backend.forge.saved_model.calls import too_large
from tensortrigger_backend.forge.saved_model.proto import DTYPES, GraphDef
from tensortrigger_backend.forge.saved_model.signature import GraphTensor, Served

IN, OUT, ASSET, START = "tt_in_", "tt_out_", "tt_asset_", "tt_start"
"""Names of the nodes at the edges; the numbers follow."""

_NUMBERS = {name: number for number, name in DTYPES.items()}


def pruned(nodes: Mapping[str, Any], functions: Iterable[Any], served: Served) -> bytes:
    """The bytes of a GraphDef that holds these nodes and functions only.

    Devices, colocation and every other private attribute go: they belong to the machine that exported it. (One of
    them would let TensorFlow exchange a function for another.)
    """
    graph = GraphDef()
    renamed = {tensor.tensor: f"{IN}{number}" for number, tensor in enumerate(served.inputs)}
    renamed |= {tensor: f"{ASSET}{number}" for number, tensor in enumerate(served.assets)}
    fed = {name for name, _ in renamed}
    for number, tensor in enumerate(served.inputs):
        _add_placeholder(graph, f"{IN}{number}", tensor)
    for number in range(len(served.assets)):
        _add_placeholder(graph, f"{ASSET}{number}", GraphTensor("", ("", 0), "string", ()))
    for node in nodes.values():
        copy = graph.node.add()
        copy.CopyFrom(node)
        _strip(copy)
        del copy.input[:]
        for reference in node.input:
            changed = _renamed(reference, renamed, fed - nodes.keys())
            if changed:
                copy.input.append(changed)
    for number, tensor in enumerate(served.outputs):
        out = graph.node.add(name=f"{OUT}{number}", op="Identity")
        out.attr["T"].type = _NUMBERS[tensor.dtype]
        name, index = tensor.tensor
        out.input.append(renamed.get(tensor.tensor) or (f"{name}:{index}" if index else name))
    start = graph.node.add(name=START, op="NoOp")
    start.input.extend(f"^{name}" for name in served.start if name in nodes)
    for function in functions:
        copy = graph.library.function.add()
        copy.CopyFrom(function)
        for key in [key for key in copy.attr if key.startswith("_")]:
            del copy.attr[key]
        for node in copy.node_def:
            _strip(node)
    # What TensorFlow wrote about the versions of ops stays in the message's unknown fields; it must be kept.
    versions = GraphDef()
    versions.CopyFrom(served.meta_graph.graph_def)
    del versions.node[:]
    versions.ClearField("library")
    graph.MergeFrom(versions)
    try:
        return bytes(graph.SerializeToString(deterministic=True))
    except (EncodeError, ValueError) as error:
        raise too_large("is larger than 2 GB") from error


def _strip(node: Any) -> None:
    node.device = ""
    if node.op == "PlaceholderWithDefault":
        # Nobody feeds it; as a placeholder the converter would ask every caller for it.
        node.op = "Identity"
        kind = node.attr["dtype"].type
        node.ClearField("attr")
        node.attr["T"].type = kind
    for key in [key for key in node.attr if key.startswith("_")]:
        del node.attr[key]


def _renamed(reference: str, renamed: Mapping[tuple[str, int], str], gone: set[str]) -> str:
    if reference.startswith("^"):
        # Waiting for an input is waiting for nothing.
        return "" if reference[1:] in gone else reference
    name, _, index = reference.partition(":")
    return renamed.get((name, int(index) if index.isdecimal() else 0), reference)


def _add_placeholder(graph: Any, name: str, tensor: GraphTensor) -> None:
    node = graph.node.add(name=name, op="Placeholder")
    node.attr["dtype"].type = _NUMBERS[tensor.dtype]
    shape = node.attr["shape"].shape
    if tensor.shape is None:
        shape.unknown_rank = True
    else:
        shape.SetInParent()
        for size in tensor.shape:
            shape.dim.add().size = size
