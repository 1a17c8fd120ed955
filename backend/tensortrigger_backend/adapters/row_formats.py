"""All formats of rows that are read."""

from __future__ import annotations

from collections.abc import Mapping

from tensortrigger_backend.adapters.rows_arrow import ArrowRows
from tensortrigger_backend.adapters.rows_csv import CsvRows
from tensortrigger_backend.adapters.rows_ndjson import NdjsonRows
from tensortrigger_backend.adapters.rows_parquet import ParquetRows
from tensortrigger_backend.domain.job_options import RowFormat
from tensortrigger_backend.ports.rows import RowFormatReader


def row_formats() -> Mapping[RowFormat, RowFormatReader]:
    """A reader for each."""
    return {
        RowFormat.CSV: CsvRows(),
        RowFormat.NDJSON: NdjsonRows(),
        RowFormat.PARQUET: ParquetRows(),
        RowFormat.ARROW: ArrowRows(),
    }
