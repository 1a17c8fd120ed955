"""How does one write a .keras archive or a Keras HDF5 file by hand, with any config in it?"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np

Config = dict[str, Any]
Shapes = Mapping[str, Sequence[int]]

METADATA = json.dumps({"keras_version": "3.15.1", "date_saved": "2026-01-01@00:00:00"})


def of(class_name: str, home: str = "keras.layers", **config: Any) -> Config:
    """An object of Keras as ``.keras`` files describe it; ``home`` is its module."""
    named = {"name": class_name.lower(), "trainable": True, "dtype": "float32"} if "layers" in home else {}
    return {"module": home, "class_name": class_name, "config": named | config, "registered_name": None}


def entrance(shape: Sequence[int | None] = (3,), dtype: str = "float32") -> Config:
    """An InputLayer, ``shape`` without the batch axis."""
    layer = of("InputLayer")
    layer["config"] = {"batch_shape": [None, *shape], "dtype": dtype, "name": "entrance"}
    return layer


def rescaling(name: str = "rescaling") -> Config:
    """A layer without weights or harm."""
    return of("Rescaling", name=name, scale=1.0, offset=0.0)


def dense(units: int = 2, **more: Any) -> Config:
    """A Dense layer without bias; its weights lie at ``layers/dense/vars/0``."""
    return of("Dense", units=units, use_bias=False, **more)


def sequential(*layers: Config, name: str = "model") -> Config:
    """A Sequential of these layers."""
    model = of("Sequential", "keras")
    model["config"] = {"name": name, "trainable": True, "dtype": "float32", "layers": list(layers)}
    return model


def functional(layer: Config, name: str = "model", **node: Any) -> Config:
    """A Functional of an input and one layer; ``node`` replaces the arguments with which the layer is called."""
    tensor = {"class_name": "__keras_tensor__", "config": {"shape": [None, 3], "dtype": "float32"}}
    tensor["config"] |= {"keras_history": ["entrance", 0, 0]}  # type: ignore[operator]
    inner = layer["config"]["name"] if isinstance(layer["config"], dict) else layer["name"]
    first = entrance() | {"name": "entrance", "inbound_nodes": []}
    second = layer | {"name": inner, "inbound_nodes": [{"args": [tensor], "kwargs": {}} | node]}
    model = of("Functional", "keras.src.models.functional")
    model["config"] = {
        "name": name,
        "trainable": True,
        "dtype": "float32",
        "layers": [first, second],
        "input_layers": [["entrance", 0, 0]],
        "output_layers": [[inner, 0, 0]],
    }
    return model


def mapping(function: Config) -> Config:
    """A Functional of the op that applies a function to each row, the function being an argument of its node."""
    model = functional(of("Map", "keras.src.ops.core", name="map"))
    model["config"]["layers"][1]["inbound_nodes"][0]["args"].insert(0, function)
    return model


def weights_file(shapes: Shapes | None = None) -> bytes:
    """A ``model.weights.h5`` of zeros."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_group("layers")
        file.create_group("vars")
        for path, shape in (shapes or {}).items():
            file[path] = np.zeros(tuple(shape), "float32")
    return buffer.getvalue()


def archive(config: Config | str | bytes, shapes: Shapes | None = None, **members: bytes) -> bytes:
    """A ``.keras`` file; ``members`` replace or join its own by name."""
    text = config if isinstance(config, str | bytes) else json.dumps(config)
    held: dict[str, str | bytes] = {
        "config.json": text,
        "metadata.json": METADATA,
        "model.weights.h5": weights_file(shapes),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in (held | members).items():
            packed.writestr(name, content)
    return buffer.getvalue()


def hdf5(config: Config | str | bytes, training: Config | None = None, shapes: Shapes | None = None) -> bytes:
    """A legacy HDF5 file, in the way of Keras 2.

    Args:
        shapes: per layer name the shape of its one weight.
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        text = config if isinstance(config, str | bytes) else json.dumps(config)
        file.attrs["model_config"] = text
        file.attrs["keras_version"] = "2.15.0"
        file.attrs["backend"] = "tensorflow"
        if training is not None:
            file.attrs["training_config"] = json.dumps(training)
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [name.encode() for name in (shapes or {})]
        weights.attrs["keras_version"] = "2.15.0"
        for name, shape in (shapes or {}).items():
            group = weights.create_group(name)
            group.attrs["weight_names"] = [b"kernel:0"]
            group["kernel:0"] = np.zeros(tuple(shape), "float32")
    return buffer.getvalue()


def bare(described: Any) -> Any:
    """The same config as HDF5 files write it: without modules."""
    if isinstance(described, dict):
        return {
            key: bare(value) for key, value in described.items() if key not in ("module", "registered_name")
        }
    if isinstance(described, list):
        return [bare(value) for value in described]
    return described
