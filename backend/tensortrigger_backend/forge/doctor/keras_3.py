"""What does Keras 3 write into an HDF5 file that it cannot read itself? Ops, several axes, words like functions."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from tensortrigger_backend.forge.doctor.notes import Notes, Path, layer_words
from tensortrigger_backend.forge.keras import allow_list

_MODULES = {
    name: module
    for module, names in (
        *((module, allow_list.CLASSES[module]) for module in allow_list.CLASSES if ".ops." in module),
    )
    for name in names
}
_NAMED = {"Sequential": "keras", "Functional": "keras.src.models.functional", "Model": "keras"}


def name_modules(config: Mapping[str, Any], notes: Notes, path: Path) -> dict[str, Any] | None:
    """The config with the module of each layer and op, as a ``.keras`` file has it; None where Keras reads it well."""
    named: dict[str, Any] = copy.deepcopy(dict(config))
    return named if _name(named, notes, path) else None


def _name(described: dict[str, Any], notes: Notes, path: Path) -> bool:
    described.setdefault("registered_name", None)
    described["module"] = _NAMED.get(str(described.get("class_name")), "keras.layers")
    config = described.get("config")
    layers = config.get("layers") if isinstance(config, dict) else None
    if not isinstance(layers, list):
        return False
    found = False
    for index, layer in enumerate(layers):
        at = (*path, "config", "layers", index)
        if not isinstance(layer, dict) or "module" in layer:
            continue
        kind = layer.get("class_name")
        if kind in _NAMED:
            found |= _name(layer, notes, at)
        elif isinstance(kind, str) and kind in _MODULES and _is_op(layer):
            found = True
            layer |= {"module": _MODULES[kind], "registered_name": None}
            what = "the module of this Keras op, which an HDF5 file does not say, is named"
            notes.changed(at, layer_words(layer.get("name"), kind), what)
        else:
            if isinstance(kind, str) and _loses_axes(layer):
                found = True
                what = "its several axes are kept, of which Keras' own reader of HDF5 files keeps none"
                notes.changed((*at, "config", "axis"), layer_words(layer.get("name"), kind), what)
            if kind == "Attention":
                found = True
                what = (
                    "its score_mode stays a word, which Keras' own reader of HDF5 files takes for a function"
                )
                notes.changed((*at, "config", "score_mode"), layer_words(layer.get("name"), kind), what)
            layer |= {"module": "keras.layers", "registered_name": None}
    return found


def _loses_axes(layer: Mapping[str, Any]) -> bool:
    config = layer.get("config")
    axis = config.get("axis") if isinstance(config, Mapping) else None
    return isinstance(axis, list) and len(axis) > 1


def _is_op(layer: Mapping[str, Any]) -> bool:
    """Some ops and layers share a name; a layer says whether it is trained."""
    config = layer.get("config")
    return isinstance(config, Mapping) and "trainable" not in config and bool(layer.get("inbound_nodes"))
