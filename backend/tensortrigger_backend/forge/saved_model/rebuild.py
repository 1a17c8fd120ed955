"""How does a judged SavedModel become a frozen graph? Variables and tables are read out and put in as plain values.

TensorFlow's own loader is never used: it would run what the archive says beyond what was judged. Only the judged
graph is opened, and the values come from the checkpoint by name. Importing this module imports TensorFlow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.core.framework import op_def_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tensortrigger_backend.forge.limits import Limits
from tensortrigger_backend.forge.refusal import refuse
from tensortrigger_backend.forge.saved_model.archive import GRAPH
from tensortrigger_backend.forge.saved_model.calls import node_of
from tensortrigger_backend.forge.saved_model.check import JudgedSavedModel, judge_frozen
from tensortrigger_backend.forge.saved_model.frozen_graph import GraphRun
from tensortrigger_backend.forge.saved_model.pruning import ASSET, IN, OUT, START
from tensortrigger_backend.forge.saved_model.variables import Stored

Array = npt.NDArray[Any]

_INSIDE = "model"


@dataclass(frozen=True, slots=True)
class Frozen:
    """A SavedModel as one graph of plain values.

    Attributes:
        graph: a serialized GraphDef; its inputs, outputs and start are named as ``frozen_graph`` says.
        shapes: of the outputs, as far as the graph tells; None where it does not tell the rank.
        parameters: how many numbers the variables held.
        tables: how many lookup tables it keeps.
    """

    graph: bytes
    shapes: tuple[tuple[int, ...] | None, ...]
    parameters: int
    tables: int


class RunningSavedModel:
    """The original: the judged graph with its own variables and tables, not optimized."""

    def __init__(self, judged: JudgedSavedModel, limits: Limits) -> None:
        self._judged = judged
        meta = judged.served.meta_graph.meta_info_def
        known = op_def_pb2.OpList.FromString(meta.stripped_op_list) if meta.stripped_op_list else None
        self.graph_def = tf.compat.v1.GraphDef.FromString(judged.graph)
        self._run = GraphRun(self.graph_def, optimized=False, known_ops=known)
        self._known_ops = known
        self._restore(limits)
        feeds = {f"{ASSET}{number}": str(path) for number, path in enumerate(judged.assets)}
        self._run.run(START, feeds)

    def ask(self, inputs: list[Array]) -> list[Array]:
        """The outputs for one batch, both in the signature's order."""
        feeds = {f"{IN}{number}": values for number, values in enumerate(inputs)}
        outputs = [f"{OUT}{number}:0" for number in range(len(self._judged.served.outputs))]
        return [np.asarray(value) for value in self._run.run(outputs, feeds)]

    def freeze(self, limits: Limits, *, free_batch: bool) -> Frozen:
        """The same as a graph of constants.

        Args:
            free_batch: whether the first axis of every input is made free where it has a fixed length.

        Raises:
            Refused: what came out is not all on the list, or too large.
        """
        values = self._values()
        tables = self._tables()
        function = self._function(values, free_batch=free_batch)
        concrete = function.get_concrete_function()
        frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
        graph_def = frozen.graph.as_graph_def()
        names = [tensor.name for tensor in frozen.outputs]
        for number, name in enumerate(names):
            node = graph_def.node.add(name=f"{OUT}{number}", op="Identity", input=[name])
            node.attr["T"].type = frozen.outputs[number].dtype.as_datatype_enum
        present = {node.name for node in graph_def.node}
        kept = {name: table for name, table in tables.items() if f"{_INSIDE}/{name}" in present}
        _fill(graph_def, kept)
        outputs = [f"{OUT}{number}" for number in range(len(names))]
        inputs = [f"{IN}{number}" for number in range(len(self._judged.served.inputs))]
        graph_def = _needed(
            graph_def, [*outputs, *(name for name in inputs if name in present), *([START] if kept else [])]
        )
        for node in graph_def.node:
            node.device = ""
        packed = _serialized(graph_def)
        needed = judge_frozen(packed, len(names), limits)
        functions = [each for each in graph_def.library.function if each.signature.name in needed]
        graph_def.ClearField("library")
        graph_def.library.function.extend(functions)
        shapes = tuple(_shape(tensor) for tensor in frozen.outputs)
        count = sum(int(value.size) for value in values.values() if value.dtype.kind in "fiubc")
        return Frozen(_serialized(graph_def), shapes, count, len(kept))

    def close(self) -> None:
        """End the session. Safe to repeat."""
        self._run.close()

    def _restore(self, limits: Limits) -> None:
        found = self._judged.restoring
        wanted = [name for name in self._judged.variables if name in found.variables]
        by_name = [name for name in self._judged.variables if name not in found.variables]
        restored = [name for name in self._judged.tables if name in found.tables]
        if not (wanted or by_name or restored):
            return
        prefix = self._judged.folder / "variables" / "variables"
        if not prefix.with_name("variables.index").is_file():
            if wanted or restored:
                raise refuse(
                    "incomplete_archive",
                    "the archive holds no variables/variables.index, and the model has variables",
                    "variables",
                    remedy="pack the whole folder, variables included",
                )
            return
        stored = _Checkpoint(
            str(prefix), sum(path.stat().st_size for path in prefix.parent.iterdir()), limits
        )
        plan = {name: found.variables[name] for name in wanted}
        # A saver that cannot be followed: older exporters store each variable under its own name.
        plan |= {name: Stored(key) for name in by_name if (key := self._own_key(name)) in stored.names}
        for name, place in plan.items():
            self._assign(name, stored.read(place))
        for name in restored:
            keys, values = (stored.read(place) for place in found.tables[name])
            with self._run.graph.as_default():
                feeds = [
                    tf.compat.v1.placeholder(value.dtype if value.dtype != object else tf.string)
                    for value in (keys, values)
                ]
                handle = self._run.graph.get_tensor_by_name(f"{name}:0")
                fill = tf.raw_ops.LookupTableImportV2(table_handle=handle, keys=feeds[0], values=feeds[1])
            self._run.session.run(fill, dict(zip(feeds, (keys, values), strict=True)))

    def _own_key(self, name: str) -> str:
        node = next(node for node in self.graph_def.node if node.name == name)
        return node.attr["shared_name"].s.decode("utf-8", "replace") or name

    def _assign(self, name: str, value: Array) -> None:
        operation = self._run.graph.get_operation_by_name(name)
        dtype = operation.get_attr("dtype")
        with self._run.graph.as_default():
            fed = tf.compat.v1.placeholder(dtype, value.shape)
            target = operation.outputs[0]
            if operation.type == "VarHandleOp":
                assign = tf.raw_ops.AssignVariableOp(resource=target, value=fed)
            else:
                assign = tf.raw_ops.Assign(ref=target, value=fed)
        self._run.session.run(assign, {fed: value})

    def _values(self) -> dict[str, Array]:
        reads = {}
        with self._run.graph.as_default():
            for name in self._judged.variables:
                operation = self._run.graph.get_operation_by_name(name)
                reads[name] = operation.outputs[0]
                if operation.type == "VarHandleOp":
                    reads[name] = tf.raw_ops.ReadVariableOp(
                        resource=operation.outputs[0], dtype=operation.get_attr("dtype")
                    )
        values = {}
        for name, tensor in reads.items():
            try:
                values[name] = np.asarray(self._run.session.run(tensor))
            except tf.errors.FailedPreconditionError as error:
                raise refuse(
                    "variable_not_stored",
                    f"the variable '{name[:200]}' has no value in the archive",
                    GRAPH,
                    name[:200],
                    remedy="export the model again, with all of its variables",
                ) from error
        return values

    def _tables(self) -> dict[str, tuple[Array, Array]]:
        tables = {}
        for name, (keys, values) in self._judged.tables.items():
            with self._run.graph.as_default():
                handle = self._run.graph.get_tensor_by_name(f"{name}:0")
                if handle.dtype != tf.resource:
                    raise refuse(
                        "old_table",
                        f"the table '{name[:200]}' is of a kind that TensorFlow gave up before version 1.0",
                        GRAPH,
                        name[:200],
                        remedy="export the model again with TensorFlow 1.15 or later",
                    )
                exported = tf.raw_ops.LookupTableExportV2(table_handle=handle, Tkeys=keys, Tvalues=values)
            try:
                tables[name] = tuple(self._run.session.run([exported.keys, exported.values]))
            except tf.errors.FailedPreconditionError as error:
                raise refuse(
                    "table_not_filled",
                    f"the table '{name[:200]}' is not filled by what the SavedModel runs at its start",
                    GRAPH,
                    name[:200],
                    remedy="export the model again with the table's initializer",
                ) from error
        return tables

    def _function(self, values: Mapping[str, Array], *, free_batch: bool) -> Any:
        outputs = [f"{OUT}{number}" for number in range(len(self._judged.served.outputs))]
        graph_def = _needed(self.graph_def, outputs)
        handles = {}
        for node in graph_def.node:
            if node.name not in values:
                continue
            if node.op == "VarHandleOp":
                node.Clear()
                continue
            name, dtype = node.name, node.attr["dtype"].type
            node.Clear()
            node.name, node.op = name, "Const"
            node.attr["dtype"].type = dtype
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values[name], dtype=dtype))
        for node in [node for node in graph_def.node if not node.name]:
            graph_def.node.remove(node)
        needed = {reference for node in graph_def.node for reference in map(node_of, node.input)}
        for node in self.graph_def.node:
            if node.op == "VarHandleOp" and node.name in values and node.name in needed:
                handles[node.name] = tf.Variable(
                    values[node.name], dtype=node.attr["dtype"].type, trainable=False
                )
                graph_def.node.add(name=node.name, op="Placeholder").attr[
                    "dtype"
                ].type = tf.resource.as_datatype_enum
        present = {node.name for node in graph_def.node}
        specs = [
            tf.TensorSpec(_freed(tensor.shape, free=free_batch), tensor.dtype, name=f"{IN}{number}")
            for number, tensor in enumerate(self._judged.served.inputs)
        ]
        known = self._known_ops

        def answer(*tensors: Any) -> list[Any]:
            held = tf.compat.v1.get_default_graph()
            mapped = {
                f"{IN}{number}:0": tensor
                for number, tensor in enumerate(tensors)
                if f"{IN}{number}" in present
            }
            for name, variable in handles.items():
                variable.value()  # Reading it is how the function learns that it has it.
                mapped[f"{name}:0"] = held.capture(variable.handle)
            return list(
                tf.graph_util.import_graph_def(
                    graph_def,
                    input_map=mapped,
                    return_elements=[f"{name}:0" for name in outputs],
                    name=_INSIDE,
                    producer_op_list=known,
                )
            )

        function = tf.function(answer, input_signature=specs, autograph=False)
        # The function only borrows its variables.
        function.borrowed = handles
        return function


class _Checkpoint:
    """Values by key, none of them larger than what the files hold."""

    def __init__(self, prefix: str, held: int, limits: Limits) -> None:
        self._reader = tf.train.load_checkpoint(prefix)
        self._shapes = self._reader.get_variable_to_shape_map()
        dtypes = self._reader.get_variable_to_dtype_map()
        self.names = frozenset(self._shapes)
        for name, shape in self._shapes.items():
            declared = math.prod(shape) * max(dtypes[name].size, 1)
            if declared > held or declared > limits.declared_bytes:
                raise refuse(
                    "too_large",
                    f"'{name[:200]}' declares {declared} bytes, the files of the variables hold {held}",
                    "variables",
                    name[:200],
                    remedy="export the model again",
                )

    def read(self, place: Stored) -> Array:
        if place.key not in self.names:
            raise refuse(
                "variable_not_stored",
                f"the files of the variables hold no '{place.key[:200]}'",
                "variables",
                place.key[:200],
                remedy="pack the whole folder, variables included",
            )
        value = np.asarray(self._reader.get_tensor(place.key))
        if place.part:
            value = value[tuple(slice(start, start + length) for start, length in place.part)]
        return value


def _needed(graph_def: Any, roots: list[str]) -> Any:
    """The same graph with no other nodes than those that the roots need."""
    nodes = {node.name: node for node in graph_def.node}
    waiting, seen = list(roots), set()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(node_of(reference) for reference in nodes[name].input)
    needed = tf.compat.v1.GraphDef()
    needed.node.extend(node for node in graph_def.node if node.name in seen)
    needed.library.CopyFrom(graph_def.library)
    needed.versions.CopyFrom(graph_def.versions)
    return needed


def _fill(graph_def: Any, tables: Mapping[str, tuple[Array, Array]]) -> None:
    """Add what gives each table its values, and the node that runs it all."""
    if not tables:
        return
    made_by = {node.name: node.op for node in graph_def.node}
    start = graph_def.node.add(name=START, op="NoOp")
    for number, (name, contents) in enumerate(sorted(tables.items())):
        table = f"{_INSIDE}/{name}"
        fixed = made_by[table] == "HashTableV2"
        fill = graph_def.node.add(
            name=f"{START}_{number}", op="InitializeTableV2" if fixed else "LookupTableImportV2"
        )
        fill.input.append(table)
        kinds = ("Tkey", "Tval") if fixed else ("Tin", "Tout")
        for part, kind, values in zip(("keys", "values"), kinds, contents, strict=True):
            proto = tf.make_tensor_proto(values)
            constant = graph_def.node.add(name=f"{START}_{number}_{part}", op="Const")
            constant.attr["dtype"].type = proto.dtype
            constant.attr["value"].tensor.CopyFrom(proto)
            fill.input.append(constant.name)
            fill.attr[kind].type = proto.dtype
        start.input.append(f"^{fill.name}")


def _freed(shape: tuple[int, ...] | None, *, free: bool) -> list[int | None] | None:
    if shape is None:
        return None
    lengths = [None if length < 0 else length for length in shape]
    return [None, *lengths[1:]] if free else lengths


def _shape(tensor: Any) -> tuple[int, ...] | None:
    if tensor.shape.rank is None:
        return None
    return tuple(-1 if length is None else int(length) for length in tensor.shape)


def _serialized(graph_def: Any) -> bytes:
    try:
        return bytes(graph_def.SerializeToString(deterministic=True))
    except ValueError as error:
        raise refuse("too_large", "the frozen graph is larger than 2 GB") from error
