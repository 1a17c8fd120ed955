"""On which inputs are original and servable compared? Random ones that the model can take, the same each time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.tensors import Signature, TensorSpec

Batch = dict[str, npt.NDArray[Any]]

BATCH_SIZES = (1, 7, 32)
SCALES = (1.0, 4.0)
FREE_LENGTHS = (24, 17)
"""What a variable axis is tried with: both long enough for a few convolutions, one of them odd."""

_LENGTHS = (FREE_LENGTHS, (256, 199), (16_000, 15_600))
"""The same for a model of which nothing is known but its signature; the last are a second of sound."""
_TAMENESS = (0, 1, 2)
"""How carefully such a model is asked: any numbers; small ones, none negative; next to nothing."""
_SAMPLE_BYTES = 512 << 20

_SEED = 20240
_WORDS = ("a", "the", "good", "bad", "red", "blue", "film", "Zürich", "", "42", "unseen words here")
# What an input may pass through and still be the same ids.
_CARRIERS = {
    "Reshape",
    "Flatten",
    "Identity",
    "Masking",
    "Dropout",
    "SpatialDropout1D",
    "Permute",
    "RepeatVector",
    "Concatenate",
    "GetItem",
    "Squeeze",
    "ExpandDims",
    "Cast",
}


@dataclass(frozen=True, slots=True)
class Values:
    """What an input holds: ids below ``limit``, or one of ``words``; else numbers of any size."""

    limit: int | None = None
    words: tuple[Any, ...] = field(default=())


def batches(model: Any, signature: Signature) -> Iterator[Batch]:
    """Batches of ``sum(BATCH_SIZES)`` rows for each scale and each length of the free axes."""
    generator = np.random.default_rng(_SEED)
    values = [_values_of(model, tensor) for tensor in model.inputs]
    free = any(length < 0 for spec in signature.inputs for length in spec.shape[1:])
    for length in FREE_LENGTHS if free else FREE_LENGTHS[:1]:
        for scale in SCALES:
            yield {
                spec.name: _random(generator, spec, kind, scale, length)
                for spec, kind in zip(signature.inputs, values, strict=True)
            }


def attempts(signature: Signature) -> Iterator[list[Batch]]:
    """Batches by the signature alone, each time a little tamer or longer, for a model that fails on the ones before."""
    free = any(length < 0 for spec in signature.inputs for length in spec.shape[1:])
    for lengths in _LENGTHS if free else _LENGTHS[:1]:
        for tameness in _TAMENESS:
            generator = np.random.default_rng(_SEED)
            if lengths is not _LENGTHS[0] and _bytes(signature, lengths[0]) > _SAMPLE_BYTES:
                continue
            yield [
                {spec.name: _tame(generator, spec, tameness, scale, length) for spec in signature.inputs}
                for length in (lengths if free else lengths[:1])
                for scale in SCALES
            ]


def _bytes(signature: Signature, length: int) -> int:
    return sum(
        8 * sum(BATCH_SIZES) * math.prod(length if size < 0 else size for size in spec.shape[1:])
        for spec in signature.inputs
    )


def _tame(
    generator: np.random.Generator, spec: TensorSpec, tameness: int, scale: float, free: int
) -> npt.NDArray[Any]:
    if tameness == 0 or spec.dtype in ("string", "bool"):
        return _random(generator, spec, Values(), scale, free)
    shape = (sum(BATCH_SIZES), *(free if length < 0 else length for length in spec.shape[1:]))
    if np.issubdtype(np.dtype(spec.dtype), np.integer):
        return generator.integers(0, 2 if tameness == 1 else 1, shape).astype(spec.dtype)
    return (generator.random(shape) * (1.0 if tameness == 1 else 1e-3)).astype(spec.dtype)


def _random(
    generator: np.random.Generator, spec: TensorSpec, values: Values, scale: float, free: int
) -> npt.NDArray[Any]:
    rows = sum(BATCH_SIZES)
    shape = (rows, *(free if length < 0 else length for length in spec.shape[1:]))
    if spec.dtype == "string":
        words = np.array([str(word) for word in values.words or _WORDS], dtype=object)
        return words[generator.integers(0, len(words), shape)]
    if values.words:
        return generator.choice(np.array(values.words), shape).astype(spec.dtype)
    if values.limit is not None:
        return generator.integers(0, max(values.limit, 1), shape).astype(spec.dtype)
    if spec.dtype == "bool":
        return generator.integers(0, 2, shape).astype(np.bool_)
    if spec.dtype == "uint8":
        return generator.integers(0, 256, shape).astype(np.uint8)
    if np.issubdtype(np.dtype(spec.dtype), np.integer):
        return generator.integers(0, int(10 * scale), shape).astype(spec.dtype)
    return (generator.standard_normal(shape) * scale).astype(spec.dtype)


def _values_of(model: Any, tensor: Any) -> Values:
    """Follow an input to what first makes something else of it."""
    # Only here: a model that is no Keras model is sampled without Keras.
    import keras

    limits: list[int] = []
    words: list[Any] = []
    seen: set[int] = set()
    waiting: list[tuple[Any, Any]] = [(model, tensor)]
    while waiting:
        holder, carried = waiting.pop()
        if id(carried) in seen:
            continue
        seen.add(id(carried))
        for operation, arrives, leaves in _consumers(holder, carried):
            inner = operation
            while type(inner).__name__ in ("TimeDistributed", "SpectralNormalization"):
                inner = inner.layer
            kind = type(inner).__name__
            if isinstance(inner, keras.Model) and getattr(inner, "inputs", None):
                waiting.append((inner, inner.inputs[arrives]))
            elif kind in ("Embedding", "ReversibleEmbedding"):
                limits.append(int(inner.input_dim))
            elif kind == "CategoryEncoding" and inner.num_tokens:
                limits.append(int(inner.num_tokens))
            elif kind in ("StringLookup", "IntegerLookup", "TextVectorization"):
                words.extend(_vocabulary(inner))
            elif kind in _CARRIERS:
                waiting.extend((holder, output) for output in leaves)
    return Values(min(limits) if limits else None, tuple(words))


def _consumers(holder: Any, tensor: Any) -> Iterator[tuple[Any, int, list[Any]]]:
    """Each operation of the model that takes this tensor, at which place, and what it makes of it."""
    functional = getattr(holder, "_functional", None) or holder
    for operation in getattr(functional, "operations", ()):
        for node in operation._inbound_nodes:
            for place, argument in enumerate(node.input_tensors):
                if argument is tensor:
                    yield operation, place, list(node.output_tensors)


def _vocabulary(layer: Any) -> list[Any]:
    known = layer.get_vocabulary()
    if type(layer).__name__ == "IntegerLookup":
        return [int(word) for word in known[:50] if int(word) >= 0] + [10**6 + 3]
    return [str(word) for word in known[:50]] + ["never seen before"]
