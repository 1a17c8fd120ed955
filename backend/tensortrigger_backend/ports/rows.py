"""What knows a format of rows: cuts an upload as it comes in, and reads the rows of one partition."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.jobs import Reject, Slice
from tensortrigger_backend.domain.schema import VectorSchema


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a job takes out of its rows.

    Attributes:
        schema: of the model; its inputs are found by name.
        dtype: of the model's tensor: a row with a number that it cannot hold is rejected.
        keep: columns that are carried through to the results.
        delimiter: between the fields of a CSV.
    """

    schema: VectorSchema
    dtype: np.dtype[Any] | None = None
    keep: tuple[str, ...] = ()
    delimiter: str = ","


@dataclass(frozen=True, slots=True)
class CutSize:
    """A slice is cut when it holds so many rows or so many bytes, whichever comes first.

    Attributes:
        upload_bytes: how large the upload may be, however it was packed.
    """

    rows: int
    bytes: int
    upload_bytes: int


class RowSplitter(Protocol):
    """One upload on its way in, cut into slices of whole records.

    Attributes:
        columns: as the upload names them, in its order; empty before they were read, and where each row has its own.
        rows: counted so far.
    """

    @property
    def columns(self) -> tuple[str, ...]: ...

    @property
    def rows(self) -> int: ...

    def feed(self, data: bytes) -> Iterator[Slice]:
        """Slices that are complete with this block. Raises InvalidInput."""

    def finish(self) -> Iterator[Slice]:
        """The last slices, when all has come. Raises InvalidInput."""


class RowSource(Protocol):
    """The stored upload, as the reader of one slice of it sees it."""

    def bytes(self) -> bytes:
        """The bytes of the slice."""

    def open(self) -> BinaryIO:
        """The whole upload, to be read at any place; the caller closes it."""


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Rows of one slice that can be scored, and those that cannot.

    Attributes:
        values: shape (n, inputs), in schema order, float64 or what the model takes.
        rows: shape (n,), int64: the data row of each.
        rejects: sorted by row.
        kept: of each row the columns that are carried through, in a form that ``PartFormat`` takes; each has a
            ``filter`` that takes shape (n,), bool.
    """

    values: npt.NDArray[Any]
    rows: npt.NDArray[np.int64]
    rejects: tuple[Reject, ...]
    kept: Mapping[str, Any] = field(default_factory=dict)


class RowFormatReader(Protocol):
    """Knows one format. The schema's rules and the codes of rejects are the same for every format."""

    def splitter(self, wanted: Wanted, size: CutSize, stored: Callable[[], BinaryIO]) -> RowSplitter:
        """Begin to cut an upload.

        Args:
            stored: opens the whole upload, to be read at any place; only ``finish`` may call it.
        """

    def read(
        self, source: RowSource, columns: Sequence[str], slice_: Slice, wanted: Wanted
    ) -> Iterator[RowBatch]:
        """Every record of the slice becomes a row or a reject, in order; columns are matched by name.

        Raises:
            InvalidInput: the slice is not what it was when it was cut.
        """
