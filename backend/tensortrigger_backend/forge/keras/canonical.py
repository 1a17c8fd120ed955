"""How is a model rebuilt from plain values only? From its filtered config and named weights.

The weights are named ``0003.Dense/0``: the number of the layer in the model's own order, its class, and the key
under which the layer itself stores the value. (Not its name: Keras counts up the names of a layer's inner layers.)
Files that a layer keeps beside its weights (a vocabulary) are stored the same way, as bytes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from tensortrigger_backend.forge.keras.config_walk import check_config
from tensortrigger_backend.forge.limits import Limits

Weights = dict[str, npt.NDArray[Any]]

_FILE = "file:"


def canonical(model: Any) -> tuple[bytes, bytes, Any]:
    """The packed config and weights of a loaded model, and the model that comes back from only these.

    Raises:
        Refused: Keras wrote something into the config that is not listed.
        ValueError: the model does not come back whole.
    """
    config, weights = pack_config(config_of(model)), pack_weights(weights_of(model))
    return config, weights, rebuild(config, weights)


def config_of(model: Any) -> dict[str, Any]:
    """The architecture of a loaded model, compilation left out, every name in it on the allow-list.

    Raises:
        Refused: Keras wrote something into it that is not listed.
    """
    config: dict[str, Any] = _plain(keras.saving.serialize_keras_object(model))
    check_config(config, Limits(), qualified=True, path=("config.json",))
    return config


def weights_of(model: Any) -> Weights:
    """Every value that the layers store, by name."""
    weights: Weights = {}
    for prefix, layer in _layers(model):
        weights |= {f"{prefix}/{key}": _numbers(value) for key, value in _own_values(layer).items()}
        if _keeps_files(layer):
            with tempfile.TemporaryDirectory() as folder:
                layer.save_assets(folder)
                for file in sorted(Path(folder).iterdir()):
                    weights[f"{prefix}/{_FILE}{file.name}"] = np.frombuffer(file.read_bytes(), dtype=np.uint8)
    return weights


def rebuild(config: bytes, weights: bytes) -> Any:
    """A new model from ``config.json`` and ``weights.safetensors``, with nothing left over.

    Raises:
        ValueError: the weights do not fit the architecture.
    """
    model = keras.saving.deserialize_keras_object(json.loads(config), safe_mode=True)
    unused: Weights = dict(load_safetensors(weights))
    for prefix, layer in _layers(model):
        kept, files = {}, {}
        for name in [name for name in unused if name.startswith(f"{prefix}/")]:
            key = name.removeprefix(f"{prefix}/")
            value = unused.pop(name)
            if key.startswith(_FILE):
                files[key.removeprefix(_FILE)] = value.tobytes()
            else:
                kept[key] = value
        if files:
            with tempfile.TemporaryDirectory() as folder:
                for name, content in files.items():
                    (Path(folder) / Path(name).name).write_bytes(content)
                layer.load_assets(folder)
        if kept.keys() != _own_values(layer).keys():
            raise ValueError(f"the weights of {prefix} are {sorted(kept)}")
        if kept:
            layer.load_own_variables(kept)
    if unused:
        raise ValueError(f"{len(unused)} weights belong to no layer, the first is {min(unused)}")
    return model


def pack_weights(weights: Weights) -> bytes:
    """The bytes of ``weights.safetensors``."""
    # Without a copy of what lies in order already: the weights may be most of the memory there is.
    ordered = {name: np.asarray(weights[name], order="C") for name in sorted(weights)}
    return bytes(save_safetensors(ordered))


def pack_config(config: dict[str, Any]) -> bytes:
    """The bytes of ``config.json``."""
    return json.dumps(config, indent=1).encode()


def _layers(model: Any) -> Iterator[tuple[str, Any]]:
    for number, layer in enumerate(model._flatten_layers()):
        yield f"{number:04d}.{type(layer).__name__}", layer


def _own_values(layer: Any) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    layer.save_own_variables(kept)
    return kept


def _keeps_files(layer: Any) -> bool:
    return hasattr(layer, "save_assets") and hasattr(layer, "load_assets")


def _numbers(value: Any) -> npt.NDArray[Any]:
    array = np.asarray(value)
    # bfloat16 is no dtype of NumPy's own; float32 holds each of its values exactly.
    return array if array.dtype.kind in "fiub" else array.astype(np.float32)


def _plain(config: Any) -> Any:
    """The same config as JSON would give it back, without what the model was compiled with."""
    if isinstance(config, dict):
        return {str(key): _plain(value) for key, value in config.items() if key != "compile_config"}
    if isinstance(config, list | tuple):
        return [_plain(value) for value in config]
    return config
