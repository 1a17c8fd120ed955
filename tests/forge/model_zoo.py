"""Which Keras models must be served? One builder each; importing this module imports TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

Build = Callable[[], keras.Model]

ACTIVATIONS = [
    *("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "sigmoid", "hard_sigmoid", "log_sigmoid", "tanh"),
    *("hard_tanh", "softplus", "softsign", "swish", "silu", "hard_silu", "mish", "exponential", "linear"),
    *("softmax", "log_softmax", "tanh_shrink", "soft_shrink", "hard_shrink", "squareplus", "sparse_plus"),
]


def dense() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(16, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-3)),
            layers.Dense(3, activation="softmax", kernel_constraint=keras.constraints.MaxNorm(2.0)),
        ]
    )


def batch_normalization() -> keras.Model:
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(8), layers.BatchNormalization(), layers.ReLU(), layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(3, 2, (64, 6))
    model.fit(x, x.sum(1), epochs=2, verbose=0)
    return model


def dropout() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((5,)),
            layers.GaussianNoise(0.1),
            layers.Dense(8, activation="tanh"),
            layers.Dropout(0.5),
            layers.AlphaDropout(0.2),
            layers.Dense(2),
        ]
    )


def conv1d() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((20, 3)),
            layers.Conv1D(8, 3, activation="relu"),
            layers.MaxPooling1D(2),
            layers.Conv1D(4, 3, padding="causal", dilation_rate=2),
            layers.GlobalAveragePooling1D(),
            layers.Dense(2),
        ]
    )


def conv2d() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Rescaling(1 / 255),
            layers.ZeroPadding2D(1),
            layers.Conv2D(6, 3, strides=2, activation="relu"),
            layers.AveragePooling2D(2),
            layers.Conv2DTranspose(4, 3, padding="same"),
            layers.UpSampling2D(2),
            layers.Flatten(),
            layers.Dense(3, activation="sigmoid"),
        ]
    )


def separable_and_depthwise() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((10, 10, 4)),
            layers.SeparableConv2D(6, 3, activation="relu"),
            layers.DepthwiseConv2D(3, depth_multiplier=2),
            layers.GlobalMaxPooling2D(),
            layers.Dense(2),
        ]
    )


def lstm() -> keras.Model:
    return keras.Sequential(
        [keras.Input((None, 4)), layers.LSTM(8, return_sequences=True), layers.LSTM(6), layers.Dense(1)]
    )


def gru() -> keras.Model:
    return keras.Sequential([keras.Input((9, 4)), layers.GRU(8), layers.Dense(2, activation="softmax")])


def bidirectional() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 3)),
            layers.Bidirectional(layers.LSTM(5, return_sequences=True)),
            layers.Bidirectional(layers.GRU(4), merge_mode="sum"),
            layers.Dense(1),
        ]
    )


def multi_head_attention() -> keras.Model:
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(50, 16)(tokens)
    attended = layers.MultiHeadAttention(num_heads=2, key_dim=8)(x, x)
    x = layers.LayerNormalization()(layers.Add()([x, attended]))
    x = layers.Dense(16, activation="gelu")(x)
    return keras.Model(tokens, layers.Dense(3, name="label")(layers.GlobalAveragePooling1D()(x)))


def attention() -> keras.Model:
    query, value = keras.Input((5, 8), name="query"), keras.Input((7, 8), name="value")
    x = layers.Concatenate()([layers.Attention()([query, value]), layers.AdditiveAttention()([query, value])])
    return keras.Model([query, value], layers.Dense(2)(layers.Flatten()(x)))


def several_inputs() -> keras.Model:
    picture, numbers = keras.Input((8, 8, 1), name="picture"), keras.Input((3,), name="numbers")
    x = layers.Flatten()(layers.Conv2D(2, 3)(picture))
    return keras.Model([picture, numbers], layers.Dense(1)(layers.Concatenate()([x, numbers])))


def several_outputs() -> keras.Model:
    x = keras.Input((6,), name="x")
    hidden = layers.Dense(8, activation="relu")(x)
    return keras.Model(
        {"x": x},
        {
            "price": layers.Dense(1)(hidden),
            "kind": layers.Dense(4, activation="softmax")(hidden),
            "hidden": hidden,
        },
    )


def normalization() -> keras.Model:
    layer = layers.Normalization()
    layer.adapt(np.random.default_rng(1).normal((5.0, -3.0, 100.0), (1.0, 0.1, 30.0), (200, 3)))
    return keras.Sequential([keras.Input((3,)), layer, layers.Dense(4, activation="relu"), layers.Dense(1)])


def embedding_and_pooling() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((12,)),
            layers.Embedding(30, 8, mask_zero=True),
            layers.GlobalAveragePooling1D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def every_activation() -> keras.Model:
    x = keras.Input((6,), name="x")
    branches = [layers.Dense(4, activation=name)(x) for name in ACTIVATIONS]
    branches += [layers.LeakyReLU()(x), layers.PReLU(alpha_initializer="normal")(x), layers.ELU(0.7)(x)]
    return keras.Model(x, layers.Dense(3)(layers.Concatenate()(branches)))


def exact_gelu() -> keras.Model:
    x = keras.Input((8,), name="x")
    both = [
        layers.Activation("gelu")(layers.Dense(8)(x)),
        keras.ops.gelu(layers.Dense(8)(x), approximate=False),
    ]
    return keras.Model(x, layers.Dense(2)(layers.Concatenate()([*both, keras.ops.gelu(x, approximate=True)])))


def layer_normalization() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((7, 6)),
            layers.LayerNormalization(),
            layers.UnitNormalization(),
            layers.GroupNormalization(groups=2),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )


def conv_lstm() -> keras.Model:
    return keras.Sequential(
        [keras.Input((4, 6, 6, 1)), layers.ConvLSTM2D(3, 3), layers.Flatten(), layers.Dense(1)]
    )


def time_distributed() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((5, 8, 8, 1)),
            layers.TimeDistributed(layers.Conv2D(3, 3, activation="relu")),
            layers.TimeDistributed(layers.Flatten()),
            layers.SimpleRNN(4),
            layers.Dense(1),
        ]
    )


def residual() -> keras.Model:
    x = keras.Input((8,), name="x")
    block = keras.Sequential(
        [keras.Input((8,)), layers.Dense(8, activation="relu"), layers.Dense(8)], name="block"
    )
    y = layers.Add()([x, block(x)])
    y = layers.Concatenate()([y, layers.Multiply()([x, block(y)])])
    return keras.Model(x, layers.Dense(2, name="answer")(y))


def operators() -> keras.Model:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    x = keras.ops.concatenate([(a * 2.0 + b)[:, 1:3], keras.ops.maximum(a, b) / 3.0], axis=-1)
    return keras.Model([a, b], keras.ops.sum(layers.Dense(5)(x) ** 2, axis=-1, keepdims=True))


def discretization() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((3,)),
            layers.Discretization(bin_boundaries=[-1.0, 0.0, 0.5, 2.0]),
            layers.Embedding(5, 4),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )


def text() -> keras.Model:
    words = layers.TextVectorization(output_sequence_length=6)
    words.adapt(["a good film", "a bad film", "good red blue"])
    return keras.Sequential(
        [
            keras.Input((1,), dtype="string", name="text"),
            words,
            layers.Embedding(10, 4),
            layers.GlobalAveragePooling1D(),
            layers.Dense(1),
        ]
    )


H5 = (
    dense,
    batch_normalization,
    dropout,
    conv1d,
    lstm,
    gru,
    bidirectional,
    normalization,
    embedding_and_pooling,
    conv_lstm,
    discretization,
    residual,
)
KERAS = (
    conv2d,
    separable_and_depthwise,
    multi_head_attention,
    several_inputs,
    several_outputs,
    every_activation,
    exact_gelu,
    layer_normalization,
    time_distributed,
    attention,
    operators,
    text,
)
NAMES = tuple(build.__name__ for build in (*H5, *KERAS))


def build(name: str) -> tuple[keras.Model, str]:
    """A model with weights of its own, biases and all, and the ending of its file."""
    keras.utils.set_random_seed(len(name))
    maker: Any = next(maker for maker in (*H5, *KERAS) if maker.__name__ == name)
    model = maker()
    generator = np.random.default_rng(7)
    for layer in model._flatten_layers():
        if type(layer).__name__ in ("Normalization", "StringLookup", "TextVectorization"):
            continue
        own = layer._trainable_variables
        for variable in own:
            # Biases start at zero, which would hide that one was lost.
            variable.assign_add(generator.normal(0, 0.1, variable.shape).astype(variable.dtype))
    return model, "h5" if maker in H5 else "keras"
