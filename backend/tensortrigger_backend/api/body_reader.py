"""Read the bodies of the predict routes with decoders made for one model, straight into its vector."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from tensortrigger_backend.api.native_run import RUN, RUN_BATCH
from tensortrigger_backend.domain.encoding import VectorEncoder
from tensortrigger_backend.domain.errors import InvalidInput
from tensortrigger_backend.domain.fields import FLOAT32_END
from tensortrigger_backend.services.model_cache import Resident


class BodyReader:
    """Decoders made for one model: they know its fields, so that a vector is read straight into its places.

    Args:
        names: the schema's input names in order.
    """

    def __init__(self, names: Sequence[str]) -> None:
        fields = [(f"f{place}", float, msgspec.field(name=name)) for place, name in enumerate(names)]
        # A missing, extra, null or non-numeric field fails to decode, and the application says which it was.
        vector = msgspec.defstruct("Vector", fields, forbid_unknown_fields=True)
        either = vector | list[float]
        model = [("model_id", str | None, None), ("model", str | None, None)]
        one = msgspec.defstruct("Run", [("input_vector", either), *model], forbid_unknown_fields=True)
        many = msgspec.defstruct(
            "RunBatch",
            [("input_vectors", list[either]), *model],  # type: ignore[valid-type]
            forbid_unknown_fields=True,
        )
        self._decoders = {RUN: msgspec.json.Decoder(one), RUN_BATCH: msgspec.json.Decoder(many)}
        self._width = len(names)

    def flat(self, path: str, body: bytes, model_id: str | None, reference: str | None) -> list[float] | None:
        """The numbers of all vectors, one after the other; None if anything is unusual."""
        try:
            request: Any = self._decoders[path].decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if request.model_id != model_id or request.model != reference:
            return None
        flat: list[float] = []
        for vector in [request.input_vector] if path == RUN else request.input_vectors:
            if isinstance(vector, list):
                if len(vector) != self._width:
                    return None
                flat += vector
            else:
                flat += msgspec.structs.astuple(vector)
        return flat or None


class EncodingReader:
    """As ``BodyReader``, for a model with fields that are more than any number: their encoder reads them.

    Args:
        encoder: the model's own; what it refuses is worded by the application.
    """

    def __init__(self, encoder: VectorEncoder) -> None:
        vector = dict[str, Any] | list[Any]
        model = [("model_id", str | None, None), ("model", str | None, None)]
        one = msgspec.defstruct("Run", [("input_vector", vector), *model], forbid_unknown_fields=True)
        many = msgspec.defstruct(
            "RunBatch",
            [("input_vectors", list[vector]), *model],
            forbid_unknown_fields=True,
        )
        self._decoders = {RUN: msgspec.json.Decoder(one), RUN_BATCH: msgspec.json.Decoder(many)}
        self._encoder = encoder

    def flat(self, path: str, body: bytes, model_id: str | None, reference: str | None) -> list[float] | None:
        """The numbers of all vectors, one after the other; None if anything is unusual."""
        try:
            request: Any = self._decoders[path].decode(body)
            if request.model_id != model_id or request.model != reference:
                return None
            if path == RUN:
                return self._encoder.vector(request.input_vector)
            return list(chain.from_iterable(self._encoder.vectors(request.input_vectors)))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidInput):
            return None


def reader_of(resident: Resident) -> BodyReader | EncodingReader:
    """The reader that suits the model's schema."""
    assert resident.encoder is not None
    return BodyReader(resident.names) if resident.encoder.plain else EncodingReader(resident.encoder)


def as_vectors(flat: list[float], resident: Resident) -> npt.NDArray[Any] | None:
    """Shape (n, inputs), in the model's dtype; None if a number is too large, or a fraction where none may be.

    Args:
        flat: the numbers of n vectors, one vector after the other.
    """
    # Twice as quick as np.array for a list of floats.
    exact = np.fromiter(flat, np.float64, len(flat)).reshape(-1, len(resident.names))
    if resident.whole is not None:
        whole = exact[:, resident.whole]
        if (whole != np.trunc(whole)).any():
            return None
    if resident.dtype.kind == "f":
        with np.errstate(over="ignore"):
            vectors = exact.astype(resident.dtype)
        # A wide float would hold more than a schema lets through.
        if resident.dtype.itemsize > 4 and np.abs(exact).max() >= FLOAT32_END:
            return None
        # The decoder lets no NaN and no infinity in, but a number may be too large for the dtype.
        return vectors if np.isfinite(vectors).all() else None
    if resident.dtype.kind == "b":
        return exact.astype(resident.dtype)
    if (exact != np.trunc(exact)).any():
        return None
    limits = np.iinfo(resident.dtype)
    if exact.min() < limits.min or exact.max() >= float(limits.max + 1):
        return None
    return exact.astype(resident.dtype)
