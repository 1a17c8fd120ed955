"""The results of a job as a table that has a row for every data row of the upload."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING

from tensortrigger_lab.errors import UnexpectedAnswer
from tensortrigger_lab.rows_file import CSV, PARQUET
from tensortrigger_lab.wire import JobRecord

if TYPE_CHECKING:
    import pandas as pd

IN_MEMORY = 16 << 20
"""Bytes of results that are held in memory; more go through a temporary file."""


def formats(job: JobRecord) -> Sequence[str]:
    """Media types of results, the best first: kept columns of Parquet and Arrow have types that a CSV has not.

    A CSV holds what Parquet and pandas cannot exchange, such as times after the year 9999.
    """
    typed = job.keep and job.row_format in ("parquet", "arrow") and find_spec("pyarrow")
    return (PARQUET, CSV) if typed else (CSV,)


def read_results(
    chunks: Iterable[bytes], rows_total: int | None, kept: Iterable[str] = (), media_type: str = CSV
) -> pd.DataFrame:
    """One float column an output, indexed 0 to ``rows_total - 1``; NaN where a row has no result.

    Args:
        kept: columns that were carried through, which come first and as pandas reads them; of Parquet as types that
            hold whole numbers beside missing ones.
        media_type: CSV or Parquet.

    Raises:
        UnexpectedAnswer: it is not the file of a job's results.
    """
    import pandas as pd
    from pandas.api.types import is_numeric_dtype

    with SpooledTemporaryFile(max_size=IN_MEMORY) as spool:
        for chunk in chunks:
            spool.write(chunk)
        spool.seek(0)
        try:
            if media_type == PARQUET:
                frame = pd.read_parquet(spool, dtype_backend="numpy_nullable").set_index("row")
            else:
                frame = pd.read_csv(spool).set_index("row")
        except (ValueError, KeyError, OSError, ImportError) as error:
            raise UnexpectedAnswer(f"The results of the job cannot be read: {error}.") from error
    frame.index.name = None
    # Without a single row pandas cannot tell that a column holds numbers.
    carried = set(kept)
    outputs = [name for name in frame.columns if name not in carried]
    numbers = [name for name in outputs if is_numeric_dtype(frame[name]) or frame.empty]
    frame = frame.astype(dict.fromkeys(numbers, "float64"))
    total = rows_total if rows_total is not None else (int(frame.index.max()) + 1 if len(frame) else 0)
    return frame.reindex(pd.RangeIndex(total))
