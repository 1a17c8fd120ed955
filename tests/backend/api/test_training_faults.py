"""What becomes of a training when its child or its server dies, when it is cancelled, or when it diverges?"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

COUNT = 500
ROWS = [[random.Random(row).gauss(0, 1) for _ in range(3)] for row in range(COUNT)]
LABELS = [float(row % 2) for row in range(COUNT)]


@pytest.fixture(scope="module")
def shop(start_server: Callable[..., Any], published_data: Callable[[], Path]) -> Any:
    """A server of these tests' own, with a published model; its log tells of failures, as they are wanted."""
    return start_server(data_dir=published_data(), log_level="error", publish_wait="120")


def ordered(server: Any, **options: Any) -> str:
    """A training of many small steps."""
    body = {"model": "churn/1", "batch_size": 1, "input_vectors": ROWS, "output_vectors": LABELS, **options}
    answer = server.client.patch("/tensor/train", json=body)
    assert answer.status_code == 201, answer.text
    job_id: str = answer.json()["job_id"]
    return job_id


def trainers(server: Any) -> list[psutil.Process]:
    """The trainer's children of this server."""
    found = []
    for child in psutil.Process(server.process.pid).children(recursive=True):
        try:
            if any("trainer" in part for part in child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def reached(server: Any, job_id: str, epoch: int) -> dict[str, Any]:
    """The job, once so many epochs are done."""
    until = time.monotonic() + 90
    while True:
        job: dict[str, Any] = server.client.get(f"/jobs/{job_id}").json()["job"]
        assert job["state"] in ("queued", "running"), job
        if job["progress"]["epochs_done"] >= epoch:
            return job
        assert time.monotonic() < until, job
        time.sleep(0.02)


def versions(server: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.client.get("/models", params={"name": "churn"}).json()["models"]
    return found


def test_a_cancelled_training_leaves_at_once_and_makes_no_version(shop: Any) -> None:
    job_id = ordered(shop, epochs=1000)
    reached(shop, job_id, 2)
    (child,) = trainers(shop)
    assert child.nice() > 0
    assert not {"TENSORTRIGGER_DATA_DIR", "PYTHONSTARTUP"} & set(child.environ())
    asked = time.monotonic()
    job = shop.client.post(f"/jobs/{job_id}/cancel").json()["job"]
    assert (job["state"], job["job_state"]) == ("cancelled", 3)
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running()
    assert time.monotonic() - asked < 5
    assert shop.client.get(f"/runs/{job_id}").json()["run"]["state"] == "cancelled"
    assert len(versions(shop)) == 1
    until = time.monotonic() + 5
    folder = shop.data_dir / "blobs" / "jobs" / job_id
    while folder.exists():
        assert time.monotonic() < until, list(folder.rglob("*"))
        time.sleep(0.05)
    assert shop.client.post(f"/jobs/{job_id}/cancel").json()["job"]["state"] == "cancelled"
    assert shop.client.delete(f"/runs/{job_id}").status_code == 200


def test_a_training_that_diverges_fails_and_names_the_epoch(shop: Any) -> None:
    # The square of the error of such a label does not fit a 32-bit float.
    job_id = ordered(shop, epochs=50, loss="mse", output_vectors=[[1e30]] * COUNT)
    job = shop.finished(job_id)
    assert job["state"] == "failed"
    assert job["error"] == (
        "Training failed after 1 attempt: The loss became infinite or NaN in epoch 1, by step 1: "
        "try a smaller learning_rate, or scale the inputs."
    )
    (point,) = shop.client.get(f"/jobs/{job_id}/metrics").json()["points"]
    assert (point["step"], point["metrics"]["loss"]) == (1, None)
    run = shop.client.get(f"/runs/{job_id}").json()["run"]
    assert (run["state"], run["error"]) == ("failed", job["error"])
    assert len(versions(shop)) == 1
    assert trainers(shop) == []


def test_a_training_goes_on_after_its_child_and_then_its_server_was_killed(shop: Any) -> None:
    """One version, every epoch told once, and no step taken that would not have been taken anyway."""
    job_id = ordered(shop, epochs=8)
    reached(shop, job_id, 2)
    (child,) = trainers(shop)
    child.kill()
    job = reached(shop, job_id, 4)
    first = job["training"]["resumed_at"]
    assert 1 <= first <= 4
    shop.kill()
    shop.start()
    job = shop.finished(job_id, 120)
    assert (job["state"], job["error"]) == ("succeeded", None)
    assert first < job["training"]["resumed_at"] < 8
    assert job["progress"]["attempts"] == 3
    points = shop.client.get(f"/jobs/{job_id}/metrics").json()["points"]
    assert [point["seq"] for point in points] == list(range(1, len(points) + 1))
    epochs = [point for point in points if point["kind"] == "epoch"]
    assert [(point["epoch"], point["step"]) for point in epochs] == [(n, COUNT * n) for n in range(1, 9)]
    steps = [point["step"] for point in points if point["kind"] == "batch"]
    assert steps == sorted(set(steps))
    made = [model for model in versions(shop) if model["parent"]]
    assert [(model["version"], model["parent"]["job_id"]) for model in made] == [(2, job_id)]
    assert not (shop.data_dir / "blobs" / "jobs" / job_id).exists()
    assert shop.stop() == 0
