"""How results and rejects of a partition are laid down in blobs, and results in a file of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.jobs import Reject


class KeptColumn(Protocol):
    """A column of the upload that was carried through."""

    @property
    def textual(self) -> bool:
        """Whether it holds texts, or may do so."""

    def values(self) -> list[Any]:
        """As JSON has them; None where there is none."""

    def texts(self) -> list[str]:
        """As a CSV has them; empty where there is none."""

    def take(self, places: npt.NDArray[np.intp]) -> KeptColumn:
        """Only the values at these places."""


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """Rows of one partition with the model's answers, ascending.

    Attributes:
        rows: shape (n,): data rows of the job.
        outputs: each output by name, n rows each, any trailing shape.
        kept: columns of the upload that were carried through.
    """

    rows: npt.NDArray[np.int64]
    outputs: Mapping[str, npt.NDArray[Any]]
    kept: Mapping[str, KeptColumn] = field(default_factory=dict)


Columns = Mapping[str, npt.NDArray[Any] | KeptColumn]
"""Flat columns of results by name, of the same length."""


class PartFormat(Protocol):
    """The form of parts: what was encoded is what decoding gives."""

    def encode(
        self,
        rows: npt.NDArray[np.int64],
        outputs: Mapping[str, npt.NDArray[Any]],
        kept: Mapping[str, Sequence[Any]] | None = None,
    ) -> bytes:
        """One partition's scored rows.

        Args:
            kept: each column in one piece or several, as ``RowBatch`` has them.
        """

    def decode(self, data: bytes) -> ScoredRows: ...

    def encode_rejects(self, rejects: Sequence[Reject]) -> bytes: ...

    def decode_rejects(self, data: bytes) -> list[Reject]: ...

    def file(
        self, names: Sequence[str], tables: Callable[[], Iterable[Columns]], mixed: bool
    ) -> Iterator[bytes]:
        """One Parquet file of all these tables, written as they come.

        Args:
            names: of all columns, in order.
            mixed: a column may be of another type in the next table; all are looked through first then.
        """
