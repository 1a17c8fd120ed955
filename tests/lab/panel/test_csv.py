"""The panel's CSV files: scored and saved beside themselves, or cancelled."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from panels import seen, until


def names_of_threads() -> list[str]:
    """Those that a panel has begun."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("tensortrigger-panel")]


def csv_api(api: Any, shapes: Any, *states: str) -> None:
    api.on("GET", "/models", {"models": [shapes.model()], "next_cursor": None})
    api.on("POST", "/jobs", {"job_id": shapes.job_id})
    jobs = [{"job": shapes.job(state, rows_done=3 if state == "succeeded" else 1)} for state in states]
    api.on("GET", f"/jobs/{shapes.job_id}", *jobs)
    api.on("POST", f"/jobs/{shapes.job_id}/cancel", {"message": "cancelled"})
    results = httpx.Response(
        200, content=b"row,output\n0,1\n1,2\n2,3\n", headers={"Content-Type": "text/csv"}
    )
    api.on("GET", f"/jobs/{shapes.job_id}/results", results)


def test_closing_it_ends_the_waiting_for_a_job_and_tells_where_the_scores_will_be(
    open_panel: Any, api: Any, shapes: Any, tmp_path: Path
) -> None:
    csv_api(api, shapes, "running")
    (tmp_path / "rows.csv").write_text("age,income\n1,2\n")
    box = open_panel()
    tab = seen(box, 2)
    until(lambda: tab.models.record)
    tab.path.value = str(tmp_path / "rows.csv")
    tab.score.click()
    until(lambda: api.asked(f"/jobs/{shapes.job_id}"))
    box.close()
    until(lambda: not names_of_threads())
    assert "rows.scored.csv" in tab.status.value
    assert not api.asked(f"/jobs/{shapes.job_id}/cancel")


def test_a_csv_is_scored_and_saved_beside_itself_and_nothing_is_overwritten(
    open_panel: Any, api: Any, shapes: Any, tmp_path: Path
) -> None:
    csv_api(api, shapes, "running", "running", "succeeded")
    source = tmp_path / "rows.csv"
    source.write_text("age,income\n1,2\n3,4\n5,6\n")
    (tmp_path / "rows.scored.csv").write_text("mine")
    tab = seen(open_panel(), 2)
    until(lambda: tab.models.record)
    tab.path.value = str(source)
    tab.score.click()
    assert tab.score.disabled
    assert not tab.cancel.disabled
    tab.wait(60)
    assert "rows.scored-2.csv" in tab.status.value
    assert (tmp_path / "rows.scored-2.csv").read_text().startswith("row,output")
    assert (tmp_path / "rows.scored.csv").read_text() == "mine"
    assert (tab.bar.value, tab.score.disabled, tab.cancel.disabled) == (1.0, False, True)


def test_an_uploaded_csv_is_scored_into_the_notebooks_folder(
    open_panel: Any, api: Any, shapes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    csv_api(api, shapes, "succeeded")
    tab = seen(open_panel(), 2)
    until(lambda: tab.models.record)
    content = {"name": "../..\\up.csv", "type": "text/csv", "size": 8, "content": memoryview(b"a\n1\n2\n")}
    tab.upload.value = [{**content, "last_modified": datetime.now(UTC)}]
    tab.score.click()
    tab.wait(60)
    assert (tmp_path / "up.scored.csv").exists()
    assert 'href="up.scored.csv"' in tab.status.value


def test_a_job_can_be_cancelled(open_panel: Any, api: Any, shapes: Any, tmp_path: Path) -> None:
    csv_api(api, shapes, *["running"] * 4, "cancelled")
    (tmp_path / "rows.csv").write_text("age,income\n1,2\n")
    tab = seen(open_panel(), 2)
    until(lambda: tab.models.record)
    tab.path.value = str(tmp_path / "rows.csv")
    tab.score.click()
    tab.cancel.click()
    tab.wait(60)
    assert api.asked(f"/jobs/{shapes.job_id}/cancel")
    assert "cancelled" in tab.status.value
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.csv"]


def test_a_file_that_is_not_there_is_told(open_panel: Any, api: Any, shapes: Any) -> None:
    csv_api(api, shapes, "succeeded")
    tab = seen(open_panel(), 2)
    until(lambda: tab.models.record)
    tab.score.click()
    assert "Name a CSV file" in tab.status.value
    tab.path.value = "no/such.csv"
    tab.score.click()
    tab.wait(60)
    assert "no/such.csv" in tab.status.value
    assert not tab.score.disabled
