"""How can a frozen graph be saved as a SavedModel again? As a module whose tables TensorFlow knows how to save."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tensortrigger_backend.forge.saved_model.pruning import IN, OUT, START


class FrozenModule(tf.Module):  # type: ignore[misc] # TensorFlow has no types
    """A frozen graph to call with tensors, its tables kept where saving finds them.

    Raises:
        ValueError: it keeps a table that can be written to, which has no saved form of its own.
    """

    def __init__(self, graph: bytes, outputs: int) -> None:
        super().__init__()
        whole = tf.compat.v1.GraphDef.FromString(graph)
        filling = {node.name: node for node in whole.node if node.name.startswith(START)}
        nodes = {node.name: node for node in whole.node}
        self.tables: list[Any] = []
        self._handles: dict[str, Any] = {}
        for node in filling.values():
            if node.op in ("NoOp", "Const"):
                continue
            if node.op != "InitializeTableV2":
                raise ValueError("the model keeps a table that can be written to")
            self._add_table(nodes, node)
        self._kept = tf.compat.v1.GraphDef()
        self._kept.library.CopyFrom(whole.library)
        self._kept.versions.CopyFrom(whole.versions)
        for node in whole.node:
            if node.name not in filling and node.name not in self._handles:
                kept = self._kept.node.add()
                kept.CopyFrom(node)
                # Waiting for a table to be made is waiting for nothing: it is there before the graph is.
                data = [
                    name
                    for name in node.input
                    if name.removeprefix("^") not in self._handles or name[0] != "^"
                ]
                del kept.input[:]
                kept.input.extend(data)
        for name in self._handles:
            stand_in = self._kept.node.add(name=name, op="Placeholder")
            stand_in.attr["dtype"].type = tf.resource.as_datatype_enum
        self._outputs = [f"{OUT}{number}:0" for number in range(outputs)]

    def __call__(self, *tensors: Any) -> list[Any]:
        """The outputs in the signature's order for the inputs in theirs, inside a ``tf.function``."""
        around = tf.compat.v1.get_default_graph()
        mapped = {f"{IN}{number}:0": tensor for number, tensor in enumerate(tensors)}
        mapped |= {
            f"{name}:0": around.capture(table.resource_handle) for name, table in self._handles.items()
        }
        found = tf.graph_util.import_graph_def(
            self._kept, input_map=mapped, return_elements=self._outputs, name="frozen"
        )
        return list(found)

    def _add_table(self, nodes: dict[str, Any], filling: Any) -> None:
        name, keys, values = filling.input
        contents = [tf.make_ndarray(nodes[part].attr["value"].tensor) for part in (keys, values)]
        dtype = filling.attr["Tval"].type
        # Never asked for: each lookup in the graph brings its own.
        default = tf.constant("" if dtype == tf.string.as_datatype_enum else 0, dtype)
        table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                *contents, key_dtype=filling.attr["Tkey"].type, value_dtype=dtype
            ),
            default,
        )
        self.tables.append(table)
        self._handles[name] = table
