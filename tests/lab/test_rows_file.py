"""A file's name says the same to the client and to the backend."""

from __future__ import annotations

from pathlib import Path

import pytest

from tensortrigger_backend.domain import upload_format
from tensortrigger_lab.rows_file import ENDINGS, found_file, media_type_of, results_type_of


def test_client_and_backend_know_the_same_endings() -> None:
    assert set(ENDINGS) == set(upload_format.ENDINGS)


@pytest.mark.parametrize("packed", ["", ".gz", ".GZ"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_an_ending_means_one_format_to_both(ending: str, packed: str) -> None:
    name = f"rows{ending}{packed}"
    told = upload_format.format_of_media(media_type_of(Path(name)))
    assert told is upload_format.format_of_name(name)


def test_of_a_name_with_tabs_in_it_the_delimiter_is_known(tmp_path: Path) -> None:
    for name, delimiter in (("a.tsv", "\t"), ("a.TSV.gz", "\t"), ("a.txt", None), ("a.csv", None)):
        (tmp_path / name).touch()
        assert found_file(tmp_path / name).delimiter == delimiter


def test_results_are_written_as_the_name_says() -> None:
    kinds = {name: results_type_of(name) for name in ("r.parquet", "r.pq", "r.jsonl", "r.csv", "r")}
    assert kinds == {
        "r.parquet": "application/vnd.apache.parquet",
        "r.pq": "application/vnd.apache.parquet",
        "r.jsonl": "application/x-ndjson",
        "r.csv": "text/csv",
        "r": "text/csv",
    }
