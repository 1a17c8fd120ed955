"""Trainings from a file: rows with label columns, read as they come in, by the rules that scoring reads by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from tensortrigger_backend.domain.access import Principal
from tensortrigger_backend.domain.csv_rows import CsvSplitter
from tensortrigger_backend.domain.encoding import FAULT_LIMIT
from tensortrigger_backend.domain.errors import Fault, InvalidInput, PayloadTooLarge
from tensortrigger_backend.domain.jobs import Job, Reject, Slice
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.domain.training_columns import LabelColumns, label_columns
from tensortrigger_backend.domain.upload_gzip import MAGIC, Inflater
from tensortrigger_backend.domain.upload_text import Transcoder, known_encoding
from tensortrigger_backend.ports.jobs import JobStore
from tensortrigger_backend.ports.rows import RowBatch, RowFormatReader, Wanted
from tensortrigger_backend.ports.storage import BlobStore, Idempotency
from tensortrigger_backend.ports.training import PointFormat
from tensortrigger_backend.services.training import AskedTraining, Training

POINT_BYTES: Final = 512 << 20
"""Of the points of one training: the trainer holds all of them in memory."""
SLICE_ROWS: Final = 50_000
SLICE_BYTES: Final = 1 << 20
"""So much of the file is held in memory at a time."""
SHOWN: Final = 5
"""Rows left out of which the job's log tells why."""


@dataclass(frozen=True, slots=True)
class FileOptions:
    """How a file is to be read.

    Attributes:
        labels: columns that hold the labels; empty for the outputs that the model declares.
        skip: rows that cannot be read are left out; else the first of them ends it.
    """

    labels: tuple[str, ...] = ()
    skip: bool = False
    delimiter: str = ","
    encoding: str = "utf-8"


class PointIntake:
    """One file on its way to become points; nothing of it is kept unless ``TrainingFiles.submit`` takes it over.

    Args:
        point_bytes: that the points may take.
        upload_bytes: that the file may be long, unpacked.
    """

    def __init__(
        self,
        asked: AskedTraining,
        options: FileOptions,
        reader: RowFormatReader,
        points: PointFormat,
        scratch: Path,
        point_bytes: int,
        upload_bytes: int,
    ) -> None:
        schema = asked.version.resolved_schema
        if schema is None:
            names = ", ".join(spec.name for spec in asked.signature.inputs)
            message = "A file trains models that take one vector; for this one send 'inputs' and 'outputs'."
            raise InvalidInput.of(Fault(("model",), "takes_tensors", message, f"inputs: {names}", "a file"))
        self.asked = asked
        self.labels: LabelColumns = label_columns(
            options.labels, asked.signature, asked.version.schema, asked.choice
        )
        self.rows = 0
        self.skipped = 0
        self.why_skipped: list[Reject] = []
        self._skip = options.skip
        self._reader = reader
        self._dtype = np.dtype(asked.signature.inputs[0].dtype)
        self._inputs = Wanted(schema, self._dtype, (), options.delimiter)
        self._targets = Wanted(self.labels.schema, np.dtype(np.float32), (), options.delimiter)
        # A label may be an input as well, where a model is to give back what it takes.
        fields = {field.name: field for field in (*self.labels.fields, *schema.inputs)}
        both = VectorSchema(tuple(fields.values())).input_names
        self._splitter = CsvSplitter(both, SLICE_ROWS, SLICE_BYTES, options.delimiter)
        self._digest = hashlib.sha256()
        self._beginning = bytearray()
        self._inflater: Inflater | None = None
        self._transcoder: Transcoder | None = None
        self._encoding = known_encoding(options.encoding)
        self._upload_bytes = upload_bytes
        self._row_bytes = self._dtype.itemsize * len(schema.inputs) + 4 * len(self.labels.fields)
        self._point_bytes = point_bytes
        self._text = bytearray()
        self._taken = 0
        self._writer = points.writer(scratch)

    @property
    def sha256(self) -> str:
        """Of the file as it came."""
        return self._digest.hexdigest()

    def feed(self, data: bytes) -> None:
        """The next block of the file, packed or not.

        Raises:
            InvalidInput: it is no CSV with these columns, or holds a row that cannot be read.
            PayloadTooLarge: it is over the limit.
        """
        self._digest.update(data)
        if self._transcoder is None:
            self._beginning += data
            if len(self._beginning) < len(MAGIC):
                return
            data = self._begun()
        for block in self._unpacked(data):
            self._cut(block)

    def finish(self) -> Path:
        """The file has ended: the points of it. Raises InvalidInput as ``feed``, and where there are none."""
        if self._transcoder is None:
            for block in self._unpacked(self._begun()):
                self._cut(block)
        assert self._transcoder is not None
        if self._inflater is not None:
            self._inflater.finish()
        self._cut(self._transcoder.feed(b"", last=True))
        self._read(self._splitter.finish())
        if not self.rows:
            skipped = f"all {self.skipped} rows were skipped" if self.skipped else "the file has no rows"
            message = f"There is nothing to learn from: {skipped}."
            raise InvalidInput.of(Fault(("input_data",), "no_rows", message, "1 row or more", "0"))
        return self._writer.finish()

    def close(self) -> None:
        """Keep nothing. Safe to repeat."""
        self._writer.close()

    def _begun(self) -> bytes:
        """What has come so far, once it is known whether it is packed."""
        data = bytes(self._beginning)
        if data.startswith(MAGIC):
            self._inflater = Inflater(self._upload_bytes)
        self._transcoder = Transcoder(self._encoding)
        return data

    def _unpacked(self, data: bytes) -> Iterator[bytes]:
        assert self._transcoder is not None
        for block in (data,) if self._inflater is None else self._inflater.feed(data):
            yield self._transcoder.feed(block)

    def _cut(self, data: bytes) -> None:
        if not data:
            return
        if self._taken + len(self._text) + len(data) > self._upload_bytes:
            raise PayloadTooLarge(f"The file is over the limit of {self._upload_bytes} bytes.")
        self._text += data
        self._read(self._splitter.feed(data))
        # Blank lines are in no slice, however many there are.
        self._forget(self._splitter.slice_start)

    def _read(self, slices: Iterator[Slice]) -> None:
        for slice_ in slices:
            begin, end = slice_.offset - self._taken, slice_.offset + slice_.length - self._taken
            source = _InMemory(bytes(self._text[begin:end]))
            self._forget(slice_.offset + slice_.length)
            self._add(source, slice_)

    def _forget(self, before: int) -> None:
        del self._text[: before - self._taken]
        self._taken = before

    def _add(self, source: _InMemory, slice_: Slice) -> None:
        inputs = self._batch(source, slice_, self._inputs)
        targets = self._batch(source, slice_, self._targets)
        # A record with a field too many is told of by both.
        bad = {reject.row: reject for reject in (*targets.rejects, *inputs.rejects)}
        self._leave_out([bad[row] for row in sorted(bad)])
        _, left, right = np.intersect1d(inputs.rows, targets.rows, assume_unique=True, return_indices=True)
        self.rows += len(left)
        if self.rows * self._row_bytes > self._point_bytes:
            most = self._point_bytes // self._row_bytes
            raise PayloadTooLarge(
                f"The file holds more than {most:,} rows: the points of a training may take {self._point_bytes:,} "
                f"bytes, {self._row_bytes} a row. Train on fewer rows, or several times."
            )
        if len(left):
            taken = inputs.values[left].astype(self._dtype)
            self._writer.add(taken, self.labels.targets(targets.values[right]))

    def _batch(self, source: _InMemory, slice_: Slice, wanted: Wanted) -> RowBatch:
        batches = list(self._reader.read(source, self._splitter.columns, slice_, wanted))
        return RowBatch(
            np.concatenate([batch.values for batch in batches]),
            np.concatenate([batch.rows for batch in batches]),
            tuple(reject for batch in batches for reject in batch.rejects),
        )

    def _leave_out(self, rejects: Sequence[Reject]) -> None:
        if rejects and not self._skip:
            raise InvalidInput.of(*(_fault(reject) for reject in rejects[:FAULT_LIMIT]))
        self.skipped += len(rejects)
        self.why_skipped += rejects[: SHOWN - len(self.why_skipped)]


class TrainingFiles:
    """Makes trainings of files.

    Args:
        reader: of the files' format.
        scratch: a folder for short-lived copies.
        upload_bytes: how long a file may be, unpacked.
        point_bytes: that the points of one training may take.
    """

    def __init__(
        self,
        training: Training,
        jobs: JobStore,
        blobs: BlobStore,
        reader: RowFormatReader,
        points: PointFormat,
        scratch: Path,
        upload_bytes: int,
        point_bytes: int = POINT_BYTES,
    ) -> None:
        self._training = training
        self._jobs = jobs
        self._blobs = blobs
        self._reader = reader
        self._points = points
        self._scratch = scratch
        self._upload_bytes = upload_bytes
        self._point_bytes = point_bytes

    def intake(
        self,
        principal: Principal,
        model_id: str | None,
        reference: str | None,
        body: Mapping[str, Any],
        options: FileOptions,
    ) -> PointIntake:
        """Begin to read a file for the named version; the caller closes it.

        Raises:
            Forbidden, NotInstalled, NotFound, Unavailable, InvalidInput: as ``Training.submit``.
        """
        asked = self._training.asked(principal, model_id, reference, body)
        return PointIntake(
            asked,
            options,
            self._reader,
            self._points,
            self._scratch,
            self._point_bytes,
            self._upload_bytes,
        )

    def submit(self, intake: PointIntake, idempotency: Idempotency | None = None) -> tuple[Job, bool]:
        """Make the file a training; whether it is new.

        Raises:
            InvalidInput: it ends where it must not, or holds too few rows.
            Conflict: the idempotency key was used for another request.
        """
        path = intake.finish()
        if idempotency is not None:
            idempotency = idempotency.bound_to(intake.sha256)
        job, new = self._training.order(
            intake.asked,
            intake.rows,
            (intake.labels.indexed,),
            lambda key: self._blobs.keep(key, path)[1],
            idempotency,
            intake.skipped,
        )
        if new and intake.skipped:
            count = "1 row was" if intake.skipped == 1 else f"{intake.skipped} rows were"
            self._jobs.note(job.job_id, "warning", f"{count} skipped.", None, job.created)
            for reject in intake.why_skipped:
                self._jobs.note(job.job_id, "warning", reject.message, None, job.created)
        return job, new


class _InMemory:
    """Keeps the ``RowSource`` promise for one slice of text."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def bytes(self) -> bytes:
        return self._data

    def open(self) -> BinaryIO:
        return BytesIO(self._data)


def _fault(reject: Reject) -> Fault:
    loc = tuple(part for part in ("input_data", reject.line, reject.field) if part is not None)
    message = f"{reject.message.removesuffix('.')}; with rejects=skip such rows are left out."
    return Fault(loc, reject.code, message, reject.expected, reject.got, reject.row)
