"""How fast is a CSV read into memory, and nothing else? With pandas, pyarrow or polars, as each does it by itself.

Run: ``python benchmarks/parse_only.py pandas ROWS.csv``; prints its seconds.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any


def reader(library: str) -> Callable[[str], Any]:
    """What reads a file with this library, imported and ready."""
    if library == "pandas":
        import pandas

        return pandas.read_csv
    if library == "pyarrow":
        from pyarrow import csv

        read: Callable[[str], Any] = csv.read_csv
        return read
    import polars

    return polars.read_csv


def main(library: str, rows_file: str) -> dict[str, float]:
    """Read the file once; seconds by step."""
    read = reader(library)
    started = time.perf_counter()
    table = read(rows_file)
    taken = time.perf_counter() - started
    assert len(table) > 0
    return {"read": taken}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
