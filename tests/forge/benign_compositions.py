"""Benign models put together in unusual ways, of unusual precision, or by ``keras.applications``."""

from __future__ import annotations

from typing import Any

import keras
from benign_registry import ZOO, Build, benign, chain
from keras import Input, Model, layers, ops
from keras.src.applications.convnext import ConvNeXt


@benign
def functional_ops() -> keras.Model:
    a, b = Input((4,), name="a"), Input((4,), name="b")
    x = ops.concatenate([ops.abs(a - b)[:, 1:], ops.maximum(a, b) / 3.0], axis=-1)
    x = ops.where(x > 0.5, ops.tanh(x), ops.log1p(ops.abs(x)))
    x = ops.einsum("bi,bj->bij", x, ops.softmax(x))
    return Model(
        [a, b], [ops.mean(x, axis=(1, 2)), ops.expand_dims(ops.max(x, axis=-1), 1), ops.sqrt(ops.square(a))]
    )


@benign
def shared_layer() -> keras.Model:
    a, b, twin = Input((4,), name="a"), Input((4,), name="b"), layers.Dense(3, activation="tanh")
    return Model([a, b], layers.Dot(axes=1)([twin(a), twin(b)]))


@benign
def nested_twice() -> keras.Model:
    inner = chain((4,), layers.Dense(3), layers.BatchNormalization())
    x = Input((4,), name="x")
    middle = Model(x, layers.Add()([inner(x), layers.Dense(3)(x)]))
    y = Input((4,), name="y")
    return Model(y, layers.Concatenate()([middle(y), middle(layers.Dense(4)(y))]))


@benign
def named_outputs() -> keras.Model:
    age, place = Input((1,), name="age"), Input((3,), name="place")
    x = layers.Dense(4)(layers.Concatenate()([age, place]))
    return Model({"age": age, "place": place}, {"price": layers.Dense(1)(x), "kind": layers.Dense(2)(x)})


@benign
def half_precision() -> keras.Model:
    stack = layers.Dense(8, dtype="mixed_float16", activation="relu"), layers.Dense(2, dtype="float32")
    return chain((4,), *stack)


@benign
def brain_float() -> keras.Model:
    return chain((4,), layers.Dense(4, dtype="mixed_bfloat16"), layers.Dense(2, dtype="float32"))


@benign
def double_precision() -> keras.Model:
    return chain((4,), layers.Dense(3, dtype="float64"), dtype="float64")


@benign
def boxes() -> keras.Model:
    return chain(
        (8, 8, 3), layers.MaxNumBoundingBoxes(4), layers.Conv2D(4, 3), layers.Reshape((-1, 4)), name="image"
    )


def application(name: str, **settings: Any) -> Build:
    def build() -> keras.Model:
        maker = getattr(keras.applications, name)
        return maker(weights=None, input_shape=(32, 32, 3), classes=3, **settings)  # type: ignore[no-any-return]

    return build


ZOO["mobilenet_v2"] = application("MobileNetV2", alpha=0.35)
ZOO["mobilenet_v3"] = application("MobileNetV3Small", alpha=0.5, minimalistic=True)


@benign
def conv_next() -> keras.Model:
    sizes = {"depths": (1, 1, 1, 1), "projection_dims": (4, 8, 12, 16)}
    made: keras.Model = ConvNeXt(
        **sizes, drop_path_rate=0.2, weights=None, include_top=True, input_shape=(32, 32, 3), classes=3
    )
    return made
