"""Does the servable answer as the original does? On the same inputs, opened from the file that will be served."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.publishing import ATOL, RTOL
from tensortrigger_backend.domain.tensors import Signature
from tensortrigger_backend.forge.sampling import BATCH_SIZES, Batch
from tensortrigger_backend.forge.signatures import structured
from tensortrigger_backend.ports.engines import Servable

Answers = dict[str, npt.NDArray[Any]]


class Deviates(Exception):
    """The two do not answer alike; the message says where and by how much."""


def reference(model: Any, signature: Signature, batch: Batch) -> Answers:
    """The original's ``predict`` on all rows at once.

    The servable answers the same rows in other batches, so a model whose rows depend on each other shows here:
    it must not be served, because callers share batches.
    """
    import keras

    inputs = structured(model, [_for_keras(batch[spec.name]) for spec in signature.inputs])
    rows = len(batch[signature.inputs[0].name])
    outputs = keras.tree.flatten(model.predict(inputs, batch_size=rows, verbose=0))
    return {
        spec.name: _plain(np.asarray(output), spec.dtype)
        for spec, output in zip(signature.outputs, outputs, strict=True)
    }


def largest_deviation(servable: Servable, batch: Batch, expected: Answers) -> float:
    """The largest |y - y0| over all rows and outputs, answered in batches of 1, 7 and 32.

    Raises:
        Deviates: an answer is outside of the tolerance, or the servable cannot answer.
    """
    largest = 0.0
    for rows in _slices():
        part = {name: values[rows] for name, values in batch.items()}
        try:
            answers = servable.infer(part)
        except Exception as error:
            shapes = ", ".join(f"{name} {values.shape}" for name, values in part.items())
            raise Deviates(
                f"it cannot answer {shapes}: {type(error).__name__}: {str(error)[:200]}"
            ) from error
        for name, answer in answers.items():
            largest = max(largest, _compare(name, answer, expected[name][rows]))
    return largest


def _slices() -> Iterator[slice]:
    start = 0
    for size in BATCH_SIZES:
        yield slice(start, start + size)
        start += size


def _compare(name: str, answer: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    if answer.shape != expected.shape:
        raise Deviates(f"output '{name}' has shape {answer.shape} where the original's is {expected.shape}")
    if expected.dtype.kind not in "fc":
        texts = expected.dtype.kind in "OSU"
        same = np.array_equal(_texts(answer), _texts(expected)) if texts else np.array_equal(answer, expected)
        if not same:
            raise Deviates(f"output '{name}' differs in exact values")
        return 0.0
    y, y0 = answer.astype(np.float64), expected.astype(np.float64)
    # The same infinity, or both not a number, is the same answer.
    alike = (y == y0) | (np.isnan(y) & np.isnan(y0))
    with np.errstate(invalid="ignore"):
        distance = np.where(alike, 0.0, np.abs(y - y0))
        outside = ~(alike | (distance <= ATOL + RTOL * np.abs(y0)))
    if outside.any():
        worst = distance[outside]
        by = "not a number" if np.isnan(worst).any() else f"{worst.max():.2g}"
        raise Deviates(f"output '{name}' differs from the original's by {by}")
    return float(distance.max(initial=0.0))


def _for_keras(values: npt.NDArray[Any]) -> Any:
    if values.dtype.kind != "O":
        return values
    import tensorflow as tf

    return tf.constant(values.tolist(), dtype=tf.string)


def _plain(values: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    return values if dtype == "string" else values.astype(dtype)


def _texts(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    texts = [
        text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text) for text in values.ravel()
    ]
    return np.array(texts, dtype=object)
