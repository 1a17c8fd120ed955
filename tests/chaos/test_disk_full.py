"""The disk of an embedded backend is full: callers are told, nothing is half-stored, and work goes on with room."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from chaos.checker import Upload
from chaos.deployment import Deployment
from chaos.model import publish
from services import absent

from tensortrigger_backend.adapters.blobs_local import LocalBlobs
from tensortrigger_backend.adapters.sql.database import Database

MIB = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with little room."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", place],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        absent(f"Only root may mount a small file system: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture
def embedded(small_disk: Path, tmp_path: Path) -> Iterator[Deployment]:
    """``tt serve`` with SQLite and files on the small disk, and a model."""
    data = small_disk / "data"
    data.mkdir()
    database = Database(f"sqlite:///{data / 'tensortrigger.db'}")
    database.migrate()
    model_id = publish(database, LocalBlobs(data, "test"), tmp_path)
    database.close()
    with Deployment(tmp_path, {}, "", model_id) as deployment:
        deployment.api = deployment.start("serve", "--port", "0", TENSORTRIGGER_DATA_DIR=str(data))
        deployment.api.wait_ready()
        yield deployment


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Not a byte is left, until the end."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as stream:
        for size in (MIB, 4096):
            try:
                while True:
                    stream.write(b"\0" * size)
            except OSError:
                continue
    try:
        yield
    finally:
        filler.unlink()


def stored(disk: Path) -> list[Path]:
    return sorted((disk / "data" / "blobs").rglob("upload*"))


def half_stored(disk: Path) -> list[Path]:
    """Blobs that have not appeared: of work that is over there must be none."""
    return list((disk / "data" / "incoming").iterdir())


def test_an_order_on_a_full_disk_is_refused_whole(embedded: Deployment, small_disk: Path) -> None:
    upload = Upload(rows=1_500)
    embedded.verify(embedded.submit(upload), upload)
    jobs = embedded.ask("GET", "/jobs").json()["jobs"]
    before = stored(small_disk)
    with filled(small_disk):
        answer = embedded.client.post(
            f"{embedded.url}/jobs",
            params={"model_id": embedded.model_id, "keep": "id"},
            headers={"Content-Type": "text/csv"},
            content=upload.body,
        )
        assert answer.status_code == 503, answer.text
        assert "Retry-After" in answer.headers
        assert embedded.ask("GET", "/jobs").json()["jobs"] == jobs
        assert half_stored(small_disk) == []
    assert stored(small_disk) == before
    embedded.verify(embedded.submit(upload), upload)


def test_a_job_whose_disk_was_full_comes_out_whole(embedded: Deployment, small_disk: Path) -> None:
    upload = Upload(rows=3_000)
    embedded.verify(embedded.submit(upload), upload)
    job_id = embedded.submit(upload)
    until = time.monotonic() + 60.0
    while not embedded.job(job_id)["progress"]["rows_done"]:
        assert time.monotonic() < until
        time.sleep(0.02)
    with filled(small_disk):
        assert not embedded.over(job_id)
        time.sleep(3.0)
        assert embedded.ask("GET", f"/jobs/{job_id}").status_code == 200
    job = embedded.wait(job_id)
    if job["state"] == "failed":
        # Five attempts may all have met the full disk; then its owner tries again.
        embedded.ask("POST", f"/jobs/{job_id}/retry")
    embedded.verify(job_id, upload)
    assert half_stored(small_disk) == []
