"""Does the checker see what it is there to see?"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from chaos.checker import Upload, check

Lines = list[str]


def results_of(upload: Upload) -> bytes:
    """What a job without faults hands out."""
    lines = ["id,row,y,x0_out"]
    for row in upload.good:
        name = upload.name(row)
        quoted = f'"{name}"' if "\n" in name else name
        lines.append(f"{quoted},{row},{row / 7:.6f},{row}.0")
    return ("\r\n".join(lines) + "\r\n").encode()


def job_of(upload: Upload, **changed: object) -> dict[str, object]:
    rejected = upload.rows - len(upload.good)
    progress = {"rows_total": upload.rows, "rows_done": upload.rows, "rows_rejected": rejected}
    return {"state": "succeeded", "progress": {**progress, **changed}}


@pytest.fixture
def upload() -> Upload:
    """A file, and the digest of its results."""
    upload = Upload(rows=300)
    check(upload, job_of(upload), results_of(upload), rejects_of(upload))
    return upload


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


def answer_for_another(lines: Lines) -> None:
    lines[40] = lines[40].rpartition(",")[0] + ",7.0"


def wrong_byte(lines: Lines) -> None:
    lines[40] = lines[40].replace(".", ".9", 1)


@pytest.mark.parametrize("harm", [lose, double, swap, mix, answer_for_another, wrong_byte])
def test_harm_done_to_one_row_is_seen(upload: Upload, harm: Callable[[Lines], None]) -> None:
    lines = results_of(upload).decode().split("\r\n")
    harm(lines)
    with pytest.raises(AssertionError):
        check(upload, job_of(upload), "\r\n".join(lines).encode(), rejects_of(upload))


def test_rejects_that_are_missing_are_seen(upload: Upload) -> None:
    with pytest.raises(AssertionError):
        check(upload, job_of(upload), results_of(upload), rejects_of(upload)[1:])
    with pytest.raises(AssertionError):
        check(upload, job_of(upload, rows_rejected=0), results_of(upload), rejects_of(upload))
