"""Score one partition: read its rows, ask the model, write its part under keys that hold the fence (docs/jobs.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.errors import InvalidInput
from tensortrigger_backend.domain.job_options import RowFormat
from tensortrigger_backend.domain.jobs import Claim, Part, Reject
from tensortrigger_backend.ports.parts import PartFormat
from tensortrigger_backend.ports.rows import RowBatch, RowFormatReader, Wanted
from tensortrigger_backend.ports.storage import BlobStore
from tensortrigger_backend.ports.versions import ModelStore
from tensortrigger_backend.services.heartbeat import Heartbeat
from tensortrigger_backend.services.model_cache import ModelCache, Resident
from tensortrigger_backend.services.steps import Step, keep_going

BATCH_ROWS: Final = 4096
"""Rows per call of the engine: enough to be fast, few enough to notice a cancellation soon."""
MODEL_REJECT: Final = "model"
"""Code of a row that keeps the schema's rules and that the model cannot take all the same."""


class Scorer:
    """What happens to a partition between its claim and its commit.

    Args:
        formats: what reads each format of rows.
        at: called at each step.
    """

    def __init__(
        self,
        models: ModelStore,
        blobs: BlobStore,
        cache: ModelCache,
        formats: Mapping[RowFormat, RowFormatReader],
        parts: PartFormat,
        at: Callable[[Step], None] = keep_going,
    ) -> None:
        self._models = models
        self._blobs = blobs
        self._cache = cache
        self._formats = formats
        self._parts = parts
        self._at = at

    def score(self, claim: Claim, heartbeat: Heartbeat) -> Part:
        """Write this attempt's part under keys that hold its fence."""
        resident = self._cache.load(self._models.get(claim.model_id, None))
        if resident.schema is None:
            raise InvalidInput(f"Model {claim.model_id!r} does not take vectors.")
        options = claim.options
        wanted = Wanted(resident.schema, resident.dtype, options.keep, options.delimiter)
        source = _StoredSlice(self._blobs, claim)
        scored = _Scored(resident, options.keep, heartbeat)
        for batch in self._formats[options.row_format].read(source, claim.columns, claim.slice, wanted):
            self._at(Step.READ)
            scored.add(batch)
        rejects = sorted(scored.rejects, key=lambda reject: reject.row)
        if scored.count + len(rejects) != claim.slice.rows:
            raise InvalidInput(
                f"Partition {claim.slice.number}: {claim.slice.rows} rows came in, "
                f"{scored.count} could be read and {len(rejects)} were rejected."
            )
        outputs = scored.outputs()
        self._at(Step.SCORED)
        key = f"jobs/{claim.job_id}/parts/{claim.slice.number:08d}-{claim.fence}"
        results = self._parts.encode(scored.rows(), outputs, scored.kept)
        self._blobs.put(f"{key}.parquet", results)
        self._at(Step.RESULTS_WRITTEN)
        rejects_key = None
        if rejects:
            rejects_key = f"{key}.rejects"
            self._blobs.put(rejects_key, self._parts.encode_rejects(rejects))
            self._at(Step.REJECTS_WRITTEN)
        non_finite = sum(
            int((~np.isfinite(values)).sum()) for values in outputs.values() if values.dtype.kind == "f"
        )
        return Part(
            f"{key}.parquet",
            rejects_key,
            scored.count,
            len(rejects),
            non_finite,
            len(results),
            hashlib.sha256(results).hexdigest(),
        )


@dataclass(frozen=True, slots=True)
class _StoredSlice:
    """Keeps the ``RowSource`` promise."""

    blobs: BlobStore
    claim: Claim

    def bytes(self) -> bytes:
        """See ``RowSource.bytes``."""
        return self.blobs.read(self.claim.upload_key, self.claim.slice.offset, self.claim.slice.length)

    def open(self) -> BinaryIO:
        """See ``RowSource.open``."""
        return self.blobs.open(self.claim.upload_key)


class _Scored:
    """The rows of one partition that were scored so far, and those that could not be."""

    def __init__(self, resident: Resident, keep: tuple[str, ...], heartbeat: Heartbeat) -> None:
        self._resident = resident
        self._heartbeat = heartbeat
        self._answers: list[dict[str, npt.NDArray[np.generic]]] = []
        self._rows: list[npt.NDArray[np.int64]] = []
        self.kept: dict[str, list[Any]] = {name: [] for name in keep}
        self.rejects: list[Reject] = []
        self.count = 0

    def add(self, batch: RowBatch) -> None:
        """Ask the model for these rows."""
        self.rejects += batch.rejects
        good = np.ones(len(batch.rows), np.bool_)
        rejects: list[Reject] = []
        for start in range(0, len(batch.values), BATCH_ROWS):
            self._heartbeat.check(self.count + len(self.rejects) + start)
            for place, error in self._ask(batch.values[start : start + BATCH_ROWS], start):
                good[place] = False
                rejects.append(_reject(int(batch.rows[place]), batch.values[place], error))
        rows, kept = batch.rows, batch.kept
        if rejects:
            self.rejects += rejects
            rows, kept = rows[good], {name: column.filter(good) for name, column in kept.items()}
        self._rows.append(rows)
        for name, pieces in self.kept.items():
            pieces.append(kept[name])
        self.count += len(rows)

    def _ask(self, values: npt.NDArray[Any], first: int) -> Iterator[tuple[int, InvalidInput]]:
        """Gather the model's answers; the place of each row that it cannot take, and why, counted from ``first``."""
        tensor = self._resident.servable.signature.inputs[0]
        some = values.astype(tensor.dtype, copy=False)
        try:
            self._answers.append(self._resident.servable.infer({tensor.name: some}))
        except InvalidInput as error:
            if len(values) == 1:
                yield first, error
                return
            # An engine refuses a batch as a whole: by halves the rows are found that are the cause.
            self._heartbeat.check()
            half = len(values) // 2
            yield from self._ask(values[:half], first)
            yield from self._ask(values[half:], first + half)

    def rows(self) -> npt.NDArray[np.int64]:
        """Their numbers, ascending."""
        return np.concatenate(self._rows) if self._rows else np.empty(0, np.int64)

    def outputs(self) -> dict[str, npt.NDArray[np.generic]]:
        """Each output of all rows by name."""
        if not self._answers:
            return {
                spec.name: np.empty((0, *(max(length, 1) for length in spec.shape[1:])), spec.dtype)
                for spec in self._resident.servable.signature.outputs
            }
        return {
            name: np.concatenate([outputs[name] for outputs in self._answers]) for name in self._answers[0]
        }


def _reject(row: int, values: npt.NDArray[Any], error: InvalidInput) -> Reject:
    expected = error.faults[0].expected if error.faults else None
    return Reject(row, None, None, MODEL_REJECT, error.detail, expected, str(values.tolist())[:80])
