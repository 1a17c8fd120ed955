"""Where does a tensor of a graph come from, through functions that call functions?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tensortrigger_backend.forge.limits import Limits
from tensortrigger_backend.forge.refusal import Refused, refuse
from tensortrigger_backend.forge.saved_model.archive import GRAPH

CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_PASSING = frozenset({"Identity", "StopGradient", "Snapshot", "EnsureShape", "GuaranteeConst"})


@dataclass(frozen=True, slots=True)
class Frame:
    """One call of a function: its body's nodes by name, and the call that gave it its arguments."""

    function: Any
    call: Any
    outer: Frame | None
    nodes: dict[str, Any] = field(repr=False)
    arguments: dict[str, int] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Origin:
    """The output of a node, in the main graph where ``frame`` is None."""

    node: Any
    index: int
    frame: Frame | None


class Calls:
    """A graph with its functions, looked at from outside.

    Raises:
        Refused: two nodes or two functions of one name.
    """

    def __init__(self, graph: Any, limits: Limits) -> None:
        self.nodes = _by_name(((node.name, node) for node in graph.node), "nodes")
        self.functions = _by_name(
            ((function.signature.name, function) for function in graph.library.function), "functions"
        )
        self._budget = limits.graph_nodes

    def called(self, node: Any) -> Any | None:
        """The function that a node calls, where calling is all it does."""
        if node.op in self.functions:
            return self.functions[node.op]
        if node.op in CALLS and "f" in node.attr:
            return self.functions.get(node.attr["f"].func.name)
        return None

    def enter(self, node: Any, outer: Frame | None) -> Frame | None:
        """The call that a node makes, where it makes one."""
        function = self.called(node)
        if function is None:
            return None
        depth, frame = 0, outer
        while frame is not None:
            depth, frame = depth + 1, frame.outer
            if depth > 100:
                raise too_large("calls functions more than 100 deep")
        return Frame(
            function,
            node,
            outer,
            {inner.name: inner for inner in function.node_def},
            {argument.name: number for number, argument in enumerate(function.signature.input_arg)},
        )

    def origin(
        self, reference: str, frame: Frame | None, fed: frozenset[tuple[str, int]] = frozenset()
    ) -> Origin | None:
        """The node that a tensor comes from, past identities and calls; None where it cannot be told.

        Args:
            fed: tensors of the main graph that get their values from outside; not looked behind.
        """
        for _ in range(10_000):
            if frame is not None and reference in frame.arguments:
                number = frame.arguments[reference]
                data = [name for name in frame.call.input if not name.startswith("^")]
                if number >= len(data):
                    return None
                reference, frame = data[number], frame.outer
                continue
            name, _, rest = reference.partition(":")
            index = int(tail) if (tail := rest.rpartition(":")[2]).isdecimal() else 0
            node = (frame.nodes if frame else self.nodes).get(name)
            if node is None:
                return None
            if frame is None and (name, index) in fed:
                return Origin(node, index, None)
            if node.op in _PASSING and node.input:
                reference = node.input[0]
                continue
            inner = self.enter(node, frame)
            if inner is None:
                return Origin(node, index, frame)
            returned = inner.function.signature.output_arg
            if index >= len(returned) or returned[index].name not in inner.function.ret:
                return None
            reference, frame = inner.function.ret[returned[index].name], inner
        return None

    def run_by(self, roots: Iterable[str]) -> Iterator[tuple[Any, Frame | None]]:
        """Every node that runs when the roots do, those of called functions with their calls.

        Raises:
            Refused: there are too many.
        """
        waiting: list[tuple[Any, Frame | None]] = []
        seen: set[str] = set()
        names = [name for name in roots if name in self.nodes]
        while names:
            name = names.pop()
            if name in seen:
                continue
            seen.add(name)
            node = self.nodes[name]
            waiting.append((node, None))
            names.extend(source for source in map(node_of, node.input) if source in self.nodes)
        visited = 0
        while waiting:
            node, frame = waiting.pop()
            visited += 1
            if visited > self._budget:
                raise too_large(f"runs more than {self._budget} nodes to begin with")
            yield node, frame
            inner = self.enter(node, frame)
            if inner is not None:
                waiting.extend((body, inner) for body in inner.function.node_def)


def node_of(reference: str) -> str:
    """The name of the node in ``^node``, ``node`` or ``node:1``."""
    return reference.removeprefix("^").partition(":")[0]


def too_large(what: str) -> Refused:
    """The refusal of a graph that would grow beyond every bound."""
    return refuse("too_large", f"the model's graph {what}", GRAPH, remedy="publish a smaller model")


def _by_name(named: Iterable[tuple[str, Any]], what: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in named:
        if name in found:
            raise refuse(
                "corrupt_graph",
                f"the graph has two {what} of the name {name[:100]!r}",
                GRAPH,
                name[:100],
                remedy="export the model again with TensorFlow itself",
            )
        found[name] = value
    return found
