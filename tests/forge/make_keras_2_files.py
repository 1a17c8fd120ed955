"""Writes ``keras_2_files.zip``: models as Keras 2 saved them, as HDF5 and as ``.keras``, and what it answered.

``pip install tf_keras``, which is Keras 2 under another name, into an environment of its own; then run this there.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tf_keras import layers

TARGET = Path(__file__).with_name("keras_2_files.zip")
KINDS: dict[str, Callable[[], Any]] = {}


def kind(build: Callable[[], Any]) -> Callable[[], Any]:
    KINDS[build.__name__] = build
    return build


@kind
def dense_seq() -> Any:
    return keras.Sequential(
        [
            layers.Dense(4, activation="relu", input_shape=(3,)),
            layers.BatchNormalization(),
            layers.Dropout(0.2),
            layers.Dense(2, activation="hard_sigmoid"),
        ]
    )


@kind
def lstm_hard() -> Any:
    return keras.Sequential(
        [
            layers.Embedding(20, 4, input_length=7, mask_zero=True),
            layers.LSTM(5, recurrent_activation="hard_sigmoid", return_sequences=True),
            layers.GRU(4, reset_after=False, recurrent_activation="hard_sigmoid"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


@kind
def bidir() -> Any:
    return keras.Sequential(
        [
            layers.Bidirectional(layers.LSTM(3, return_sequences=True), input_shape=(6, 2)),
            layers.Bidirectional(layers.GRU(3)),
            layers.Dense(2),
        ]
    )


@kind
def conv_bn() -> Any:
    x = i = layers.Input((12, 12, 3))
    x = layers.Conv2D(4, 3, padding="same")(x)
    x = layers.BatchNormalization(axis=[3])(x)
    x = layers.LeakyReLU(0.2)(x)
    x = layers.DepthwiseConv2D(3)(x)
    x = layers.SeparableConv2D(5, 3)(x)
    x = layers.Conv2DTranspose(2, 3)(x)
    x = layers.SpatialDropout2D(0.1)(x)
    x = layers.ThresholdedReLU(0.1)(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(i, layers.Dense(2)(x))


@kind
def nested() -> Any:
    inner = keras.Sequential(
        [layers.Dense(4, activation="relu", input_shape=(3,)), layers.BatchNormalization(), layers.Dense(3)],
        name="inner",
    )
    a = layers.Input((3,))
    f = keras.Model(a, layers.Add()([a, layers.Dense(3, name="deep")(a)]), name="func")
    i = layers.Input((3,))
    j = layers.Input((3,))
    return keras.Model([i, j], layers.Concatenate()([inner(i), inner(j), f(inner(i)), f(j)]))


@kind
def nested_output() -> Any:
    inner = keras.Sequential(
        [layers.Dense(4, activation="relu", input_shape=(3,)), layers.Dense(3)], name="inner"
    )
    a = layers.Input((3,))
    f = keras.Model(a, layers.Dense(2)(a), name="func")
    i = layers.Input((3,))
    return keras.Model(i, [inner(i), f(i)])


@kind
def frozen_nested() -> Any:
    inner = keras.Sequential(
        [
            layers.Dense(4, input_shape=(3,)),
            layers.BatchNormalization(),
            layers.Dense(3),
            layers.BatchNormalization(),
        ],
        name="inner",
    )
    inner.layers[0].trainable = False
    inner.layers[3].trainable = False
    return keras.Sequential([layers.InputLayer((3,)), inner, layers.Dense(1)])


@kind
def shared() -> Any:
    d = layers.Dense(3)
    i = layers.Input((3,))
    return keras.Model(i, layers.Multiply()([d(i), d(d(i))]))


@kind
def ops() -> Any:
    i = layers.Input((8, 8, 3))
    x = layers.Conv2D(4, 3)(i)
    x = x * tf.nn.relu6(x + 3.0) * (1.0 / 6.0)
    x = tf.reduce_mean(x, axis=[1, 2])
    y = x[:, 1:3]
    z = tf.concat([y, -y], axis=-1)
    z = tf.reshape(z, [-1, 2, 2])
    z = tf.transpose(z, [0, 2, 1])
    z = tf.expand_dims(z, 1)
    z = tf.squeeze(z, 1)
    z = 2.0 - z
    z = 1.0 / (tf.exp(z) + 1.0)
    z = tf.clip_by_value(z, 0.1, 0.9)
    z = tf.math.reduce_max(z, axis=-1, keepdims=True)
    z = tf.matmul(z, z, transpose_b=True)
    z = z[:, :, 0]
    return keras.Model(i, z)


@kind
def mha() -> Any:
    i = layers.Input((5, 8))
    j = layers.Input((7, 8))
    x = layers.MultiHeadAttention(2, 4)(i, j)
    x = layers.LayerNormalization()(x + i)
    x = layers.LayerNormalization(axis=[2])(x)
    return keras.Model([i, j], layers.GlobalAveragePooling1D()(x))


@kind
def states() -> Any:
    i = layers.Input((5, 3))
    _, h, c = layers.LSTM(4, return_state=True, name="enc")(i)
    d = layers.LSTM(4, name="dec")(i, initial_state=[h, c])
    return keras.Model(i, layers.Dense(2)(d))


@kind
def dictio() -> Any:
    a = layers.Input((3,), name="b_in")
    b = layers.Input((2,), name="a_in")
    return keras.Model(
        {"b_in": a, "a_in": b},
        {"y": layers.Dense(1, name="y")(layers.Concatenate()([a, b])), "x": layers.Dense(2, name="x")(a)},
    )


@kind
def convlstm() -> Any:
    return keras.Sequential(
        [
            layers.ConvLSTM2D(3, 3, input_shape=(4, 6, 6, 1), recurrent_activation="hard_sigmoid"),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )


@kind
def timedist() -> Any:
    return keras.Sequential(
        [
            layers.TimeDistributed(layers.Conv2D(2, 3, activation="relu"), input_shape=(3, 6, 6, 1)),
            layers.TimeDistributed(layers.Flatten()),
            layers.TimeDistributed(layers.Dense(3, activation="hard_sigmoid")),
            layers.SimpleRNN(3),
            layers.Activation("hard_sigmoid"),
        ]
    )


@kind
def fixed_batch() -> Any:
    return keras.Sequential([layers.InputLayer((4,), batch_size=16), layers.Dense(2)])


@kind
def rnncells() -> Any:
    return keras.Sequential(
        [layers.RNN([layers.LSTMCell(3), layers.GRUCell(4)], input_shape=(5, 2)), layers.Dense(1)]
    )


@kind
def norm() -> Any:
    n = layers.Normalization()
    n.adapt(np.random.rand(50, 3) * 10)
    return keras.Sequential([layers.InputLayer((3,)), n, layers.Dense(2)])


@kind
def preprocess() -> Any:
    return keras.Sequential(
        [
            layers.InputLayer((8, 8, 3)),
            layers.Rescaling(1 / 255.0),
            layers.RandomFlip(),
            layers.RandomRotation(0.1),
            layers.RandomHeight(0.1),
            layers.Resizing(6, 6),
            layers.Conv2D(2, 3),
            layers.GlobalMaxPooling2D(),
        ]
    )


@kind
def policy() -> Any:
    p = keras.mixed_precision.Policy("mixed_float16")
    return keras.Sequential(
        [layers.InputLayer((4,)), layers.Dense(8, dtype=p), layers.Dense(2, dtype="float32")]
    )


@kind
def masked_attention() -> Any:
    i = layers.Input((6,))
    x = layers.Embedding(10, 4, mask_zero=True)(i)
    a = layers.Attention(use_scale=True)([x, x])
    return keras.Model(i, layers.GlobalAveragePooling1D()(a))


@kind
def textvec() -> Any:
    t = layers.TextVectorization(output_sequence_length=4, vocabulary=["a", "good", "film"])
    return keras.Sequential(
        [keras.Input((1,), dtype="string"), t, layers.Embedding(6, 3), layers.Flatten(), layers.Dense(1)]
    )


@kind
def buildlater() -> Any:
    m = keras.Sequential([layers.Dense(3, activation="relu"), layers.Dense(1)])
    m.build((None, 4))
    return m


def moved(model: Any, name: str) -> Any:
    """The model with weights that are no longer those that every layer begins with."""
    generator = np.random.default_rng(3)
    for weight in model.weights:
        if weight.dtype.is_floating and "variance" not in weight.name and "norm" not in name:
            weight.assign_add(tf.cast(generator.normal(0, 0.1, weight.shape), weight.dtype))
    return model


def inputs_for(model: Any, name: str) -> list[Any]:
    generator = np.random.default_rng(3)
    ids = any(isinstance(layer, layers.Embedding) for layer in model.layers)
    arrays = []
    for tensor in model.inputs:
        shape = [16 if name == "fixed_batch" else 5, *tensor.shape[1:]]
        if tensor.dtype == tf.string:
            arrays.append(np.array(generator.choice(["good film", "a", "zz"], shape)))
        elif ids:
            arrays.append(generator.integers(0, 10, shape).astype("float32"))
        else:
            arrays.append(generator.normal(0, 2, shape).astype("float32"))
    return arrays


def answers_of(model: Any, name: str, inputs: list[Any]) -> Any:
    if name == "textvec":
        return model(tf.constant(inputs[0]))
    given = inputs[0] if len(inputs) == 1 else inputs
    if name == "dictio":
        given = {"a_in": inputs[0], "b_in": inputs[1]}
    return model.predict(given, verbose=0, batch_size=16)


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        zipfile.ZipFile(TARGET, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, build in KINDS.items():
            keras.backend.clear_session()
            keras.utils.set_random_seed(len(name))
            model = moved(build(), name)
            inputs = inputs_for(model, name)
            answers = tf.nest.flatten(answers_of(model, name, inputs))
            model.compile("adam", "mse")
            arrays = {f"in{place}": value for place, value in enumerate(inputs)}
            arrays |= {f"out{place}": np.asarray(value) for place, value in enumerate(answers)}
            np.savez(Path(folder, f"{name}.npz"), **arrays)
            for suffix in ("h5", "keras"):
                model.save(Path(folder, f"{name}.{suffix}"))
            for suffix in ("h5", "keras", "npz"):
                archive.write(Path(folder, f"{name}.{suffix}"), f"{name}.{suffix}")
            print(name)


if __name__ == "__main__":
    main()
