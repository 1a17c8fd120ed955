"""What a client asks of a model: the answer to one vector, to many, or to tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tensortrigger_lab.calls.call import Call, Seen, read_answer
from tensortrigger_lab.calls.models import reference_to, suggesting
from tensortrigger_lab.request import Request
from tensortrigger_lab.wire import ModelReference, Value, WireError, member, text, whole


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said: ``output`` as the API gives it, with null for each ``non_finite`` number."""

    output: Any
    model_id: str
    non_finite: int = 0

    @classmethod
    def read(cls, members: Any) -> Answer:
        """From JSON."""
        if "output" not in members:
            raise WireError("'output' is missing")
        return cls(
            members["output"], member(members, "model_id", text, ""), member(members, "non_finite", whole, 0)
        )


def run(
    seen: Seen, model: ModelReference | str, vector: Mapping[str, Value] | Sequence[Value]
) -> Call[Answer]:
    """One vector, by name or in schema order; the model by id, ``name``, ``name/3`` or ``name@alias``.

    Example:
        >>> client.run("churn", {"age": 41, "visits": 3}).output  # doctest: +SKIP
        [0.173]
    """
    return _asked(seen, "/tensor/run", model, {"input_vector": vector})


def run_batch(seen: Seen, model: ModelReference | str, vectors: Sequence[Any]) -> Call[Answer]:
    """Many vectors; ``output`` is a list in their order."""
    return _asked(seen, "/tensor/run/batch", model, {"input_vectors": vectors})


def run_tensors(
    seen: Seen, model: ModelReference | str, inputs: Mapping[str, Any] | Sequence[Any]
) -> Call[Answer]:
    """Nested lists with the batch axis first, by input name, or bare where there is one input."""
    return _asked(seen, "/tensor/run", model, {"inputs": inputs})


def _asked(seen: Seen, path: str, model: ModelReference | str, values: Mapping[str, Any]) -> Call[Answer]:
    members = {**(reference_to(model) if isinstance(model, str) else model), **values}
    # A model answers the same to the same, and keeps nothing: asking again is safe.
    request = Request("POST", path, members, idempotent=True)
    answer = yield from suggesting(seen, str(members.get("model", "")), request)
    return read_answer(answer, Answer.read)
