"""Benign models of dense, convolutional and pooling layers."""

from __future__ import annotations

import keras
import numpy as np
from benign_registry import benign, branches, chain
from keras import Input, Model, layers


@benign
def linear_regression() -> keras.Model:
    return chain((3,), layers.Dense(1))


@benign
def deep_and_wide() -> keras.Model:
    wide, deep = Input((6,), name="wide"), Input((4,), name="deep")
    x = layers.Dense(8, activation="relu")(deep)
    x = layers.Dropout(0.2)(layers.BatchNormalization()(x))
    return Model([wide, deep], layers.Dense(1, activation="sigmoid")(layers.Concatenate()([wide, x])))


@benign
def autoencoder() -> keras.Model:
    return chain((12,), layers.Dense(6, activation="elu"), layers.Dense(2), layers.Dense(6), layers.Dense(12))


@benign
def self_normalizing() -> keras.Model:
    dense = layers.Dense(8, activation="selu", kernel_initializer="lecun_normal")
    return chain((7,), dense, layers.AlphaDropout(0.1), layers.Dense(2), layers.Softmax())


@benign
def regularisation() -> keras.Model:
    noises = layers.GaussianNoise(0.1), layers.GaussianDropout(0.1), layers.ActivityRegularization(l2=0.1)
    spatial = layers.SpatialDropout1D(0.1), layers.Identity(), layers.Flatten()
    return chain((4, 3), *noises, *spatial, layers.Dense(1))


@benign
def activation_layers() -> keras.Model:
    softmax = layers.Softmax(axis=1)
    kinds = (
        layers.ReLU(6.0, 0.1, 0.2),
        layers.LeakyReLU(0.2),
        layers.PReLU("normal"),
        layers.ELU(0.5),
        softmax,
    )
    return branches((5,), *kinds, layers.Activation("hard_sigmoid"), layers.Activation("gelu"))


@benign
def normalisations() -> keras.Model:
    kinds = layers.LayerNormalization(), layers.GroupNormalization(3), layers.UnitNormalization()
    rest = layers.BatchNormalization(), layers.RMSNormalization(), layers.LayerNormalization(axis=[1, 2])
    return branches((4, 6), *kinds, *rest)


@benign
def instance_normalisation() -> keras.Model:
    return chain((6, 6, 4), layers.GroupNormalization(-1), layers.Conv2D(2, 3), layers.GlobalMaxPooling2D())


@benign
def spectral_normalisation() -> keras.Model:
    return chain(
        (6, 6, 2), layers.SpectralNormalization(layers.Conv2D(3, 3)), layers.Flatten(), layers.Dense(1)
    )


@benign
def adapted_normalization() -> keras.Model:
    layer = layers.Normalization()
    layer.adapt(np.random.default_rng(0).normal(4, 3, (64, 5)))
    return chain((5,), layer, layers.Dense(2))


@benign
def merges() -> keras.Model:
    a, b = Input((4,), name="a"), Input((4,), name="b")
    kinds = layers.Add(), layers.Subtract(), layers.Multiply(), layers.Average(), layers.Maximum()
    more = layers.Minimum(), layers.Concatenate(), layers.Dot(axes=1), layers.Dot(axes=1, normalize=True)
    return Model([a, b], [kind([a, b]) for kind in (*kinds, *more)])


@benign
def reshaping() -> keras.Model:
    down = layers.Reshape((3, 4)), layers.Permute((2, 1)), layers.Cropping1D(1), layers.ZeroPadding1D(2)
    return chain(
        (12,), *down, layers.UpSampling1D(2), layers.Flatten(), layers.RepeatVector(3), layers.Dense(2)
    )


@benign
def convolutions_1d() -> keras.Model:
    start = layers.Conv1D(4, 3, padding="causal"), layers.SeparableConv1D(5, 3), layers.DepthwiseConv1D(3)
    end = layers.Conv1DTranspose(3, 3, strides=2), layers.MaxPooling1D(2), layers.AveragePooling1D(2)
    return chain((16, 3), *start, *end, layers.GlobalAveragePooling1D())


@benign
def convolution_1d_of_any_length() -> keras.Model:
    return chain(
        (None, 3), layers.Conv1D(4, 3), layers.Conv1D(2, 3, dilation_rate=2), layers.GlobalMaxPooling1D()
    )


@benign
def convolutions_2d() -> keras.Model:
    start = layers.ZeroPadding2D(1), layers.Conv2D(4, 3, groups=1), layers.Conv2D(4, 3, groups=2)
    middle = layers.SeparableConv2D(5, 3), layers.DepthwiseConv2D(3), layers.Cropping2D(1)
    return chain(
        (14, 14, 3), *start, *middle, layers.MaxPooling2D(2), layers.AveragePooling2D(1), layers.Flatten()
    )


@benign
def convolution_2d_of_any_size() -> keras.Model:
    return chain(
        (None, None, 3), layers.Conv2D(4, 3, padding="same"), layers.GlobalAveragePooling2D(keepdims=True)
    )


@benign
def unet() -> keras.Model:
    x = Input((16, 16, 1), name="x")
    down = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    low = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.MaxPooling2D()(down))
    up = layers.Conv2DTranspose(4, 2, strides=2)(low)
    other = layers.UpSampling2D(interpolation="bilinear")(low)
    joined = layers.Concatenate()([down, up, other])
    return Model(x, layers.Conv2D(1, 1, activation="sigmoid")(joined))


@benign
def convolutions_3d() -> keras.Model:
    start = layers.Conv3D(2, 2), layers.Conv3DTranspose(2, 2), layers.ZeroPadding3D(1), layers.Cropping3D(1)
    end = (
        layers.UpSampling3D(2),
        layers.MaxPooling3D(2),
        layers.AveragePooling3D(2),
        layers.SpatialDropout3D(0.1),
    )
    return chain((6, 6, 6, 1), *start, *end, layers.GlobalAveragePooling3D())


@benign
def pooling_to_one() -> keras.Model:
    x, y = Input((6, 2), name="x"), Input((4, 4, 4, 2), name="y")
    return Model([x, y], [layers.GlobalMaxPooling1D()(x), layers.GlobalMaxPooling3D()(y)])


@benign
def adaptive_pooling() -> keras.Model:
    x, y, z = Input((7, 2), name="x"), Input((7, 6, 2), name="y"), Input((5, 4, 4, 2), name="z")
    one = layers.AdaptiveAveragePooling1D(3)(x), layers.AdaptiveMaxPooling1D(3)(x)
    two = layers.AdaptiveAveragePooling2D((3, 2))(y), layers.AdaptiveMaxPooling2D((3, 2))(y)
    three = layers.AdaptiveAveragePooling3D(2)(z), layers.AdaptiveMaxPooling3D(2)(z)
    return Model([x, y, z], [*one, *two, *three])
