"""Does the checker see what it is there to see?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from chaos.checker import Upload, check
from chaos.model import WIDTH, answers, write_servable

from tensortrigger_backend.adapters.engine_onnx import open_onnx

Lines = list[str]


def job_of(upload: Upload, **changed: object) -> dict[str, object]:
    rejected = upload.rows - len(upload.good)
    progress = {"rows_total": upload.rows, "rows_done": upload.rows, "rows_rejected": rejected}
    return {"state": "succeeded", "progress": {**progress, **changed}}


@pytest.fixture
def upload() -> Upload:
    """A file that no job has scored yet."""
    return Upload(rows=300)


def rejects_of(upload: Upload) -> list[dict[str, object]]:
    return [{"row": row} for row in range(upload.rows) if upload.bad(row)]


def lose(lines: Lines) -> None:
    del lines[40]


def double(lines: Lines) -> None:
    lines.insert(41, lines[40])


def swap(lines: Lines) -> None:
    lines[40], lines[41] = lines[41], lines[40]


def mix(lines: Lines) -> None:
    lines[40] = lines[40].replace("row-", "row-1")


def number_for_another(lines: Lines) -> None:
    lines[40] = lines[40].rpartition(",")[0] + ",7.0"


def answer_for_another(lines: Lines) -> None:
    row, name, _, number = lines[40].split(",")
    lines[40] = ",".join((row, name, lines[41].split(",")[2], number))


def wrong_byte(lines: Lines) -> None:
    lines[40] = lines[40].replace(".", ".9", 1)


HARMS = [lose, double, swap, mix, number_for_another, answer_for_another, wrong_byte]


@pytest.mark.parametrize("harm", HARMS)
def test_harm_done_to_one_row_is_seen(upload: Upload, harm: Callable[[Lines], None]) -> None:
    check(upload, job_of(upload), upload.results, rejects_of(upload))
    lines = upload.results.decode().split("\r\n")
    harm(lines)
    with pytest.raises(AssertionError):
        check(upload, job_of(upload), "\r\n".join(lines).encode(), rejects_of(upload))


def test_rejects_that_are_missing_are_seen(upload: Upload) -> None:
    with pytest.raises(AssertionError):
        check(upload, job_of(upload), upload.results, rejects_of(upload)[1:])
    with pytest.raises(AssertionError):
        check(upload, job_of(upload, rows_rejected=0), upload.results, rejects_of(upload))


@pytest.mark.parametrize("batch", [1, 7, 300])
def test_the_model_answers_to_the_last_bit_what_the_checker_expects(
    upload: Upload, tmp_path: Path, batch: int
) -> None:
    write_servable(tmp_path / "artifact", WIDTH)
    servable = open_onnx(tmp_path / "artifact")
    found = [
        servable.infer({"x": upload.inputs[start : start + batch]})["y"][:, 0]
        for start in range(0, upload.rows, batch)
    ]
    np.testing.assert_array_equal(np.concatenate(found), answers(upload.inputs))
