"""Rows of an Arrow IPC upload: a stream is cut between its messages as it comes; a file is a stream with a preface."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np

from tensortrigger_backend.adapters.arrow_columns import check_schema, read_columns, rows_at_once
from tensortrigger_backend.adapters.kept_columns import MAX_BYTES, too_heavy, weigh
from tensortrigger_backend.adapters.rows_parquet import refusals
from tensortrigger_backend.domain.arrow_messages import (
    DICTIONARY,
    RECORDS,
    SCHEMA,
    BrokenMessage,
    Message,
    framed,
    read_bare_schema,
    read_head,
    unpacked_size,
)
from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.jobs import Slice
from tensortrigger_backend.domain.row_groups import GroupCutter
from tensortrigger_backend.domain.upload_format import ARROW_MAGIC
from tensortrigger_backend.ports.rows import CutSize, RowBatch, RowSource, RowSplitter, Wanted

PREFACE = 8
"""Bytes before the stream in an Arrow file."""
MAX_BODY = 128 << 20
"""Bytes, packed and unpacked, of one batch of records, and of all dictionaries; a slice is read batch by batch."""
BATCH_ROWS = 65_536
_WINDOW = 4096


class ArrowRows:
    """Keeps the ``RowFormatReader`` promise."""

    def splitter(
        self,
        wanted: Wanted,
        size: CutSize,
        stored: Callable[[], BinaryIO],  # noqa: ARG002 - what another format needs
    ) -> RowSplitter:
        """See ``RowFormatReader.splitter``."""
        return ArrowSplitter(wanted, size)

    def read(
        self,
        source: RowSource,
        columns: Sequence[str],  # noqa: ARG002 - the rows name them themselves
        slice_: Slice,
        wanted: Wanted,
    ) -> Iterator[RowBatch]:
        """See ``RowFormatReader.read``."""
        row, end, weight = slice_.first_line, slice_.first_row + slice_.rows, 0
        with source.open() as stream:
            messages = _Messages(_opening(stream))
            at, last = slice_.offset, slice_.offset + slice_.length
            while at < last and row < end:
                with refusals(reading=True):
                    message, raw = _message(stream, at)
                    batches = _batches(messages, message, raw, wanted)
                for batch in batches:
                    start, stop = max(slice_.first_row - row, 0), min(end - row, batch.num_rows)
                    if start < stop:
                        with refusals(reading=True):
                            some = batch.slice(start, stop - start)
                            weight += sum(
                                weigh(some.column(some.schema.get_field_index(name))) for name in wanted.keep
                            )
                            if weight > MAX_BYTES:
                                raise too_heavy()
                            rows = read_columns(some, row + start, wanted)
                        yield rows
                    row += batch.num_rows
                at += message.head + message.body


class ArrowSplitter:
    """Keeps the ``RowSplitter`` promise."""

    def __init__(self, wanted: Wanted, size: CutSize) -> None:
        self.columns: tuple[str, ...] = ()
        self._wanted = wanted
        self._limit = size.upload_bytes
        self._cutter = GroupCutter(size.rows, size.bytes)
        self._head = b""
        self._position: int | None = None
        self._file = False
        self._body = 0
        self._ended = False
        self._opening = 0
        self._records = False

    @property
    def rows(self) -> int:
        return self._cutter.rows

    def feed(self, data: bytes) -> Iterator[Slice]:
        """See ``RowSplitter.feed``."""
        data, at = self._head + data, 0
        with refusals():
            while at < len(data) and not self._ended:
                if self._body:
                    passed = min(self._body, len(data) - at)
                    self._body -= passed
                    at += passed
                    continue
                if self._position is None:
                    if len(data) < PREFACE:
                        break
                    self._file = data.startswith(ARROW_MAGIC)
                    at = self._position = PREFACE if self._file else 0
                if self._file and not self.columns:
                    bare = read_bare_schema(memoryview(data)[at:])
                    if bare is None:
                        break
                    if bare:
                        self._read_schema(framed(data[at : at + bare]))
                        self._position += bare
                        at += bare
                        continue
                found = read_head(memoryview(data)[at:])
                if isinstance(found, int):
                    break
                if found is None:
                    self._ended = True
                    break
                yield from self._take(found, data[at : at + found.head])
                at += found.head
        self._head = b"" if self._ended else data[at:]

    def finish(self) -> Iterator[Slice]:
        """See ``RowSplitter.finish``."""
        # A stream may do without the mark at its end, a file may not.
        missing = self._body or self._head or self._file
        if (missing and not self._ended) or not self.columns:
            raise _refused("The upload ends in the middle of an Arrow message: it was cut off.")
        yield from self._cutter.finish()

    def _take(self, message: Message, head: bytes) -> Iterator[Slice]:
        assert self._position is not None
        if message.body > MAX_BODY:
            raise _refused(
                f"A batch of records has {message.body} bytes, {MAX_BODY} at most: write smaller batches "
                "(max_chunksize, row_group_size or the like)."
            )
        if message.kind == SCHEMA:
            self._read_schema(head)
        elif not self.columns:
            raise BrokenMessage("records before their schema")
        elif message.kind == DICTIONARY and self._records:
            raise _refused("A dictionary comes after records: write the categories as plain texts.")
        elif message.kind == RECORDS:
            self._records = True
            if (self.rows + message.rows) * max(len(self.columns), 1) > self._limit:
                raise _refused(f"The upload holds over {self._limit} values.")
            yield from self._cutter.add(message.rows, self._position, message.head + message.body)
        if not self._records:
            self._opening += message.body
            _check_opening(self._opening)
        self._position += message.head + message.body
        self._body = message.body

    def _read_schema(self, head: bytes) -> None:
        import pyarrow as pa

        if self.columns:
            raise BrokenMessage("a second schema")
        schema = pa.ipc.read_schema(pa.py_buffer(head))
        self.columns = check_schema(schema, self._wanted, "arrow")


def _opening(stream: BinaryIO) -> bytes:
    """The messages before the first records: the schema and all dictionaries."""
    stream.seek(0)
    at = PREFACE if stream.read(PREFACE).startswith(ARROW_MAGIC) else 0
    messages: list[bytes] = []
    unpacked = 0
    if at:
        start = stream.read(_WINDOW)
        with refusals(reading=True):
            while (bare := read_bare_schema(start)) is None and (more := stream.read(len(start))):
                start += more
        if bare:
            messages.append(framed(start[:bare]))
            at += bare
    while True:
        with refusals(reading=True):
            message, raw = _message(stream, at)
            if message.kind == RECORDS:
                return b"".join(messages)
            unpacked += unpacked_size(message, memoryview(raw)[message.head :])
            _check_opening(unpacked)
        messages.append(raw)
        at += message.head + message.body


def _message(stream: BinaryIO, at: int) -> tuple[Message, bytes]:
    """The message at this place of the upload, with its bytes."""
    stream.seek(at)
    head = stream.read(8)
    needed = read_head(head)
    if not isinstance(needed, int) or needed == len(head):
        raise BrokenMessage("a message that is cut off")
    head += stream.read(needed - len(head))
    message = read_head(head)
    if not isinstance(message, Message) or message.body > MAX_BODY:
        raise BrokenMessage("a message that is cut off")
    body = stream.read(message.body)
    if len(body) < message.body:
        raise BrokenMessage("a message that is cut off")
    return message, head + body


class _Messages(io.RawIOBase):
    """A stream that goes on with the message that it is given: so the dictionaries are unpacked once a slice.

    Args:
        opening: the messages before the first records.
    """

    def __init__(self, opening: bytes) -> None:
        super().__init__()
        self._opening = opening
        self._waiting = io.BytesIO()
        self._reader: Any = None

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        return self._waiting.readinto(target)

    def batch(self, raw: bytes) -> Any:
        """The records of this message."""
        import pyarrow as pa

        self._waiting = io.BytesIO(self._opening + raw)
        self._opening = b""
        if self._reader is None:
            # With all columns: Arrow counts dictionaries of columns that are left out.
            self._reader = pa.ipc.open_stream(self)
        return self._reader.read_next_batch()


def _batches(messages: _Messages, message: Message, raw: bytes, wanted: Wanted) -> list[Any]:
    """Record batches of one message, of bounded length, only the wanted columns."""
    _check_unpacked(message, raw)
    names = set(wanted.schema.input_names) | set(wanted.keep)
    whole = messages.batch(raw)
    whole = whole.select([place for place, name in enumerate(whole.schema.names) if name in names])
    # Offsets that point outside their buffers would be followed otherwise.
    whole.validate(full=True)
    whole = _without_views(whole)
    rows = rows_at_once(BATCH_ROWS, wanted)
    return [whole.slice(at, rows) for at in range(0, whole.num_rows, rows)]


def _without_views(batch: Any) -> Any:
    """Views of texts as the texts themselves, which all functions of Arrow know."""
    import pyarrow as pa

    for place, column in enumerate(batch.columns):
        coded = pa.types.is_dictionary(column.type)
        texts = column.dictionary if coded else column
        if pa.types.is_string_view(texts.type):
            # Sixteen bytes each, the first four the length: many views may share one long text.
            views = np.frombuffer(texts.buffers()[1], np.int32)[::4][texts.offset : texts.offset + len(texts)]
            if int(views.astype(np.int64).sum()) > MAX_BODY:
                raise _refused(f"The texts of a batch come to over {MAX_BODY} bytes: write smaller batches.")
            texts = texts.cast(pa.large_string())
            column = pa.DictionaryArray.from_arrays(column.indices, texts) if coded else texts
            batch = batch.set_column(place, pa.field(batch.schema.field(place).name, column.type), column)
    return batch


def _check_opening(size: int) -> None:
    if size > MAX_BODY:
        raise _refused(
            f"The dictionaries come to over {MAX_BODY} bytes together: write the texts of large ones as plain texts."
        )


def _check_unpacked(message: Message, raw: bytes) -> None:
    size = unpacked_size(message, memoryview(raw)[message.head :])
    if size > MAX_BODY:
        raise _refused(
            f"A batch of records unpacks to {size} bytes, {MAX_BODY} at most: write smaller batches."
        )


def _refused(message: str) -> InvalidInput:
    return InvalidInput.of(Fault(("input_data",), "arrow", message))
