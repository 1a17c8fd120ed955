"""How does the config of an old HDF5 file read in the words of Keras 3? Rewritten as plain dicts, without Keras.

Keras 1, Keras 2 and tf.keras wrote another dialect: other argument names, calls in another notation, TensorFlow
functions as layers. What comes out names a module with each class, as a ``.keras`` file does, and is walked again.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tensortrigger_backend.domain.publishing import Repair
from tensortrigger_backend.forge.doctor.calls import Calls
from tensortrigger_backend.forge.doctor.keras_3 import name_modules
from tensortrigger_backend.forge.doctor.layers import HARD_SIGMOID, LAYERS, mend_arguments, mend_values
from tensortrigger_backend.forge.doctor.names import GONE, KERAS_MODULES, KNOWN, OP_LAYERS
from tensortrigger_backend.forge.doctor.notes import Notes, Path, layer_words
from tensortrigger_backend.forge.keras import allow_list
from tensortrigger_backend.forge.refusal import Refused, refuse

_MODELS = ("Sequential", "Functional", "Model")
_INNER = ("layer", "forward_layer", "backward_layer", "cell", "cells")


@dataclass(frozen=True, slots=True)
class Healed:
    """A config that Keras 3 reads, and what was changed in it.

    Attributes:
        old: Keras 1 or 2 wrote the file, so its weights are laid out as they did.
    """

    config: dict[str, Any]
    repairs: tuple[Repair, ...]
    old: bool


def is_old(version: str | None) -> bool:
    """Was a file with this ``keras_version`` written before Keras 3? The first ones did not say."""
    major = re.match(r"\s*(\d+)", version or "1")
    return major is None or int(major.group(1)) < 3


def heal_hdf5(config: Mapping[str, Any], version: str | None, path: Path) -> Healed | None:
    """The config as Keras 3 reads it; None where it reads it as it is.

    Args:
        version: the file's ``keras_version``, None where it has none.

    Raises:
        Refused: as :func:`heal` does.
    """
    if is_old(version):
        return heal(config, path)
    notes = Notes()
    named = name_modules(config, notes, path)
    return None if named is None else Healed(named, notes.repairs(), old=False)


def heal_archive(config: Mapping[str, Any], version: str | None, path: Path) -> Healed | None:
    """The same for a ``.keras`` file, which Keras wrote from 2.12 on; None where Keras 3 wrote it."""
    return heal(config, path) if version is not None and is_old(version) else None


def heal_training(training: Any) -> Any:
    """What the model was compiled with, the learning rate under its present name."""
    healed = copy.deepcopy(training)
    optimizer = healed.get("optimizer_config") if isinstance(healed, dict) else None
    settings = optimizer.get("config") if isinstance(optimizer, dict) else None
    if isinstance(settings, dict) and "lr" in settings:
        settings.setdefault("learning_rate", settings.pop("lr"))
    return healed


def heal(config: Mapping[str, Any], path: Path) -> Healed:
    """Rewrite the architecture of a file that Keras 1 or 2 wrote.

    Args:
        config: as the file has it, its names already walked.
        path: where it lies in the upload.

    Raises:
        Refused: everything in it that cannot be rewritten, each with its place and remedy.
    """
    try:
        doctor = _Doctor(stateful=_any_stateful(config))
        healed = doctor.model(doctor.clean_names(config, path), path)
    except RecursionError as error:
        raise refuse("too_deep", "the model's config nests too deeply", *path) from error
    if doctor.notes.faults:
        raise Refused(*doctor.notes.faults)
    return Healed(healed, doctor.notes.repairs(), old=True)


class _Doctor:
    def __init__(self, *, stateful: bool) -> None:
        self.notes = Notes()
        self._stateful = stateful

    def clean_names(self, value: Any, path: Path) -> Any:
        """A copy in which no name holds a slash, which Keras 3 does not allow in one."""
        if isinstance(value, Mapping):
            cleaned = {key: self.clean_names(member, (*path, key)) for key, member in value.items()}
            name = cleaned.get("name")
            if isinstance(name, str) and "/" in name:
                cleaned["name"] = name.replace("/", "_")
                if "class_name" in value:
                    where = layer_words(name, str(value["class_name"]))
                    self.notes.changed((*path, "name"), where, "the / in its name is written _")
            return cleaned
        if not isinstance(value, list):
            return value
        cleaned_list = [self.clean_names(member, (*path, index)) for index, member in enumerate(value)]
        if len(value) in (3, 4) and isinstance(value[0], str) and all(isinstance(n, int) for n in value[1:3]):
            cleaned_list[0] = value[0].replace("/", "_")
        return cleaned_list

    def model(self, described: dict[str, Any], path: Path) -> dict[str, Any]:
        kind, config = described.get("class_name"), described.get("config")
        if kind == "Sequential":
            return self._sequential(described, config, path)
        if isinstance(config, dict) and isinstance(config.get("layers"), list):
            return self._functional(described, config, path)
        self.notes.refused(
            path,
            "bad_config",
            f"the model is of the class {str(kind)[:80]!r} and its config lists no layers, so it cannot be rebuilt",
            "build it from built-in layers with the functional API, copy its weights and save it as .keras",
        )
        return described

    def _sequential(self, described: dict[str, Any], config: Any, path: Path) -> dict[str, Any]:
        listed: Any = config
        at: Path = (*path, "config")
        if isinstance(config, list):
            name = described.get("name") or "sequential"
            self.notes.changed(at, f"model '{name}'", "its bare list of layers is put into a config")
            config = {"name": name}
        elif isinstance(config, dict):
            listed, at = config.get("layers"), (*at, "layers")
        if not isinstance(config, dict) or not isinstance(listed, list):
            raise refuse("bad_config", "a Sequential model without layers", *path)
        shape, dtype = _first_input(listed, config.get("build_input_shape"))
        layers: list[Any] = []
        for index, layer in enumerate(listed):
            layers += self.layer(layer, (*at, index))
        if shape is not None:
            name = f"{_name_of(listed[0]) or 'layer'}_input"
            batch = self._free_batch(shape, at, f"model '{config.get('name')}'")
            layers.insert(0, _described("InputLayer", {"batch_shape": batch, "dtype": dtype, "name": name}))
            self.notes.changed(
                at, f"model '{config.get('name')}'", "its batch_input_shape is an InputLayer of its own"
            )
        config = {"name": config.get("name"), "layers": layers}
        return _described("Sequential", config, module="keras")

    def _functional(self, described: dict[str, Any], config: dict[str, Any], path: Path) -> dict[str, Any]:
        at = (*path, "config", "layers")
        calls = Calls(config["layers"], self.notes, at)
        if described.get("class_name") not in ("Functional", "Model"):
            # The name of a subclass; what it computes is in the list of layers, as for any functional model.
            self.notes.refused(
                path,
                "custom_class",
                f"the model is of the custom class {str(described.get('class_name'))[:80]!r}",
                "build it as a keras.Model(inputs, outputs), copy its weights and save it as .keras",
            )
        layers: list[Any] = []
        for index, layer in enumerate(config["layers"]):
            if not isinstance(layer, dict) or not isinstance(layer.get("config"), dict | list):
                raise refuse("bad_config", "an entry in the list of layers that is no layer", *at, index)
            name = layer.get("name") or _name_of(layer)
            nodes = layer.get("inbound_nodes") or []
            if layer.get("class_name") in OP_LAYERS:
                layers += calls.op_layers(layer, name, nodes, (*at, index))
                continue
            if layer.get("class_name") == "Merge":
                calls.merge(layer, (*at, index))
            mended = self.layer(layer, (*at, index))[-1]
            mended["name"] = name
            mended["inbound_nodes"] = calls.nodes(name, mended["class_name"], nodes, (*at, index))
            layers.append(mended)
        healed = {
            "name": config.get("name"),
            "trainable": config.get("trainable", True),
            "layers": layers,
            "input_layers": calls.ends(config.get("input_layers"), path),
            "output_layers": calls.ends(config.get("output_layers"), path),
        }
        return _described("Functional", healed, module="keras.src.models.functional")

    def layer(self, described: Any, path: Path) -> list[dict[str, Any]]:
        """The layer, or the two that take its place."""
        if not isinstance(described, dict) or not isinstance(described.get("class_name"), str):
            raise refuse("bad_config", "an entry in the list of layers that is no layer", *path)
        kind, config = described["class_name"], described.get("config")
        if kind in _MODELS and isinstance(config, dict | list):
            return [self.model(described, path)]
        if not isinstance(config, dict):
            raise refuse("bad_config", f"the layer of the class {kind[:80]!r} has no config", *path)
        where = layer_words(config.get("name"), kind)
        module = described.get("module")
        ours = module is None or (isinstance(module, str) and KERAS_MODULES.match(module) is not None)
        if kind in GONE:
            self.notes.refused(path, "keras_2_layer", f"{where} cannot be rebuilt", GONE[kind])
            return [described]
        if not ours or (kind not in allow_list.LAYERS and kind not in KNOWN):
            # The walk has passed or will refuse it; it is left as it is.
            return [described]
        if kind == "TimeDistributedDense":
            kind, config = (
                "TimeDistributed",
                {"name": config.get("name"), "layer": {"class_name": "Dense", "config": config}},
            )
            self.notes.changed(path, where, "TimeDistributedDense is TimeDistributed around Dense")
        for key in _INNER:
            if isinstance(config.get(key), dict):
                config[key] = self.layer(config[key], (*path, "config", key))[-1]
            elif isinstance(config.get(key), list):
                config[key] = [
                    self.layer(cell, (*path, "config", key, index))[-1]
                    for index, cell in enumerate(config[key])
                ]
        if kind == "InputLayer":
            config = self._input(config, path)
        _unwrap(config)
        kind = mend_arguments(kind, config, self.notes, path)
        mend_values(config, self.notes, (*path, "config"), where)
        if kind == "Activation" and config.get("activation") == HARD_SIGMOID:
            return [self._hard_sigmoid(config, path, where)]
        return [_described(kind, config)]

    def _input(self, config: dict[str, Any], path: Path) -> dict[str, Any]:
        kept: dict[str, Any] = {
            key: config[key] for key in ("name", "dtype", "sparse", "ragged", "optional") if key in config
        }
        shape = _plain_shape(config.get("batch_shape", config.get("batch_input_shape")))
        where = layer_words(config.get("name"), "InputLayer")
        kept["batch_shape"] = None if shape is None else self._free_batch(shape, path, where)
        if isinstance(config.get("dtype"), str) and config["dtype"].endswith("_ref"):
            kept["dtype"] = config["dtype"].removesuffix("_ref")
        if kept["batch_shape"] is None:
            self.notes.refused(
                path,
                "not_built",
                f"{where} does not say the shape of its input",
                "give keras.Input a shape and save the model again",
            )
        if "batch_input_shape" in config:
            self.notes.changed(
                (*path, "config", "batch_input_shape"), where, "batch_input_shape is called batch_shape"
            )
        return kept

    def _hard_sigmoid(self, config: dict[str, Any], path: Path, where: str) -> dict[str, Any]:
        self.notes.changed(
            path,
            where,
            "hard_sigmoid was clip(0.2 x + 0.5) before Keras 3 and is clip(x / 6 + 0.5) since: "
            "a Rescaling by 1.2 stands before it, which gives the old answers",
        )
        name = str(config.get("name"))
        dtype = {"dtype": config["dtype"]} if "dtype" in config else {}
        inner = [
            _described("Rescaling", {"name": f"{name}_scale", "scale": 1.2, "offset": 0.0, **dtype}),
            _described("Activation", {"name": f"{name}_clip", "activation": HARD_SIGMOID, **dtype}),
        ]
        return _described("Sequential", {"name": name, "layers": inner}, module="keras")

    def _free_batch(self, shape: list[Any], path: Path, where: str) -> list[Any]:
        """A number of rows that nothing in the model needs is left open."""
        if not shape or shape[0] is None or self._stateful:
            return shape
        what = "its batch of a fixed number of rows is left open, as nothing in the model needs it"
        self.notes.changed(path, where, what)
        return [None, *shape[1:]]


def _described(kind: str, config: dict[str, Any], module: str = LAYERS) -> dict[str, Any]:
    return {"module": module, "class_name": kind, "config": config, "registered_name": None}


def _name_of(layer: Any) -> Any:
    config = layer.get("config") if isinstance(layer, Mapping) else None
    return config.get("name") if isinstance(config, Mapping) else None


def _first_input(layers: list[Any], built: Any) -> tuple[list[Any] | None, Any]:
    """Shape and dtype of a Sequential's input, where no InputLayer says them."""
    first: Any = layers[0] if layers else None
    while isinstance(first, Mapping):
        config = first.get("config")
        if first.get("class_name") == "InputLayer":
            return None, None
        if first.get("class_name") in _MODELS:
            inner = config.get("layers") if isinstance(config, Mapping) else config
            if first.get("class_name") != "Sequential":
                return None, None
            first = inner[0] if isinstance(inner, list) and inner else None
            if isinstance(first, Mapping) and first.get("class_name") == "InputLayer":
                return None, None
            continue
        if not isinstance(config, Mapping):
            break
        shape = _plain_shape(config.get("batch_input_shape"))
        if (
            shape is None
            and isinstance(config.get("input_dim"), int)
            and first.get("class_name") != "Embedding"
        ):
            length = config.get("input_length")
            recurrent = first.get("class_name") in ("LSTM", "GRU", "SimpleRNN")
            shape = [None, length, config["input_dim"]] if recurrent else [None, config["input_dim"]]
        dtype = config.get("input_dtype") or config.get("dtype")
        if first.get("class_name") == "Embedding" or not isinstance(dtype, str):
            dtype = "float32"
        return shape if shape is not None else _plain_shape(built), dtype
    return _plain_shape(built), "float32"


def _plain_shape(value: Any) -> list[Any] | None:
    if isinstance(value, Mapping):
        value = value.get("items")
    if not isinstance(value, list | tuple):
        return None
    return [length if isinstance(length, int) and length >= 0 else None for length in value]


def _unwrap(config: dict[str, Any]) -> None:
    """Write ``{"class_name": "__tuple__", "items": [...]}`` as the list that it stands for."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value.get("class_name") in (
            "__tuple__",
            "TensorShape",
            "ListWrapper",
        ):
            items = value.get("items")
            config[key] = items if isinstance(items, list) else value


def _any_stateful(layers: Any) -> bool:
    if isinstance(layers, Mapping):
        return layers.get("stateful") is True or any(_any_stateful(value) for value in layers.values())
    return isinstance(layers, list) and any(_any_stateful(value) for value in layers)
