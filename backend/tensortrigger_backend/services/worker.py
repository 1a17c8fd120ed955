"""Score partitions: claim, renew, write a part, commit (SAFETY C). Any number of these may run anywhere."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import structlog

from tensortrigger_backend.domain.csv_records import record_lines
from tensortrigger_backend.domain.errors import InvalidInput, NotFound, TensorTriggerError
from tensortrigger_backend.domain.jobs import Claim, Part, Reject, Slice, WakeUp
from tensortrigger_backend.ports.jobs import JobStore, PartFormat, Queue, RowBatch, RowReader
from tensortrigger_backend.ports.storage import BlobStore, ModelStore
from tensortrigger_backend.services.model_cache import ModelCache, Resident

log = structlog.get_logger(__name__)

BATCH_ROWS: Final = 4096
"""Rows per call of the engine: enough to be fast, few enough to notice a cancellation soon."""


class LostClaim(Exception):
    """The partition was lost to another worker, or its job was cancelled."""


class Worker:
    """Scores one partition at a time.

    Args:
        name: unique to this worker's process and start.
        lease: seconds for which a claim holds without being renewed.
        scored: told how many rows each commit added.
    """

    def __init__(
        self,
        name: str,
        jobs: JobStore,
        models: ModelStore,
        blobs: BlobStore,
        cache: ModelCache,
        reader: RowReader,
        parts: PartFormat,
        clock: Callable[[], float],
        lease: float,
        scored: Callable[[int, int], None],
    ) -> None:
        self._name = name
        self._jobs = jobs
        self._models = models
        self._blobs = blobs
        self._cache = cache
        self._reader = reader
        self._parts = parts
        self._clock = clock
        self._lease = lease
        self._scored = scored

    def handle(self, wake_up: WakeUp) -> None:
        """Do what the message is about, if there is still something to do. Safe to repeat."""
        claim = self._jobs.claim(wake_up, self._name, self._clock(), self._lease)
        if claim is None:
            return
        try:
            with Heartbeat(self._jobs, claim, self._clock, self._lease) as heartbeat:
                part = self._score(claim, heartbeat)
        except LostClaim:
            return
        except (InvalidInput, NotFound) as error:
            # The same bytes give the same fault each time: trying again would only hide it longer.
            self._jobs.give_up(claim, error.detail, final=True, now=self._clock())
            return
        except TensorTriggerError as error:
            self._jobs.give_up(claim, error.detail, final=False, now=self._clock())
            return
        except Exception as error:
            # A partition must never stall the worker; the reason is kept with the partition.
            log.exception("worker.failed", job_id=claim.job_id, partition=claim.slice.number)
            self._jobs.give_up(claim, f"{type(error).__name__}: {error}", final=False, now=self._clock())
            return
        if self._jobs.commit(claim, part, self._clock()):
            self._scored(part.rows_scored, part.rows_rejected)
            self.finish(claim.job_id)
        else:
            self._blobs.delete([part.results_key, *([part.rejects_key] if part.rejects_key else [])])

    def finish(self, job_id: str) -> None:
        """Write the manifest and complete the job, if this was its last partition. Safe to repeat."""
        if not self._jobs.all_done(job_id):
            return
        parts = self._jobs.parts(job_id)
        manifest = [
            {
                "partition": slice_.number,
                "first_row": slice_.first_row,
                "rows": slice_.rows,
                "scored": part.rows_scored,
                "rejected": part.rows_rejected,
                "results": part.results_key,
                "rejects": part.rejects_key,
            }
            for slice_, part in parts
        ]
        self._blobs.put(f"jobs/{job_id}/manifest", json.dumps({"parts": manifest}).encode())
        if self._jobs.finish(job_id, self._clock()):
            log.info("job.succeeded", job_id=job_id, partitions=len(parts))
            # What attempts left behind that died before their commit.
            kept = {key for _, part in parts for key in (part.results_key, part.rejects_key)}
            self._blobs.delete([key for key in self._blobs.keys(f"jobs/{job_id}/parts") if key not in kept])

    def _score(self, claim: Claim, heartbeat: Heartbeat) -> Part:
        """Write this attempt's part under keys that hold its fence."""
        resident = self._cache.load(self._models.get(claim.model_id, None))
        if resident.schema is None:
            raise InvalidInput(f"Model {claim.model_id!r} does not take vectors.")
        data = self._blobs.read(claim.upload_key, claim.slice.offset, claim.slice.length)
        batch = self._reader.read(data, claim.columns, resident.schema, claim.slice)
        if resident.dtype.kind in "iu":
            batch = _whole(batch, resident, data, claim.slice)
        del data
        if len(batch.rows) + len(batch.rejects) != claim.slice.rows:
            raise InvalidInput(
                f"Partition {claim.slice.number}: {claim.slice.rows} rows came in, "
                f"{len(batch.rows)} could be read and {len(batch.rejects)} were rejected."
            )
        outputs = _infer(resident, batch.values, heartbeat)
        key = f"jobs/{claim.job_id}/parts/{claim.slice.number:08d}-{claim.fence}"
        self._blobs.put(f"{key}.parquet", self._parts.encode(batch.rows, outputs))
        rejects_key = None
        if batch.rejects:
            rejects_key = f"{key}.rejects"
            self._blobs.put(rejects_key, self._parts.encode_rejects(batch.rejects))
        non_finite = sum(
            int((~np.isfinite(values)).sum()) for values in outputs.values() if values.dtype.kind == "f"
        )
        return Part(f"{key}.parquet", rejects_key, len(batch.rows), len(batch.rejects), non_finite)


class Heartbeat:
    """Renews a claim's lease for as long as its partition is in work, however long a single step takes.

    Args:
        every: seconds between two renewals; None for a third of the lease.
        lost: called once, on another thread, when the lease could not be renewed.
    """

    def __init__(
        self,
        jobs: JobStore,
        claim: Claim,
        clock: Callable[[], float],
        lease: float,
        every: float | None = None,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._jobs = jobs
        self._claim = claim
        self._clock = clock
        self._lease = lease
        self._every = every or lease / 3
        self._tell = lost
        self._over = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    @property
    def lost(self) -> bool:
        """Whether the lease could not be renewed."""
        return self._lost

    def check(self) -> None:
        """Raise LostClaim once the lease could not be renewed."""
        if self._lost:
            raise LostClaim

    def verify(self) -> None:
        """Ask the database now. Raises LostClaim."""
        if self._lost or not self._jobs.renew(self._claim, self._clock(), self._lease):
            self._lost = True
            raise LostClaim

    def _beat(self) -> None:
        while not self._over.wait(self._every):
            try:
                if not self._jobs.renew(self._claim, self._clock(), self._lease):
                    self._lost = True
                    self._tell()
                    return
            except TensorTriggerError as error:
                # The next beat may reach the database again; if none does, the fence decides at the commit.
                log.warning("lease.not_renewed", job_id=self._claim.job_id, reason=error.detail)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()


def _whole(batch: RowBatch, resident: Resident, data: bytes, slice_: Slice) -> RowBatch:
    """The batch less the rows that a model of integers cannot take, whatever its schema calls them.

    A cast would cut a fraction off, or wrap a number that is too large, without a word.
    """
    limits = np.iinfo(resident.dtype)
    fractions = batch.values != np.trunc(batch.values)
    bad = fractions | (batch.values < limits.min) | (batch.values >= float(limits.max + 1))
    unfit = bad.any(axis=1)
    if not unfit.any():
        return batch
    lines = record_lines(data, slice_.first_line)
    rejects = list(batch.rejects)
    for at in np.flatnonzero(unfit):
        place, row = int(np.argmax(bad[at])), int(batch.rows[at])
        line, name, value = int(lines[row - slice_.first_row]), resident.names[place], batch.values[at, place]
        code, why = (
            ("not_an_integer", "is not a whole number")
            if fractions[at, place]
            else ("out_of_range", f"does not fit {resident.dtype}")
        )
        rejects.append(Reject(row, line, name, code, f"Line {line}: field {name!r} {value:.17g} {why}."))
    rejects.sort(key=lambda reject: reject.row)
    return RowBatch(batch.values[~unfit], batch.rows[~unfit], tuple(rejects))


def _infer(
    resident: Resident, values: npt.NDArray[np.float64], heartbeat: Heartbeat
) -> dict[str, npt.NDArray[np.generic]]:
    """Each output of all rows by name."""
    signature = resident.servable.signature
    tensor = signature.inputs[0]
    answered: list[dict[str, npt.NDArray[np.generic]]] = []
    for start in range(0, len(values), BATCH_ROWS):
        heartbeat.check()
        rows = values[start : start + BATCH_ROWS].astype(tensor.dtype)
        answered.append(resident.servable.infer({tensor.name: rows}))
    if not answered:
        return {
            spec.name: np.empty((0, *(max(length, 1) for length in spec.shape[1:])), spec.dtype)
            for spec in signature.outputs
        }
    return {name: np.concatenate([outputs[name] for outputs in answered]) for name in answered[0]}


class Handler(Protocol):
    """Does what wake-ups are about."""

    def handle(self, wake_up: WakeUp) -> None:
        """Do it, if there is still something to do. Safe to repeat."""


class WorkerThread:
    """Takes wake-ups off the queue and gives them to a worker, until it is closed."""

    def __init__(self, worker: Handler, queue: Queue, name: str) -> None:
        self._worker = worker
        self._queue = queue
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the partition in hand. Safe to repeat."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def _run(self) -> None:
        while not self._stop.is_set():
            delivery = self._queue.receive(timeout=0.5)
            if delivery is None:
                continue
            try:
                self._worker.handle(delivery.wake_up)
            except Exception:
                # The database is away; the message comes again, and so does whoever held the lease.
                log.exception("worker.interrupted", job_id=delivery.wake_up.job_id)
                self._stop.wait(1.0)
                delivery.nack()
            else:
                delivery.ack()
