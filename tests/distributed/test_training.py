"""A training is ordered at one API, done by a trainer, judged by a forge, and watched at another API."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import psutil
from deployments import Deployment, Process, until
from scrapes import counted

Apis = tuple[Process, Process]


def order(api: Process, epochs: int, points: int = 64) -> str:
    body = {
        "model": "seq",
        "epochs": epochs,
        "batch_size": 8,
        "input_vectors": [[row / points, 0.5, 1.0] for row in range(points)],
        "output_vectors": [[row % 2, 1 - row % 2] for row in range(points)],
    }
    answer = api.client.patch("/tensor/train", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["job_id"]


def test_a_training_goes_through_trainer_and_forge_and_its_points_are_seen_at_the_other_api(
    apis: Apis, trainer: Process, forge: Process, published: dict[str, Any]
) -> None:
    before = ended_by(trainer)
    job_id = order(apis[0], epochs=3)
    epochs: list[int] = []
    with apis[1].client.stream(
        "GET", f"/runs/{job_id}/metrics", headers={"Accept": "text/event-stream"}
    ) as stream:
        for line in stream.iter_lines():
            if line.startswith("data:"):
                told = json.loads(line.removeprefix("data:"))
                epochs += [told["epoch"]] if told.get("kind") == "epoch" else []
            if line.startswith("event: end") or len(epochs) == 3:
                break
    assert epochs == [1, 2, 3]
    job = apis[1].finished(job_id)
    assert (job["state"], job["error"]) == ("succeeded", None)
    assert job["result"]["version"] == 2
    made = apis[1].client.get(f"/models/{job['result']['model_id']}").json()["model"]
    assert (made["state"], made["parent"]["model_id"]) == ("ready", published["model_id"])
    until(lambda: counted(trainer.client, "partitions_in_work") == 0, 5)
    assert +(ended_by(trainer) - before) == Counter({"claimed": 1, "committed": 1})


def test_a_trainer_that_leaves_hands_its_training_over_and_a_cancellation_reaches_the_next_one(
    deployment: Deployment, apis: Apis, trainer: Process, published: dict[str, Any]
) -> None:
    job_id = order(apis[0], epochs=100_000)

    def epochs() -> int:
        return int(apis[0].job(job_id)["progress"].get("epochs_done", 0))

    until(lambda: epochs() > 0, 120)
    other = deployment.start("trainer")
    assert trainer.stop(15) == 0
    # It goes on after the last checkpoint, in a process that has to import TensorFlow first.
    until(lambda: bool(children(other)), 20)
    (partition,) = apis[0].client.get(f"/jobs/{job_id}/partitions").json()["partitions"]
    assert (partition["worker"], partition["attempts"], epochs() > 0) == (other.name, 1, True)
    assert apis[1].client.post(f"/jobs/{job_id}/cancel").status_code == 200
    assert apis[0].finished(job_id, 5)["state"] == "cancelled"
    # It noticed, and did not only lose its claim: it is free again.
    until(lambda: not children(other), 5)


def ended_by(trainer: Process) -> Counter[str]:
    """What a trainer has counted of its trainings."""
    outcomes = ("claimed", "committed", "failed", "late", "handed_back")
    return Counter(
        {outcome: round(counted(trainer.client, "partitions_total", outcome=outcome)) for outcome in outcomes}
    )


def children(process: Process) -> list[psutil.Process]:
    """Child processes: one that trains has TensorFlow in it."""
    return psutil.Process(process.process.pid).children()
