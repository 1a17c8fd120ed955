"""Is every row there exactly once, in order, with the bytes of a run without faults?"""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np

INPUTS = 8
BAD_EVERY = 97
"""Each so-many-th row holds no number, and must come out among the rejects."""


@dataclass
class Upload:
    """A CSV whose rows know who they are.

    The first column goes through the job untouched (``keep``), and the model hands out the input ``x0``, which holds
    the row's number: a row that was lost, doubled, moved or mixed with another is seen twice over.

    Attributes:
        digest: of the results of the first run that passed, which was one without faults.
    """

    rows: int
    seed: int = 0
    digest: str = ""
    body: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        values = np.random.default_rng(self.seed).normal(size=(self.rows, INPUTS - 1)).round(4)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["id", *(f"x{place}" for place in range(INPUTS))])
        for row, record in enumerate(values.tolist()):
            first = "nothing" if self.bad(row) else row
            writer.writerow([self.name(row), first, *record])
        self.body = text.getvalue().encode()

    def bad(self, row: int) -> bool:
        return row % BAD_EVERY == BAD_EVERY - 1

    def name(self, row: int) -> str:
        # A quoted newline in a name here and there, which no cut may fall into.
        return f"row {row}\nof {self.rows}" if row % 53 == 0 else f"row-{row}"

    @property
    def good(self) -> list[int]:
        return [row for row in range(self.rows) if not self.bad(row)]


def check(upload: Upload, job: dict[str, Any], results: bytes, rejects: list[dict[str, Any]]) -> None:
    """Raise AssertionError for anything that is not as it would be without faults."""
    assert job["state"] == "succeeded", job
    progress = job["progress"]
    assert progress["rows_total"] == upload.rows
    assert progress["rows_done"] == upload.rows
    bad = [row for row in range(upload.rows) if upload.bad(row)]
    assert [reject["row"] for reject in rejects] == bad
    assert progress["rows_rejected"] == len(bad)
    records = list(csv.DictReader(io.StringIO(results.decode(), newline="")))
    good = upload.good
    assert [int(record["row"]) for record in records] == good
    assert [float(record["x0_out"]) for record in records] == good
    assert [record["id"] for record in records] == [upload.name(row) for row in good]
    digest = hashlib.sha256(results).hexdigest()
    upload.digest = upload.digest or digest
    assert digest == upload.digest, "the results differ from those of the run without faults"
