"""Does the servable answer as the original does? On the same inputs, opened from the file that will be served."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.publishing import ATOL, RTOL
from tensortrigger_backend.domain.tensors import Signature
from tensortrigger_backend.forge.refusal import Refused, refuse
from tensortrigger_backend.forge.sampling import BATCH_SIZES, Batch
from tensortrigger_backend.ports.engines import Servable

Answers = dict[str, npt.NDArray[Any]]


class Deviates(Exception):
    """The two do not answer alike; the message says where and by how much."""


class Reference:
    """The original's answers, asked for once and held against whichever servable is tried.

    Args:
        ask: the original, all rows of a batch at once; raises what its library raises.
        attempts: batches to ask it, tamer ones after those that it fails on.
        failed: the refusal of an original that fails on all of them.
    """

    def __init__(
        self,
        ask: Callable[[Batch], Answers],
        signature: Signature,
        attempts: Iterable[list[Batch]],
        failed: Callable[[Exception], Refused],
    ) -> None:
        self._ask = ask
        self._signature = signature
        self._attempts = attempts
        self._failed = failed
        self._batches: list[Batch] = []
        self._answers: list[Answers] = []

    @property
    def sample(self) -> tuple[Batch, Answers]:
        """A batch and what the original answered."""
        self.prepare()
        return self._batches[0], self._answers[0]

    def prepare(self) -> None:
        """Ask the original. Safe to repeat.

        Raises:
            Refused: it fails on everything that it is asked, or does not answer each row.
        """
        if self._answers:
            return
        first: Exception | None = None
        for batches in self._attempts:
            try:
                answers = [self._ask(batch) for batch in batches]
            except Exception as error:  # noqa: BLE001 - whatever the original raises, tamer inputs may do
                first = first or error
                continue
            if not self._answers or _finite(answers) > _finite(self._answers):
                self._batches, self._answers = batches, answers
            if _finite(self._answers) > 0.5:
                break
        if not self._answers:
            raise self._failed(first or ValueError("there is nothing to ask it"))
        self._check_rows()

    def compare(self, servable: Servable) -> float:
        """The largest deviation of the servable, which is closed.

        Raises:
            Refused: as ``prepare``.
            Deviates: it does not answer like the original.
        """
        try:
            self.prepare()
            pairs = zip(self._batches, self._answers, strict=True)
            return max(largest_deviation(servable, batch, answers) for batch, answers in pairs)
        finally:
            servable.close()

    def judge(self, reason: str, remedy: str) -> Refused:
        """Why no servable answers like the original."""
        batch, answers = self.sample
        again, alone = self._ask(batch), self._ask({name: values[:1] for name, values in batch.items()})
        for name, answer in answers.items():
            if answer.dtype.kind != "f":
                continue
            if _apart(again[name], answer):
                return refuse(
                    "not_repeatable",
                    f"the model's output '{name}' differs each time it is asked the same",
                    remedy="take out what is random when the model answers",
                )
            if _apart(alone[name], answer[:1]):
                return refuse(
                    "rows_not_independent",
                    "the model's answer to a row depends on the other rows of its batch, and callers share batches",
                    remedy="take out what computes over the batch axis",
                )
        return refuse(
            "does_not_verify", f"the rebuilt model does not answer like the original: {reason}", remedy=remedy
        )

    def _check_rows(self) -> None:
        rows = sum(BATCH_SIZES)
        for name, answer in self._answers[0].items():
            if answer.ndim == 0 or answer.shape[0] != rows:
                raise refuse(
                    "no_batch_axis",
                    f"output '{name}' does not answer each row: {rows} rows in give the shape {answer.shape}",
                    "output",
                    name,
                    expected=f"({rows}, ...)",
                    got=str(answer.shape),
                    remedy="let every output keep the batch axis of the inputs",
                )


def in_batches_of(rows: int, ask: Callable[[Batch], Answers]) -> Callable[[Batch], Answers]:
    """An original that takes a fixed number of rows at a time, asked any number of them."""

    def answer(batch: Batch) -> Answers:
        count = len(next(iter(batch.values())))
        # The last batch is filled up with its own last row.
        places = np.minimum(np.arange(-(-count // rows) * rows), count - 1)
        parts = [
            ask({name: values[places[start : start + rows]] for name, values in batch.items()})
            for start in range(0, len(places), rows)
        ]
        return {name: np.concatenate([part[name] for part in parts])[:count] for name in parts[0]}

    return answer


def _finite(answers: list[Answers]) -> float:
    """The share of finite numbers in answers that are numbers."""
    numbers = [value for answer in answers for value in answer.values() if value.dtype.kind == "f"]
    total = sum(value.size for value in numbers)
    return sum(int(np.isfinite(value).sum()) for value in numbers) / total if total else 1.0


def _apart(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    if one.shape != other.shape:
        return True
    with np.errstate(invalid="ignore"):
        return bool((np.abs(one - other) > 1e-2 + 1e-2 * np.abs(other)).any())


def predicted(model: Any, signature: Signature, batch: Batch) -> Answers:
    """The original's ``predict`` on all rows at once.

    The servable answers the same rows in other batches, so a model whose rows depend on each other shows here:
    it must not be served, because callers share batches.
    """
    import keras

    from tensortrigger_backend.forge.keras.signatures import structured

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
        # Of an infinity any distance would be a small part.
        outside = ~(alike | (np.isfinite(distance) & (distance <= ATOL + RTOL * np.abs(y0))))
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
