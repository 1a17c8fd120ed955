"""Is every row there exactly once, in order, with the very bytes that its answer must have?"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from chaos.model import INPUTS, LARGEST, UNIT, Array, answers

BAD_EVERY = 97
"""Each so-many-th row holds no number, and must come out among the rejects."""


@dataclass
class Upload:
    """A CSV whose rows know who they are.

    The first column goes through the job untouched (``keep``), and the model hands out the input ``x0``, which holds
    the row's number: a row that was lost, doubled, moved or mixed with another is seen twice over.

    Args:
        wide: bytes that are added to each name, and hardly to be compressed.
    """

    rows: int
    seed: int = 0
    wide: int = 0
    names: list[str] = field(init=False, repr=False)
    inputs: Array = field(init=False, repr=False)
    body: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        random = np.random.default_rng(self.seed)
        values = (random.normal(size=(self.rows, INPUTS)) / UNIT).round() * UNIT
        self.inputs = values.clip(-LARGEST, LARGEST).astype(np.float32)
        self.inputs[:, 0] = np.arange(self.rows)
        # A quoted newline in a name here and there, which no cut may fall into.
        self.names = [
            (f"row {row}\nof {self.rows}" if row % 53 == 0 else f"row-{row}")
            + base64.b64encode(random.bytes(3 * self.wide // 4)).decode()
            for row in range(self.rows)
        ]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["id", *(f"x{place}" for place in range(INPUTS))])
        for row, (_, *others) in enumerate(self.inputs.tolist()):
            first = "nothing" if self.bad(row) else row
            writer.writerow([self.names[row], first, *others])
        self.body = text.getvalue().encode()

    def bad(self, row: int) -> bool:
        return row % BAD_EVERY == BAD_EVERY - 1

    @property
    def good(self) -> list[int]:
        return [row for row in range(self.rows) if not self.bad(row)]

    @cached_property
    def results(self) -> bytes:
        """What the job must hand out as CSV, to the last byte; no job is asked for it."""
        good = self.good
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["row", "id", "y", "x0_out"])
        for row, answer in zip(good, answers(self.inputs[good]).tolist(), strict=True):
            writer.writerow([row, self.names[row], answer, float(row)])
        return text.getvalue().encode()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of ``results``."""
        return hashlib.sha256(self.results).hexdigest()


def check(upload: Upload, job: dict[str, Any], results: bytes, rejects: list[dict[str, Any]]) -> None:
    """Raise AssertionError for anything that is not as it must be."""
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
    assert [record["id"] for record in records] == [upload.names[row] for row in good]
    # The same as of a run in which nothing was broken, which is held against it too.
    assert hashlib.sha256(results).hexdigest() == upload.digest, "the results have other bytes"
