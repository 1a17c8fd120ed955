"""Files of Keras 1 and 2: those in ``keras_2_files.zip``, which tf_keras 2.21 wrote, and older ones made by hand.

``make_keras_2_files.py`` says how the former came about. Importing this module imports TensorFlow.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from keras import layers

FILES = Path(__file__).with_name("keras_2_files.zip")
ARCHIVED = ("bidir", "lstm_hard", "mha", "nested", "ops")
"""Those that are published as ``.keras`` too."""
BY_HAND = ("cudnn", "keras_1_recurrent", "keras_1_merge", "keras_1_theano")


def names() -> tuple[str, ...]:
    with zipfile.ZipFile(FILES) as archive:
        written = sorted(name.removesuffix(".h5") for name in archive.namelist() if name.endswith(".h5"))
    return (*written, *(f"archived_{name}" for name in ARCHIVED), *BY_HAND)


def unpack(name: str, folder: Path) -> Path:
    """The upload, with ``keras_2_NAME.npz`` beside it: inputs, and what the Keras of its time answered."""
    archived = name.startswith("archived_")
    upload = folder / f"keras_2_{name}.{'keras' if archived else 'h5'}"
    if name in BY_HAND:
        globals()[f"write_{name}"](upload)
        return upload
    with zipfile.ZipFile(FILES) as archive:
        plain = name.removeprefix("archived_")
        upload.write_bytes(archive.read(f"{plain}{upload.suffix}"))
        upload.with_suffix(".npz").write_bytes(archive.read(f"{plain}.npz"))
    return upload


def _write(
    upload: Path,
    version: str,
    config: dict[str, Any],
    weights: dict[str, list[Any]],
    x: Any,
    y: Any,
    backend: str = "",
) -> None:
    with h5py.File(upload, "w") as file:
        if version != "1":
            file.attrs["keras_version"] = version.encode()
        file.attrs["model_config"] = json.dumps(config).encode()
        group = file.create_group("model_weights")
        group.attrs["backend"] = backend.encode()
        group.attrs["layer_names"] = [name.encode() for name in weights]
        for name, arrays in weights.items():
            own = group.create_group(name)
            own.attrs["weight_names"] = [f"{name}_{number}".encode() for number in range(len(arrays))]
            for number, array in enumerate(arrays):
                own.create_dataset(f"{name}_{number}", data=array)
    np.savez(upload.with_suffix(".npz"), in0=x, out0=np.asarray(y))


def _random_weights(model: keras.Model) -> None:
    generator = np.random.default_rng(4)
    for variable in model.weights:
        variable.assign(generator.normal(0, 0.4, variable.shape))


def write_cudnn(upload: Path) -> None:
    model = keras.Sequential(
        [keras.Input((5, 3)), layers.LSTM(4, return_sequences=True, name="lstm"), layers.GRU(2, name="gru")]
    )
    _random_weights(model)
    x = np.random.default_rng(5).normal(size=(6, 5, 3)).astype("float32")

    def packed(values: list[Any], gates: int) -> list[Any]:
        kernel, recurrent, bias = values
        kernel = np.hstack([part.T.reshape(part.shape) for part in np.hsplit(kernel, gates)])
        recurrent = np.hstack([part.T for part in np.hsplit(recurrent, gates)])
        return [kernel, recurrent, np.tile(bias / 2, 2) if bias.ndim == 1 else bias.ravel()]

    common = {"return_state": False, "go_backwards": False, "stateful": False, "trainable": True}
    config = [
        {
            "class_name": "CuDNNLSTM",
            "config": {
                "name": "lstm",
                "units": 4,
                "return_sequences": True,
                "batch_input_shape": [None, 5, 3],
                "dtype": "float32",
                **common,
            },
        },
        {
            "class_name": "CuDNNGRU",
            "config": {"name": "gru", "units": 2, "return_sequences": False, **common},
        },
    ]
    weights = {
        "lstm": packed(model.layers[0].get_weights(), 4),
        "gru": packed(model.layers[1].get_weights(), 3),
    }
    _write(
        upload,
        "2.1.5",
        {"class_name": "Sequential", "config": config},
        weights,
        x,
        model.predict(x, verbose=0),
    )


def write_keras_1_recurrent(upload: Path) -> None:
    model = keras.Sequential(
        [keras.Input((5, 3)), layers.LSTM(4, name="lstm"), layers.Dense(2, name="dense")]
    )
    _random_weights(model)
    x = np.random.default_rng(5).normal(size=(6, 5, 3)).astype("float32")
    parts = [np.split(value, 4, axis=-1) for value in model.layers[0].get_weights()]
    # Keras 1 had the gates in the order i, c, f, o.
    gates = [part[gate] for gate in (0, 2, 1, 3) for part in parts]
    config = [
        {
            "class_name": "LSTM",
            "config": {
                "name": "lstm",
                "output_dim": 4,
                "init": "glorot_uniform",
                "inner_init": "orthogonal",
                "forget_bias_init": "one",
                "activation": "tanh",
                "inner_activation": "sigmoid",
                "return_sequences": False,
                "go_backwards": False,
                "stateful": False,
                "unroll": False,
                "consume_less": "cpu",
                "dropout_W": 0.0,
                "dropout_U": 0.0,
                "W_regularizer": None,
                "input_dim": 3,
                "input_length": 5,
                "batch_input_shape": [32, 5, 3],
                "input_dtype": "float32",
            },
        },
        {
            "class_name": "Dense",
            "config": {
                "name": "dense",
                "output_dim": 2,
                "init": "normal",
                "activation": "linear",
                "bias": True,
                "W_regularizer": {"name": "WeightRegularizer", "l1": 0.0, "l2": 0.01},
                "input_dim": None,
                "activity_regularizer": None,
                "W_constraint": None,
                "b_constraint": None,
                "trainable": True,
            },
        },
    ]
    weights = {"lstm": gates, "dense": model.layers[1].get_weights()}
    _write(
        upload,
        "1.2.2",
        {"class_name": "Sequential", "config": config},
        weights,
        x,
        model.predict(x, verbose=0),
    )


def write_keras_1_merge(upload: Path) -> None:
    a = keras.Input((3,), name="a")
    dense = layers.Dense(3, name="dense")
    model = keras.Model(a, layers.Concatenate()([dense(a), a]))
    _random_weights(model)
    x = np.random.default_rng(5).normal(size=(6, 3)).astype("float32")
    entries = [
        {
            "class_name": "InputLayer",
            "name": "a",
            "config": {
                "name": "a",
                "batch_input_shape": [None, 3],
                "input_dtype": "float32",
                "sparse": False,
            },
            "inbound_nodes": [],
        },
        {
            "class_name": "Dense",
            "name": "dense",
            "config": {"name": "dense", "output_dim": 3, "activation": "linear", "bias": True},
            "inbound_nodes": [[["a", 0, 0]]],
        },
        {
            "class_name": "Merge",
            "name": "merge",
            "config": {"name": "merge", "mode": "concat", "concat_axis": -1, "mode_type": "raw"},
            "inbound_nodes": [[["dense", 0, 0], ["a", 0, 0]]],
        },
    ]
    config = {
        "name": "m",
        "layers": entries,
        "input_layers": [["a", 0, 0]],
        "output_layers": [["merge", 0, 0]],
    }
    weights = {"dense": dense.get_weights()}
    _write(upload, "1", {"class_name": "Model", "config": config}, weights, x, model.predict(x, verbose=0))


def write_keras_1_theano(upload: Path) -> None:
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(3, (3, 2), name="conv"),
            layers.Flatten(),
            layers.Dense(1, name="dense"),
        ]
    )
    _random_weights(model)
    x = np.random.default_rng(5).normal(size=(6, 6, 6, 2)).astype("float32")
    kernel, bias = model.layers[0].get_weights()
    config = [
        {
            "class_name": "Convolution2D",
            "config": {
                "name": "conv",
                "nb_filter": 3,
                "nb_row": 3,
                "nb_col": 2,
                "subsample": [1, 1],
                "border_mode": "valid",
                "dim_ordering": "tf",
                "activation": "linear",
                "bias": True,
                "batch_input_shape": [None, 6, 6, 2],
            },
        },
        {"class_name": "Flatten", "config": {"name": "flatten"}},
        {"class_name": "Dense", "config": {"name": "dense", "output_dim": 1, "activation": "linear"}},
    ]
    # Theano's convolution turns the kernel round.
    weights = {"conv": [kernel[::-1, ::-1], bias], "dense": model.layers[2].get_weights()}
    answers = model.predict(x, verbose=0)
    _write(
        upload, "1.2.0", {"class_name": "Sequential", "config": config}, weights, x, answers, backend="theano"
    )
