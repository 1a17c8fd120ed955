"""Benign models that prepare their data: images, words, categories and sound."""

from __future__ import annotations

import keras
from benign_registry import benign, branches, chain
from keras import Input, Model, layers


@benign
def image_preprocessing() -> keras.Model:
    steps = layers.Rescaling(1 / 127.5, -1), layers.Resizing(10, 10), layers.CenterCrop(8, 8)
    return chain((12, 12, 3), *steps, layers.Conv2D(2, 3), layers.GlobalAveragePooling2D(), name="image")


@benign
def image_augmentation() -> keras.Model:
    moved = (
        layers.RandomFlip(),
        layers.RandomRotation(0.1),
        layers.RandomZoom(0.1),
        layers.RandomTranslation(0.1, 0.1),
    )
    bent = (
        layers.RandomShear((0.0, 0.1), (0.0, 0.1)),
        layers.RandomPerspective(),
        layers.RandomElasticTransform(),
    )
    light = (
        layers.RandomBrightness(0.1),
        layers.RandomContrast(0.1),
        layers.RandomSaturation(0.1),
        layers.RandomHue(0.1),
    )
    colour = layers.RandomColorJitter(), layers.RandomColorDegeneration(0.1), layers.RandomGrayscale()
    rough = (
        layers.RandomSharpness(0.1),
        layers.RandomPosterization(4),
        layers.RandomInvert(),
        layers.RandomErasing(),
    )
    rest = layers.RandomGaussianBlur(), layers.AutoContrast(), layers.Solarization(0.0, 0.5)
    mixed = layers.MixUp(), layers.CutMix(), layers.RandAugment(), layers.AugMix()
    picture = (*moved, *bent, *light, *colour, *rough, *rest, *mixed)
    end = layers.RandomCrop(8, 8), layers.SpatialDropout2D(0.1), layers.Flatten(), layers.Dense(1)
    return chain((8, 8, 3), *picture, *end, name="image")


@benign
def equalization() -> keras.Model:
    return chain(
        (8, 8, 3),
        layers.Rescaling(1.0),
        layers.Pipeline([layers.Equalization(), layers.Rescaling(0.1)]),
        layers.Flatten(),
        name="image",
    )


@benign
def adaptive_equalization() -> keras.Model:
    return chain((16, 16, 3), layers.ContrastLimitedAdaptiveHistogramEqualization(), name="image")


@benign
def pipeline() -> keras.Model:
    steps = layers.Pipeline([layers.Rescaling(0.5), layers.Resizing(6, 6)])
    return chain((8, 8, 3), steps, layers.Flatten(), layers.Dense(2), name="image")


@benign
def discretized() -> keras.Model:
    bins = layers.Discretization(bin_boundaries=[-1.0, 0.0, 0.5])
    return branches((2,), bins, layers.Discretization(bin_boundaries=[0.5]), name="x")


@benign
def categories() -> keras.Model:
    multi, count = layers.CategoryEncoding(10), layers.CategoryEncoding(10, output_mode="count")
    return branches((3,), multi, count, name="ids", dtype="int32")


@benign
def hashed_numbers() -> keras.Model:
    return branches((2,), layers.Hashing(7), name="ids", dtype="int64")


@benign
def crossed() -> keras.Model:
    a, b = Input((1,), name="ids_a", dtype="int64"), Input((1,), name="ids_b", dtype="int64")
    return Model([a, b], layers.HashedCrossing(9)([a, b]))


@benign
def looked_up_numbers() -> keras.Model:
    return branches((2,), layers.IntegerLookup(vocabulary=[1, 3, 5]), name="ids", dtype="int64")


@benign
def looked_up_words() -> keras.Model:
    lookup = layers.StringLookup(vocabulary=["blue", "a good film"])
    stack = lookup, layers.Embedding(4, 3), layers.Flatten(), layers.Dense(1)
    return chain((1,), *stack, name="text", dtype="string")


@benign
def vectorized_text() -> keras.Model:
    words = layers.TextVectorization(
        vocabulary=["good", "film"], output_mode="tf_idf", idf_weights=[1.5, 0.5]
    )
    return chain((1,), words, layers.Dense(2), name="text", dtype="string")


@benign
def spectrogram() -> keras.Model:
    return chain(
        (256, 1), layers.STFTSpectrogram(frame_length=32, frame_step=16), layers.GlobalAveragePooling1D()
    )


@benign
def mel_spectrogram() -> keras.Model:
    return chain(
        (512,), layers.MelSpectrogram(fft_length=64, sequence_stride=32, num_mel_bins=8, sampling_rate=8000)
    )
