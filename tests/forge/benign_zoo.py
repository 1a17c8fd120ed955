"""Which architectures must the forge take? One of every family in Keras, all of its layers among them.

An input's name says what it holds: ``ids`` small whole numbers, ``text`` words, ``image`` 0 to 255, all else any
numbers. Importing this module imports TensorFlow.
"""

from __future__ import annotations

from typing import Any

import benign_compositions
import benign_data
import benign_networks
import benign_sequences
import keras
import numpy as np
from benign_registry import ZOO

WORDS = ("a good film", "a bad film", "blue", "", "nothing known")
MODULES = (benign_networks, benign_sequences, benign_data, benign_compositions)
"""Imported for what they put into the zoo."""

ONLY_KERAS = frozenset(
    {
        "conv_next",
        "tied_embedding",
        "pipeline",
        "image_augmentation",
        "named_outputs",
        "brain_float",
        "looked_up_words",
    }
)
"""Saved as ``.keras``; of the others every second is saved as HDF5."""


def ending(name: str) -> str:
    return "h5" if name not in ONLY_KERAS and sorted(ZOO).index(name) % 2 else "keras"


def inputs_for(model: keras.Model, rows: int) -> list[Any]:
    generator = np.random.default_rng(99)
    arrays: list[Any] = []
    for tensor in model.inputs:
        shape = (rows, *(13 if length is None else length for length in tensor.shape[1:]))
        if tensor.dtype == "string":
            arrays.append(np.array(WORDS)[generator.integers(0, len(WORDS), shape)])
        elif tensor.name.startswith("ids"):
            arrays.append(generator.integers(0, 9, shape).astype(tensor.dtype))
        elif tensor.name.startswith("image"):
            arrays.append(generator.uniform(0, 255, shape).astype(tensor.dtype))
        else:
            arrays.append(generator.normal(0, 2, shape).astype(tensor.dtype))
    return arrays
