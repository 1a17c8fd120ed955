"""An upload on its way to storage: unpacked, turned into UTF-8 and cut into slices as it comes in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import BinaryIO, Final

from tensortrigger_backend.domain.errors import Fault, InvalidInput, PayloadTooLarge
from tensortrigger_backend.domain.job_options import JobOptions, RowFormat
from tensortrigger_backend.domain.jobs import Slice
from tensortrigger_backend.domain.models import ModelVersion
from tensortrigger_backend.domain.upload_format import MAGIC_BYTES, check_content, format_of_content
from tensortrigger_backend.domain.upload_gzip import MAGIC, Inflater
from tensortrigger_backend.domain.upload_text import Transcoder
from tensortrigger_backend.ports.rows import CutSize, RowFormatReader, RowSplitter, Wanted
from tensortrigger_backend.ports.storage import BlobStore

OUTPUT_BYTES: Final = 32 << 20
"""Outputs of one partition, roughly."""

Formats = Mapping[RowFormat, RowFormatReader]


class Intake:
    """One upload. Nothing of it is kept unless ``keep`` is called.

    Args:
        key: of the blob that it becomes.
        size: where it is cut, and how large it may be as it is stored.
        hashed: whether the writer is to know the SHA-256 of what is stored.

    Raises:
        InvalidInput: the model takes no rows, or the options contradict each other.
    """

    def __init__(
        self,
        blobs: BlobStore,
        formats: Formats,
        key: str,
        version: ModelVersion,
        options: JobOptions,
        size: CutSize,
        row_format: RowFormat | None,
        hashed: bool,
    ) -> None:
        self.version = version
        self.key = key
        self.options = options
        self.slices: list[Slice] = []
        self._blobs = blobs
        self._formats = formats
        self._wanted = wanted_of(version, options)
        # A partition's outputs are held in memory whole, so a wide model gets partitions of fewer rows.
        rows = max(1, min(size.rows, OUTPUT_BYTES // (8 * _output_width(version))))
        self._size = replace(size, rows=rows)
        self._row_format = row_format
        self._splitter: RowSplitter | None = None
        self._beginning = b""
        self._inflater: Inflater | None = None
        self._packed: bool | None = True if options.compression else None
        self._transcoder: Transcoder | None = None
        self._committed = self._kept = False
        self.writer = blobs.writer(key, hashed)

    @property
    def splitter(self) -> RowSplitter:
        """What cuts it: there once the first bytes have come."""
        assert self._splitter is not None
        return self._splitter

    def feed(self, data: bytes) -> None:
        """The next block of the file.

        Raises:
            InvalidInput: the file is not what it was said to be, or lacks columns of the model.
            PayloadTooLarge: it is over the limit.
        """
        for block in self._unpacked(data):
            self._take(block)

    def finish(self) -> None:
        """The file has ended. Raises InvalidInput as ``feed``."""
        if self._packed is None:
            self._take(self._beginning_of(b"", last=True))
        if self._inflater is not None:
            self._inflater.finish()
        self._take(b"", last=True)
        self.slices.extend(self.splitter.finish())
        self.commit()

    def commit(self) -> None:
        """Let the blob appear; it vanishes again unless it is kept. Safe to repeat."""
        if not self._committed:
            self.writer.commit()
            self._committed = True

    def keep(self) -> None:
        """The blob stays."""
        self._kept = True

    def abort(self) -> None:
        """Keep nothing, unless it was kept. Safe to repeat."""
        self.writer.abort()
        if self._committed and not self._kept:
            self._blobs.delete([self.key])
            self._kept = True

    def _unpacked(self, data: bytes) -> Iterator[bytes]:
        if self._packed is None:
            data = self._beginning_of(data)
        elif self._packed and self._inflater is None:
            self._inflater = Inflater(self._size.upload_bytes)
        if not data:
            return iter(())
        return self._inflater.feed(data) if self._inflater is not None else iter((data,))

    def _beginning_of(self, data: bytes, last: bool = False) -> bytes:
        """Hold back the first bytes until they tell whether all is packed."""
        data = self._beginning + data
        if len(data) < len(MAGIC) and not last:
            self._beginning = data
            return b""
        self._beginning, self._packed = b"", data.startswith(MAGIC)
        if self._packed:
            self.options = replace(self.options, compression="gzip")
            self._inflater = Inflater(self._size.upload_bytes)
        return data

    def _take(self, data: bytes, last: bool = False) -> None:
        """Store and cut a block of unpacked rows."""
        if self._splitter is None:
            data = self._beginning + data
            if len(data) < MAGIC_BYTES and not last:
                self._beginning = data
                return
            self._begin(data[:MAGIC_BYTES])
            self._beginning = b""
        if self._transcoder is not None:
            data = self._transcoder.feed(data, last)
        if self.writer.size + len(data) > self._size.upload_bytes:
            raise PayloadTooLarge(f"The upload is over the limit of {self._size.upload_bytes} bytes.")
        if data:
            self.slices.extend(self.splitter.feed(data))
            self.writer.write(data)

    def _begin(self, beginning: bytes) -> None:
        found = self._row_format or format_of_content(beginning) or RowFormat.CSV
        check_content(beginning, found, self.options.source is not None)
        check_options(found, self.options)
        self.options = replace(self.options, row_format=found)
        if found in (RowFormat.CSV, RowFormat.NDJSON):
            self._transcoder = Transcoder(self.options.encoding)
        self._splitter = self._formats[found].splitter(self._wanted, self._size, self._stored)

    def _stored(self) -> BinaryIO:
        self.commit()
        return self._blobs.open(self.key)


def wanted_of(version: ModelVersion, options: JobOptions) -> Wanted:
    """What is taken out of the rows. Raises InvalidInput where the model takes other tensors than one vector."""
    schema = version.resolved_schema
    if schema is None:
        message = "Rows are scored by models that take one vector; this one takes other tensors."
        raise InvalidInput.of(
            Fault(("model",), "takes_tensors", message, "a model with one input of shape (batch, n)")
        )
    return Wanted(schema, None, options.keep, options.delimiter)


def check_options(row_format: RowFormat, options: JobOptions) -> None:
    """Raises InvalidInput for an option that means nothing for this format."""
    if row_format is not RowFormat.CSV and options.delimiter != ",":
        raise _no_option("delimiter", "Only CSV has a delimiter.", options.delimiter)
    if row_format in (RowFormat.PARQUET, RowFormat.ARROW) and options.encoding != "utf-8":
        raise _no_option("encoding", "Only text has an encoding.", options.encoding)


def feed_all(intake: Intake, blocks: Iterable[bytes], check: Callable[[], None] = lambda: None) -> None:
    """Take in a whole file; ``check`` is called before each block."""
    for block in blocks:
        check()
        intake.feed(block)
    intake.finish()


def _no_option(name: str, message: str, got: str) -> InvalidInput:
    return InvalidInput.of(Fault((name,), name, message, "nothing", got))


def _output_width(version: ModelVersion) -> int:
    """Numbers that the model answers for one row."""
    assert version.signature is not None
    shapes = [spec.shape[1:] for spec in version.signature.outputs]
    return sum(math.prod(max(length, 1) for length in shape) for shape in shapes)
