"""Does a SavedModel only compute? Everything that would run is held against the list, before TensorFlow sees it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tensortrigger_backend.domain.errors import Fault
from tensortrigger_backend.forge.limits import Limits
from tensortrigger_backend.forge.refusal import MODEL, Refused, refuse
from tensortrigger_backend.forge.saved_model import ops
from tensortrigger_backend.forge.saved_model.archive import GRAPH
from tensortrigger_backend.forge.saved_model.calls import Calls, node_of, too_large
from tensortrigger_backend.forge.saved_model.proto import DTYPES, ITEM_BYTES, GraphDef
from tensortrigger_backend.forge.saved_model.pruning import IN, OUT, START, pruned
from tensortrigger_backend.forge.saved_model.signature import Served, read_served
from tensortrigger_backend.forge.saved_model.variables import Restoring, restoring

_MOST_FAULTS = 20
_PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2"})


@dataclass(frozen=True, slots=True)
class JudgedSavedModel:
    """A SavedModel of which everything that runs is on the list.

    Attributes:
        graph: the bytes of a GraphDef with nothing in it but what runs: inputs are ``tt_in_0`` on, outputs
            ``tt_out_0`` on, assets ``tt_asset_0`` on, and ``tt_start`` is what runs once.
        assets: the files that the assets name, in order.
        variables: names of the nodes that hold variables.
        tables: names of the nodes that hold tables, each with numpy's names of its keys and values.
        ops: how many nodes were judged.
    """

    folder: Path
    served: Served
    graph: bytes
    assets: tuple[Path, ...]
    restoring: Restoring
    variables: tuple[str, ...]
    tables: dict[str, tuple[str, str]] = field(default_factory=dict)
    ops: int = 0


def judge_saved_model(folder: Path, limits: Limits) -> JudgedSavedModel:
    """Judge an unpacked SavedModel by what is written in its graph file.

    Raises:
        Refused: an op that is not on the list, with its node and the function around it.
    """
    served = read_served(folder)
    calls = Calls(served.meta_graph.graph_def, limits)
    fed = frozenset(tensor.tensor for tensor in served.inputs)
    for tensor in (*served.inputs, *served.outputs):
        if tensor.tensor[0] not in calls.nodes:
            raise refuse(
                "corrupt_graph",
                f"the signature names the node {tensor.tensor[0][:100]!r}, which the graph does not have",
                GRAPH,
                served.key,
                remedy="export the model again",
            )
    judge = _Judge(calls, limits)
    answering = judge.reach([tensor.tensor for tensor in served.outputs], fed)
    judge.nodes(answering, ops.COMPUTING)
    served = replace(served, assets=served.assets | _asset_reads(calls, served.assets))
    assets = frozenset(served.assets)
    starting = judge.reach([(name, 0) for name in served.start if name in calls.nodes], assets)
    judge.nodes(starting, ops.STARTING)
    judge.files(starting, assets)
    if judge.faults:
        raise Refused(*judge.faults)
    kept = {node.name: node for node in (*answering, *starting)}
    tables = {name: _table(node) for name, node in kept.items() if node.op in ops.TABLES}
    graph = pruned(kept, [calls.functions[name] for name in sorted(judge.entered)], served)
    found = restoring(calls, served.saver) if served.saver else Restoring()
    return JudgedSavedModel(
        folder,
        served,
        graph,
        tuple(served.assets.values()),
        found,
        tuple(name for name, node in kept.items() if node.op in ops.VARIABLES),
        tables,
        judge.count,
    )


def _asset_reads(calls: Calls, assets: dict[tuple[str, int], Path]) -> dict[tuple[str, int], Path]:
    """Where a variable that is given an asset's path is read: the path is fed there, whatever the variable holds."""
    paths: dict[str, Path] = {}
    for node in calls.nodes.values():
        if node.op == "AssignVariableOp" and len(node.input) >= 2:
            variable, value = (calls.origin(name, None, frozenset(assets)) for name in node.input[:2])
            if variable and value and value.frame is None and (value.node.name, value.index) in assets:
                paths[variable.node.name] = assets[value.node.name, value.index]
    reads: dict[tuple[str, int], Path] = {}
    for node in calls.nodes.values():
        if paths and node.op == "ReadVariableOp" and node.input:
            variable = calls.origin(node.input[0], None)
            if variable and variable.frame is None and variable.node.name in paths:
                reads[node.name, 0] = paths[variable.node.name]
    return reads


def _table(node: Any) -> tuple[str, str]:
    return DTYPES.get(node.attr["key_dtype"].type, ""), DTYPES.get(node.attr["value_dtype"].type, "")


class _Judge:
    def __init__(self, calls: Calls, limits: Limits) -> None:
        self._calls = calls
        self._limits = limits
        self._sizes: dict[str, int] = {}
        self._constants = 0
        self._judged: set[tuple[str, frozenset[str]]] = set()
        self.entered: set[str] = set()
        self.faults: list[Fault] = []
        self.count = 0

    def reach(self, roots: Iterable[tuple[str, int]], fed: frozenset[tuple[str, int]]) -> list[Any]:
        """The nodes of the main graph that the roots need, not looking behind what is fed."""
        waiting = [name for name, index in roots if (name, index) not in fed]
        seen: dict[str, Any] = {}
        fed_nodes = {name for name, _ in fed}
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            node = self._calls.nodes.get(name)
            if node is None:
                raise refuse(
                    "corrupt_graph",
                    f"the graph names the node {name[:100]!r} and does not have it",
                    GRAPH,
                    name[:100],
                    remedy="export the model again",
                )
            seen[name] = node
            for reference in node.input:
                source = node_of(reference)
                index = reference.rpartition(":")[2]
                if (source, int(index) if index.isdecimal() and ":" in reference else 0) in fed:
                    continue
                if reference.startswith("^") and source in fed_nodes and self._is_placeholder(source):
                    continue
                waiting.append(source)
        return list(seen.values())

    def nodes(self, nodes: Iterable[Any], listed: frozenset[str], function: str = "") -> None:
        """Judge nodes, and all functions that they name anywhere."""
        for node in nodes:
            self.count += 1
            self._judge(node, listed, function)
            for name in self._named_functions(node):
                self._enter(name, listed, node, function)

    def files(self, starting: Iterable[Any], assets: frozenset[tuple[str, int]]) -> None:
        """See that what reads a file at the start reads an asset of the archive."""
        if not any(node.op in ops.FILE_TABLES or self._calls.called(node) for node in starting):
            return
        for node, frame in self._calls.run_by(node.name for node in starting):
            if node.op not in ops.FILE_TABLES:
                continue
            origin = self._calls.origin(node.input[1], frame, assets) if len(node.input) > 1 else None
            place = (origin.node.name, origin.index) if origin and origin.frame is None else None
            if place not in assets:
                self._fault(
                    node,
                    frame.function.signature.name if frame else "",
                    "file_access",
                    "reads a file that is no asset of the archive",
                    "keep the vocabulary as an asset (tf.saved_model.Asset) or give the table its values",
                )

    def _is_placeholder(self, name: str) -> bool:
        node = self._calls.nodes.get(name)
        return node is not None and node.op in _PLACEHOLDERS

    def _judge(self, node: Any, listed: frozenset[str], function: str) -> None:
        if node.op in self._calls.functions:
            return
        if node.op not in listed:
            self._fault(
                node,
                function,
                "unlisted_op",
                "is not on the list of what a SavedModel may run",
                ops.remedy_for(node.op),
            )
        elif function and node.op in ops.VARIABLES | ops.TABLES:
            self._fault(
                node,
                function,
                "resource_in_function",
                "makes a variable or a table each time it is called",
                "create it once, when the model is made",
            )
        elif not function and node.op in _PLACEHOLDERS:
            self._fault(
                node,
                function,
                "unfed_placeholder",
                "waits for a value that the signature does not take",
                "give it a default (tf.compat.v1.placeholder_with_default) or put it into the signature",
            )
        elif node.op == "Const":
            self._weigh(node, function)

    def _weigh(self, node: Any, function: str) -> None:
        tensor = node.attr["value"].tensor
        dims = [int(dim.size) for dim in tensor.tensor_shape.dim]
        unfolded = math.prod(max(size, 0) for size in dims) * ITEM_BYTES.get(tensor.dtype, 16)
        self._constants += unfolded
        if min(dims, default=0) < 0 or len(dims) > 254 or tensor.tensor_shape.unknown_rank:
            self._fault(
                node, function, "corrupt_graph", "has no shape that a constant can have", "export it again"
            )
        elif unfolded > self._limits.tensor_bytes or self._constants > self._limits.declared_bytes:
            self._fault(
                node,
                function,
                "too_large",
                f"unfolds to {unfolded} bytes, {self._constants} with those before it",
                "publish a smaller model",
            )

    def _named_functions(self, node: Any) -> Iterator[str]:
        if node.op in self._calls.functions:
            yield node.op
        waiting = list(node.attr.values())
        while waiting:
            value = waiting.pop()
            for called in (*([value.func] if value.HasField("func") else ()), *value.list.func):
                yield called.name
                waiting.extend(called.attr.values())

    def _enter(self, name: str, listed: frozenset[str], node: Any, around: str) -> None:
        function = self._calls.functions.get(name)
        if function is None:
            if name:
                self._fault(
                    node,
                    around,
                    "missing_function",
                    f"calls {name[:100]!r}, which is missing",
                    "export it again",
                )
            return
        if self._expanded(name, ()) > self._limits.graph_nodes:
            raise too_large(f"grows beyond {self._limits.graph_nodes} nodes when its functions are put in")
        self.entered.add(name)
        if self._calls.called(node) is None:
            # What a branch or a loop calls cannot be followed back to an asset.
            listed -= ops.FILE_TABLES
        if (name, listed) in self._judged:
            return
        self._judged.add((name, listed))
        # All of a body is judged: what has an effect of its own runs whether its answer is used or not.
        self.nodes(function.node_def, listed, name)

    def _expanded(self, name: str, around: tuple[str, ...]) -> int:
        """How many nodes a function is when every call in it is replaced by what it calls."""
        if name in self._sizes:
            return self._sizes[name]
        if name in around or len(around) > 100:
            raise refuse(
                "recursive_function",
                f"the function {name[:100]!r} calls itself, or calls nest more than 100 deep",
                GRAPH,
                name[:100],
                remedy="write the recursion as a loop",
            )
        function = self._calls.functions.get(name)
        if function is None:
            return 0
        size = len(function.node_def)
        for node in function.node_def:
            size += sum(self._expanded(inner, (*around, name)) for inner in self._named_functions(node))
        self._sizes[name] = size
        return size

    def _fault(self, node: Any, function: str, code: str, what: str, remedy: str) -> None:
        if len(self.faults) < _MOST_FAULTS:
            place = (function[:200], node.name[:200]) if function else (node.name[:200],)
            inside = f" in the function '{function[:200]}'" if function else ""
            message = f"the op {node.op[:80]} (node '{node.name[:200]}'{inside}) {what}"
            self.faults.append(Fault((MODEL, GRAPH, *place), code, message, got=node.op[:80], remedy=remedy))


def judge_frozen(graph: bytes, outputs: int, limits: Limits) -> frozenset[str]:
    """Judge a graph that the forge froze itself.

    Returns:
        the names of the functions that it needs.

    Raises:
        Refused: an op that is not on the list, with its node and the function around it.
    """
    calls = Calls(GraphDef.FromString(graph), limits)
    judge = _Judge(calls, limits)
    fed = frozenset((name, 0) for name in calls.nodes if name.startswith(IN))
    roots = [(f"{OUT}{number}", 0) for number in range(outputs)]
    if START in calls.nodes:
        roots.append((START, 0))
    judge.nodes(judge.reach(roots, fed), ops.FROZEN)
    if judge.faults:
        raise Refused(*judge.faults)
    return frozenset(judge.entered)
