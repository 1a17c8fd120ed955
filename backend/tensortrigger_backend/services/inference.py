"""Answer single vectors, batches and tensors with a published model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy.typing as npt

from tensortrigger_backend.domain.access import Principal, Scope
from tensortrigger_backend.domain.arrays import json_from_tensor, row_answers, tensors_from_json
from tensortrigger_backend.domain.encoding import VectorEncoder
from tensortrigger_backend.domain.errors import Fault, InvalidInput, Unavailable
from tensortrigger_backend.services.model_cache import ModelCache, Resident

MAX_TENSORS: Final = 64
"""Requests with tensors that may wait or be in work at once."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Answer:
    """Outputs as JSON values.

    Attributes:
        output: one output, or a list of them for a batch.
        non_finite: how many NaN or infinite values became null.
    """

    model_id: str
    output: Any
    non_finite: int


class Inference:
    """Checks inputs against the model's schema or signature, and asks the engine.

    Args:
        executor: where models that take tensors answer.
    """

    def __init__(self, cache: ModelCache, executor: Executor) -> None:
        self._cache = cache
        self._executor = executor
        self._tensors = 0

    async def resident(self, principal: Principal, model_id: str | None, reference: str | None) -> Resident:
        """The named model in memory.

        Raises:
            Forbidden, NotFound, Unavailable, ModelRefused: as ``Registry.resolve``.
        """
        principal.must(Scope.RUN)
        known = self._cache.recall(principal.owner, model_id, reference)
        if known is not None:
            return known
        return await asyncio.to_thread(self._cache.resident, principal.owner, model_id, reference)

    async def run_vector(self, resident: Resident, values: object) -> Answer:
        """One vector, ``{name: number}`` or a list in schema order. Raises InvalidInput."""
        encoder = _encoder_of(resident)
        vectors = encoder.matrix([encoder.vector(values)])
        return _named(resident, await _ask(resident, vectors), single=True)

    async def run_vectors(self, resident: Resident, rows: object, heavy: bool = False) -> Answer:
        """A batch of vectors.

        Args:
            heavy: the batch is so large that checking it would hold up the event loop.

        Raises:
            InvalidInput: naming row and field.
        """
        encoder = _encoder_of(resident)
        vectors = await aside(heavy, lambda: encoder.matrix(encoder.vectors(rows)))
        outputs = await _ask(resident, vectors)
        return await aside(heavy, _named, resident, outputs, False)

    async def run_tensors(self, resident: Resident, inputs: object) -> Answer:
        """Nested lists with the batch axis, for models of any shape.

        Raises:
            InvalidInput: naming the tensor.
            Unavailable: too many such requests wait already.
        """
        if self._tensors >= MAX_TENSORS:
            raise Unavailable("Too many requests with tensors are waiting.", retry_after=1.0)
        self._tensors += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, _infer, resident, inputs)
        finally:
            self._tensors -= 1


async def aside(heavy: bool, function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function here, or in a thread if it is heavy, so that the event loop goes on answering others."""
    if heavy:
        return await asyncio.to_thread(function, *arguments)
    return function(*arguments)


def _infer(resident: Resident, inputs: object) -> Answer:
    arrays = tensors_from_json(inputs, resident.servable.signature)
    if resident.encoder is not None:
        # What a field means holds whichever way its numbers come.
        (array,) = arrays.values()
        resident.encoder.check_encoded(array, ("inputs",))
    output, non_finite = _nested(resident.servable.infer(arrays))
    return Answer(resident.version.model_id, output, non_finite)


async def _ask(resident: Resident, vectors: npt.NDArray[Any]) -> Mapping[str, npt.NDArray[Any]]:
    assert resident.batcher is not None
    return await resident.batcher.answer(vectors)


def _encoder_of(resident: Resident) -> VectorEncoder:
    if resident.encoder is None:
        names = ", ".join(spec.name for spec in resident.servable.signature.inputs)
        raise InvalidInput.of(
            Fault(
                ("input_vector",),
                "takes_tensors",
                "This model does not take one vector: send 'inputs' with the batch axis.",
                f"inputs: {names}",
                "input_vector",
            )
        )
    return resident.encoder


def _named(resident: Resident, outputs: Mapping[str, npt.NDArray[Any]], single: bool) -> Answer:
    nested = {name: json_from_tensor(values) for name, values in outputs.items()}
    names = resident.schema.output_names if resident.schema is not None else ()
    rows = row_answers({name: values for name, (values, _) in nested.items()}, names)
    non_finite = sum(count for _, count in nested.values())
    return Answer(resident.version.model_id, rows[0] if single else rows, non_finite)


def _nested(outputs: Mapping[str, npt.NDArray[Any]]) -> tuple[Any, int]:
    nested = {name: json_from_tensor(values) for name, values in outputs.items()}
    non_finite = sum(count for _, count in nested.values())
    if len(nested) == 1:
        return next(iter(nested.values()))[0], non_finite
    return {name: values for name, (values, _) in nested.items()}, non_finite
