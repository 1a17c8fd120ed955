"""How does Keras 3 write the calls of a functional model, and which layer does each output come from?

Keras 2 wrote a call as a list of ``[layer, node, tensor, arguments]`` and counted the nodes of a nested model from 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tensortrigger_backend.forge.doctor.notes import Notes, Path, layer_words
from tensortrigger_backend.forge.doctor.ops import NoCounterpart, from_graph_node, function_of, translate
from tensortrigger_backend.forge.refusal import refuse

_NESTED = ("Sequential", "Functional", "Model")
_RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
_CONSTANT = "_CONSTANT_VALUE"
_MERGES = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum", "concat": "Concatenate"}
_DROPPED = ("training", "name")


class Calls:
    """The references between the layers of one functional model."""

    def __init__(self, layers: list[Any], notes: Notes, path: Path) -> None:
        self._notes = notes
        self._moved: dict[tuple[str, int], tuple[str, int]] = {}
        self._nested: dict[str, str] = {}
        self._names: set[str] = set()
        for layer in layers:
            if not isinstance(layer, Mapping):
                raise refuse("bad_config", "an entry in the list of layers that is no layer", *path)
            name, kind = _name(layer), str(layer.get("class_name"))
            self._names.add(name)
            if kind in _NESTED:
                self._nested[name] = kind
        # Only where a node is asked for that the layer does not have otherwise.
        counts = {_name(layer): len(layer.get("inbound_nodes") or []) for layer in layers}
        self._from_one = {
            name
            for name in self._nested
            if any(place == counts[name] for place in _places(layers, name)) or not _places(layers, name)
        }

    def nodes(self, name: str, kind: str, nodes: Any, path: Path) -> list[Any]:
        """The calls of one layer."""
        if not isinstance(nodes, list):
            raise refuse("bad_config", "calls that are no list", *path, "inbound_nodes")
        return [
            node if _is_new(node) else self._call(name, kind, node, (*path, "inbound_nodes", index))
            for index, node in enumerate(nodes)
        ]

    def op_layers(
        self, layer: Mapping[str, Any], name: str, nodes: list[Any], path: Path
    ) -> list[dict[str, Any]]:
        """A Keras op for each call of a layer that was a TensorFlow function."""
        ops, config = [], layer.get("config")
        if not isinstance(config, Mapping):
            raise refuse("bad_config", "an op layer without a config", *path)
        where = layer_words(name, str(layer.get("class_name")))
        for index, node in enumerate(nodes):
            try:
                first, others = self._arguments(node, (*path, "inbound_nodes", index))
                if layer.get("class_name") == "TensorFlowOpLayer":
                    op = from_graph_node(config, first if isinstance(first, list) else [first])
                else:
                    op = translate(config, first, others)
            except NoCounterpart as reason:
                self._notes.refused(
                    path,
                    "tensorflow_function",
                    f"{where} calls {reason}, which the doctor cannot translate into a Keras op",
                    "build the model with a built-in layer or a keras.ops function in its place, copy the weights "
                    "and save it as .keras; or publish it as a SavedModel",
                )
                return []
            # Settings may differ from call to call, so each call is an op of its own.
            own = name if index == 0 else self._fresh(f"{name}_call{index}")
            self._moved[name, index] = (own, 0)
            ops.append(
                {
                    "module": op.module,
                    "class_name": op.name,
                    "config": {**op.settings, "name": own},
                    "registered_name": None,
                    "name": own,
                    "inbound_nodes": [{"args": list(op.args), "kwargs": {}}],
                }
            )
            what = function_of(config) if "function" in config or "node_def" not in config else "graph op"
            self._notes.changed(path, where, f"tf.{what} is the Keras op {op.name}")
        return ops

    def merge(self, layer: dict[str, Any], path: Path) -> None:
        """Keras 1's Merge is a layer for each of its modes, in place."""
        config = layer["config"]
        mode = config.get("mode") if isinstance(config, Mapping) else None
        where = layer_words(_name(layer), "Merge")
        if not isinstance(mode, str) or mode not in _MERGES:
            self._notes.refused(
                path,
                "keras_2_layer",
                f"{where} merges by {str(mode)[:40]!r}, which has no layer in Keras 3",
                "rebuild it from built-in layers, copy the weights and save it as .keras",
            )
            return
        layer["class_name"] = _MERGES[mode]
        layer["config"] = {"name": config.get("name")}
        if mode == "concat":
            layer["config"]["axis"] = config.get("concat_axis", -1)
        self._notes.changed(path, where, f"Merge by '{mode}' is the layer {_MERGES[mode]}")

    def ends(self, ends: Any, path: Path) -> Any:
        """The model's inputs or outputs."""
        if _is_reference(ends):
            name, node = self._moved.get((ends[0], ends[1]), (ends[0], ends[1]))
            if name in self._from_one and self._nested[name] == "Sequential":
                node -= 1
            elif name in self._nested and name not in self._from_one and self._nested[name] != "Sequential":
                # Keras 3 takes 1 off for a functional model.
                node += 1
            return [name, node, ends[2]]
        if isinstance(ends, Mapping):
            return {key: self.ends(value, path) for key, value in ends.items()}
        if isinstance(ends, list):
            return [self.ends(value, path) for value in ends]
        raise refuse("bad_config", "inputs or outputs that name no layer", *path)

    def _call(self, name: str, kind: str, node: Any, path: Path) -> dict[str, Any]:
        first, others = self._arguments(node, path)
        kwargs = {key: value for key, value in others.items() if key not in _DROPPED and value is not None}
        if kind in _RECURRENT and isinstance(first, list) and len(first) > 1:
            if kwargs.get("num_constants"):
                self._notes.refused(
                    path,
                    "rnn_constants",
                    f"{layer_words(name, kind)} is called with constants",
                    "leave them out",
                )
            first, kwargs["initial_state"] = first[0], first[1:]
            self._notes.changed(
                path, layer_words(name, kind), "its initial states are given by their own name"
            )
        kwargs.pop("num_constants", None)
        return {"args": [first], "kwargs": kwargs}

    def _arguments(self, node: Any, path: Path) -> tuple[Any, dict[str, Any]]:
        """The first argument, tensors referred to in Keras 3's way, and the others by name."""
        found: dict[str, Any] = {}
        first = self._first(node, found, path)
        if isinstance(first, list) and len(first) == 1 and not (isinstance(node, list) and _wraps_list(node)):
            first = first[0]
        return first, {key: self._value(value) for key, value in found.items()}

    def _first(self, node: Any, found: dict[str, Any], path: Path) -> Any:
        if (
            isinstance(node, list)
            and len(node) in (3, 4)
            and isinstance(node[0], str)
            and isinstance(node[1], int)
        ):
            if len(node) == 4 and isinstance(node[3], Mapping):
                found.update(node[3])
            return node[2] if node[0] == _CONSTANT else self._tensor(node[0], node[1], node[2], path)
        if isinstance(node, Mapping):
            return {key: self._first(value, found, path) for key, value in node.items()}
        if isinstance(node, list):
            return [self._first(value, found, path) for value in node]
        raise refuse("bad_config", "a call that cannot be read", *path)

    def _value(self, value: Any) -> Any:
        if _is_reference(value) and value[0] in self._names:
            return self._tensor(value[0], value[1], value[2], ())
        if isinstance(value, Mapping):
            return {key: self._value(member) for key, member in value.items()}
        return [self._value(member) for member in value] if isinstance(value, list) else value

    def _tensor(self, name: str, node: int, tensor: Any, path: Path) -> dict[str, Any]:
        if name not in self._names or not isinstance(tensor, int):
            raise refuse(
                "bad_config", f"a call refers to {name[:80]!r}, which the model does not have", *path
            )
        name, node = self._moved.get((name, node), (name, node))
        history = [name, node - 1 if name in self._from_one else node, tensor]
        return {
            "class_name": "__keras_tensor__",
            # Keras looks the tensor up by its history and takes the rest from there.
            "config": {"shape": [], "dtype": "float32", "keras_history": history},
        }

    def _fresh(self, name: str) -> str:
        while name in self._names:
            name += "_"
        self._names.add(name)
        return name


def _name(layer: Mapping[str, Any]) -> str:
    config = layer.get("config")
    return str(layer.get("name") or (config.get("name") if isinstance(config, Mapping) else None))


def _is_reference(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and isinstance(value[0], str)
        and isinstance(value[1], int)
        and isinstance(value[2], int)
    )


def _is_new(node: Any) -> bool:
    return isinstance(node, Mapping) and set(node) == {"args", "kwargs"}


def _wraps_list(node: list[Any]) -> bool:
    """``[[[x, 0, 0]]]``: a list of one tensor, where ``[[x, 0, 0]]`` is the tensor alone."""
    return bool(node) and isinstance(node[0], list) and bool(node[0]) and isinstance(node[0][0], list)


def _places(layers: Any, name: str) -> list[int]:
    """The nodes of a layer that the calls ask for."""
    places: list[int] = []
    waiting: list[Any] = [layer.get("inbound_nodes") for layer in layers]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            if len(value) in (3, 4) and value[0] == name and isinstance(value[1], int):
                places.append(value[1])
            waiting += value
        elif isinstance(value, Mapping):
            waiting += value.values()
    return places
