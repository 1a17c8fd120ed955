"""The results of a job as a table that has a row for every data row of the upload."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING, Any

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
    chunks: Iterable[bytes], rows_total: int | None, kept: Sequence[str] = (), media_type: str = CSV
) -> pd.DataFrame:
    """One float column an output, indexed 0 to ``rows_total - 1``; NaN where a row has no result.

    Args:
        kept: columns that were carried through, which come first: of a CSV as text, or as the numbers that the texts
            say exactly; of Parquet as types that hold whole numbers beside missing ones.
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
                frame = _read_csv(spool, len(kept)).set_index("row")
        except (ValueError, KeyError, OSError, ImportError) as error:
            raise UnexpectedAnswer(f"The results of the job cannot be read: {error}.") from error
    frame.index.name = None
    # By their place: a kept column has another name here where an output has its own.
    carried, outputs = frame.columns[: len(kept)], frame.columns[len(kept) :]
    # Without a single row pandas cannot tell that a column holds numbers.
    numbers = [name for name in outputs if is_numeric_dtype(frame[name]) or frame.empty]
    frame = frame.astype(dict.fromkeys(numbers, "float64"))
    total = rows_total if rows_total is not None else (int(frame.index.max()) + 1 if len(frame) else 0)
    frame = frame.reindex(pd.RangeIndex(total))
    if media_type != PARQUET:
        for name in carried:
            frame[name] = _numbers_or_text(frame[name])
    return frame


def _read_csv(file: IO[bytes], kept: int) -> pd.DataFrame:
    """Outputs as numbers, and the columns between them and ``row`` as the texts that they are: ``NA`` is one."""
    import pandas as pd

    names = list(pd.read_csv(file, nrows=0).columns)
    file.seek(0)
    texts = names[1 : 1 + kept]
    missing = {name: [""] for name in names if name not in texts}
    return pd.read_csv(file, dtype=dict.fromkeys(texts, "str"), keep_default_na=False, na_values=missing)


def _numbers_or_text(texts: pd.Series[Any]) -> pd.Series[Any]:
    """Numbers where each of them says just what its text said, so none of ``007`` or ``1.50``; else the texts."""
    given = texts[texts.notna() & (texts != "")]
    # Int64 holds whole numbers beside missing ones.
    whole = "Int64" if len(given) < len(texts) else "int64"
    forms: tuple[tuple[Any, Any], ...] = (("int64", whole), ("float64", "float64"))
    for read_as, kept_as in forms:
        try:
            numbers: pd.Series[Any] = given.astype(read_as)
        except (ValueError, OverflowError):
            continue
        # The texts "nan" and "inf" would be read as what no column of numbers has.
        if len(given) and numbers.abs().lt(math.inf).all() and (numbers.map(str) == given).all():
            kept: pd.Series[Any] = numbers.astype(kept_as).reindex(texts.index)
            return kept
    return texts
