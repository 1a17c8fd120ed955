"""Is what is wrong with an option or an upload told as such, and does none of it stay or fill the memory?"""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from job_files import NDJSON, PARQUET, STREAM, as_arrow, as_csv, as_parquet, submit


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"delimeter": ";"}, "delimeter"),
        ({"delimiter": "ab"}, "delimiter"),
        ({"delimiter": '"'}, "delimiter"),
        ({"encoding": "base64"}, "encoding"),
        ({"encoding": "klingon"}, "encoding"),
        ({"priority": "10"}, "priority"),
        ({"priority": "high"}, "priority"),
        ({"keep": "id,id"}, "keep"),
        ({"keep": '"id'}, "keep"),
        ({"keep": "absent"}, "absent"),
    ],
)
def test_an_option_that_is_wrong_is_refused_by_name(here: Any, asked: dict[str, str], named: str) -> None:
    answer = submit(here, as_csv(), **asked)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["loc"][-1] == named


@pytest.mark.parametrize(
    ("content", "media_type", "headers", "status"),
    [
        (as_csv(), "text/html", {}, 415),
        (as_csv(), "text/csv", {"content-encoding": "br"}, 415),
        (as_csv(), "text/csv", {"content-encoding": "gzip"}, 400),
        (as_csv(), PARQUET, {}, 400),
        (b"PAR1" + bytes(100) + b"\xff\xff\xff\x7fPAR1", PARQUET, {}, 400),
        (as_parquet()[:-9] + as_parquet()[-8:], PARQUET, {}, 400),
        (as_parquet(), "text/csv", {}, 400),
        (b"\xff\xff\xff\xff\x10\0\0\0" + b"\xff" * 16, STREAM, {}, 400),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes(99), STREAM, {}, 400),
        (as_arrow(pa.ipc.new_stream)[:-50], STREAM, {}, 400),
        (",".join(f"c{at}" for at in range(10_001)).encode(), "text/csv", {}, 400),
        (b"a,b,city\n1,2," + b"x" * (2 << 20), "text/csv", {}, 400),
        (b"a,b,city\n1,\0,x\n", "text/csv", {}, 400),
        (b'{"a": "' + b"x" * (2 << 20), NDJSON, {}, 400),
        (gzip.compress(b"a,b,city\n" + b"1,2,Rome\n" * (4 << 20)), "text/csv", {}, 413),
        (b"", "text/csv", {}, 400),
        (b"", PARQUET, {}, 400),
        (b"", STREAM, {}, 400),
    ],
    ids=(
        "another type",
        "another compression",
        "not packed",
        "a CSV as Parquet",
        "a lying footer",
        "a footer without its pages",
        "Parquet as CSV",
        "no Arrow",
        "an endless Arrow message",
        "Arrow cut off",
        "10,001 columns",
        "a huge field",
        "a NUL",
        "an endless line of NDJSON",
        "a gzip bomb",
        "an empty CSV",
        "an empty Parquet",
        "an empty Arrow stream",
    ),
)
def test_what_is_no_upload_is_refused_and_nothing_of_it_is_kept(
    here: Any, content: bytes, media_type: str, headers: dict[str, str], status: int
) -> None:
    before = sorted((here.data_dir / "blobs" / "jobs").glob("*"))
    answer = submit(here, content, media_type, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.json()["message"]
    assert sorted((here.data_dir / "blobs" / "jobs").glob("*")) == before


def test_who_sends_another_type_is_told_all_that_are_read(here: Any) -> None:
    message = submit(here, as_csv(), "text/html").json()["message"]
    for media_type in ("text/csv", "text/tab-separated-values", NDJSON, PARQUET, STREAM):
        assert media_type in message
    assert "application/vnd.apache.arrow.file" in message


def test_a_sentence_about_a_file_that_is_cut_off_ends_once(here: Any) -> None:
    message = submit(here, as_parquet()[:-50], PARQUET).json()["message"]
    assert message.startswith("The upload is damaged")
    assert message.endswith(".")
    assert not message.endswith("..")


def test_hostile_files_do_not_fill_the_memory_of_the_server(here: Any) -> None:
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(pack.compress(b"a,b,city\n1,2,Rome\n" * (1 << 16)) for _ in range(512)) + pack.flush()
    sink = io.BytesIO()
    zeros = pa.table({"a": np.zeros(1 << 21), "b": np.zeros(1 << 21), "city": pa.nulls(1 << 21)})
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, zeros.schema, options=options) as writer:
        for _ in range(4):
            writer.write_table(zeros)
    assert submit(here, bomb).status_code == 413
    assert submit(here, sink.getvalue(), STREAM).status_code == 400
    assert submit(here, b"a,b,city\n" + b'"' * (8 << 20)).status_code == 400
    status = Path(f"/proc/{here.process.pid}/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert peak < 450_000, f"{peak} kB"
