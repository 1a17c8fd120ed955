"""Does a training show itself while it runs, and end as a new version beside the old one?"""

from __future__ import annotations

import base64
import io
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

STEPS = 700
EPOCHS = 4
FIELDS = ("tenure", "charges", "calls")


def points(count: int, seed: int = 3) -> tuple[list[list[float]], list[float]]:
    """Vectors of three numbers, and whether their sum is positive."""
    generator = random.Random(seed)
    rows = [[round(generator.gauss(0, 1), 4) for _ in range(3)] for _ in range(count)]
    return rows, [float(sum(row) > 0) for row in rows]


def train(server: Any, **body: Any) -> Any:
    headers = {"idempotency-key": body.pop("key")} if "key" in body else {}
    return server.client.patch("/tensor/train", json=body, headers=headers)


def answers(server: Any, model_id: str, rows: list[list[float]]) -> Any:
    body = {"model_id": model_id, "input_vectors": rows}
    return np.array(server.client.post("/tensor/run/batch", json=body).json()["output"])


class Watched:
    """A training of many small steps, and what could be seen of it while it ran."""

    def __init__(self, server: Any, pupil: dict[str, Any]) -> None:
        self.base = pupil["model_id"]
        self.rows, self.labels = points(STEPS)
        self.before = answers(server, self.base, self.rows)
        body = {
            "model": "pupil",
            "epochs": EPOCHS,
            "batch_size": 1,
            "validation_split": 0.1,
            "loss": "binary_crossentropy",
            "optimizer": "Adam",
            "learning_rate": 0.005,
            "input_vectors": [
                dict(zip(("calls", "tenure", "charges"), row[2:] + row[:2], strict=True)) for row in self.rows
            ],
            "output_vectors": self.labels,
            "name": "Nightly",
            "key": "once",
        }
        self.answer = train(server, **body)
        assert self.answer.status_code == 201, self.answer.text
        self.job_id = self.answer.json()["job_id"]
        self.again = train(server, **body)
        self.other = train(server, **{**body, "epochs": 5})
        # Ordered while the first one waits or runs: both start from the version that their request names.
        second = train(
            server, model_id=self.base, epochs=2, input_vectors=self.rows, output_vectors=self.labels
        )
        self.second_id = second.json()["job_id"]
        self.at_first_epoch: dict[str, Any] = {}
        until = time.monotonic() + 90
        while not self.at_first_epoch:
            assert time.monotonic() < until, server.client.get(f"/jobs/{self.job_id}").text
            found = server.client.get(f"/jobs/{self.job_id}/metrics?kind=epoch").json()
            if found["points"]:
                self.at_first_epoch = found
            time.sleep(0.05)
        self.midway = server.client.get(f"/jobs/{self.job_id}").json()["job"]
        self.content = server.client.get(f"/jobs/{self.job_id}/content").json()["job"]
        self.removal = server.client.delete(f"/runs/{self.job_id}")
        self.job = server.finished(self.job_id, 120)
        self.second = server.finished(self.second_id, 120)


@pytest.fixture(scope="module")
def watched(server: Any, models: Path) -> Watched:
    # A name of its own: what is trained becomes what a bare name means, and others call theirs by it.
    fields = {name: {"var_type": "FLOAT", "index": place} for place, name in enumerate(FIELDS)}
    answer = server.publish(models / "churn.h5", "Pupil", fields)
    assert answer.status_code == 201, answer.text
    return Watched(server, answer.json())


def test_the_first_epoch_is_told_before_the_second_ends(watched: Watched) -> None:
    assert [point["epoch"] for point in watched.at_first_epoch["points"]] == [1]
    assert watched.at_first_epoch["run"]["state"] == "running"
    assert watched.midway["state"] == "running"
    progress = watched.midway["progress"]
    assert 1 <= progress["epochs_done"] < EPOCHS == progress["epochs_total"]
    assert progress["steps_total"] == EPOCHS * 630
    assert progress["rows_done"] == STEPS * progress["epochs_done"] // EPOCHS
    assert progress["seconds_left"] is None or progress["seconds_left"] > 0


def test_a_training_ends_as_a_new_version_and_the_old_one_answers_on(server: Any, watched: Watched) -> None:
    job = watched.job
    assert (job["state"], job["job_state"], job["error"]) == ("succeeded", 2, None)
    assert (job["kind"], job["model_name"], job["model_version"]) == ("train", "pupil", 1)
    assert watched.answer.headers["location"] == f"/jobs/{watched.job_id}"
    version = job["result"]["version"]
    model = server.client.get(f"/models/by-name/pupil/versions/{version}").json()["model"]
    assert model["model_id"] == job["result"]["model_id"]
    assert model["parent"] == {"model_id": watched.base, "version": 1, "job_id": watched.job_id}
    old = server.client.get(f"/models/{watched.base}").json()["model"]
    assert old["parent"] is None
    assert (model["model_name"], model["model_schema"]) == (old["model_name"], old["model_schema"])
    assert model["format"] == "keras"
    np.testing.assert_array_equal(answers(server, watched.base, watched.rows), watched.before)
    learned = answers(server, model["model_id"], watched.rows)[:, 0]
    right = ((learned > 0.5) == np.array(watched.labels)).mean()
    assert right > 0.95
    assert right > ((watched.before[:, 0] > 0.5) == np.array(watched.labels)).mean()


def test_two_trainings_of_one_version_make_two_versions_of_it(server: Any, watched: Watched) -> None:
    made = [watched.job["result"], watched.second["result"]]
    assert made[0]["version"] != made[1]["version"]
    for result in made:
        assert server.client.get(f"/models/{result['model_id']}").json()["model"]["parent"]["version"] == 1
    # The first told its loss; the second has that of the file.
    assert watched.job["training"]["source"] == "request"
    assert (watched.second["training"]["loss"], watched.second["training"]["source"]) == (
        "mean_squared_error",
        "file",
    )
    assert watched.second["training"]["optimizer"] == "rmsprop"


def test_the_points_of_a_run_are_gapless_and_agree_with_its_job(server: Any, watched: Watched) -> None:
    found = server.client.get(f"/runs/{watched.job_id}/metrics").json()
    run, told = found["run"], found["points"]
    assert [point["seq"] for point in told] == list(range(1, run["last_seq"] + 1))
    assert (run["state"], run["source"], run["job_id"], run["name"]) == (
        "succeeded",
        "backend",
        watched.job_id,
        "Nightly",
    )
    steps = [point["step"] for point in told]
    assert steps == sorted(steps)
    epochs = [point for point in told if point["kind"] == "epoch"]
    assert [(point["epoch"], point["step"]) for point in epochs] == [
        (epoch, 630 * epoch) for epoch in range(1, EPOCHS + 1)
    ]
    assert set(epochs[0]["metrics"]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    batches = [point for point in told if point["kind"] == "batch"]
    assert set(batches[0]["metrics"]) == {"loss", "accuracy"}
    assert epochs[-1]["metrics"]["loss"] < epochs[0]["metrics"]["loss"]
    gaps = np.diff([point["t"] for point in batches])
    assert len(batches) > 4
    assert np.median(gaps) > 0.045
    assert watched.job["run_id"] == watched.job_id
    events = server.client.get(f"/jobs/{watched.job_id}/events", headers={"accept": "text/event-stream"}).text
    assert events.count("event: metric") == run["last_seq"]
    polled = server.client.get(f"/jobs/{watched.job_id}/events?after=2").json()
    assert (polled["job"]["state"], polled["points"][0]["seq"]) == ("succeeded", 3)
    assert polled["last_seq"] == run["last_seq"]


def test_a_repeated_request_makes_one_training(watched: Watched) -> None:
    assert watched.again.json()["job_id"] == watched.job_id
    assert watched.other.status_code == 409


def test_the_run_of_a_training_at_work_cannot_be_deleted(watched: Watched) -> None:
    assert watched.removal.status_code == 409


def test_a_training_has_no_results_and_gives_its_points_back_while_it_runs(
    server: Any, watched: Watched
) -> None:
    answer = server.client.get(f"/jobs/{watched.job_id}/results")
    assert answer.status_code == 400
    assert f"/jobs/{watched.job_id}/metrics" in answer.json()["message"]
    assert watched.content.startswith("data:application/zip;base64,")
    arrays = np.load(io.BytesIO(base64.b64decode(watched.content.partition(",")[2])), allow_pickle=False)
    np.testing.assert_array_equal(arrays["input_0"], np.array(watched.rows, np.float32))
    np.testing.assert_array_equal(arrays["target_0"][:, 0], watched.labels)
    later = server.client.get(f"/jobs/{watched.job_id}/content")
    assert later.status_code == 404
    assert "kept only until it has ended" in later.json()["message"]


def test_jobs_are_listed_by_kind_and_state(server: Any, watched: Watched) -> None:
    def listed(**query: str) -> list[str]:
        found = server.client.get("/jobs", params=query).json()["jobs"]
        return [job["job_id"] for job in found]

    assert listed(kind="train", state="succeeded") == [watched.second_id, watched.job_id]
    assert watched.job_id not in listed(kind="score")
    assert watched.job_id not in listed(state="failed")
    assert server.client.get("/jobs", params={"kind": "bake"}).status_code == 400


GOOD = {"input_vectors": [[1, 2, 3], [4, 5, 6]], "output_vectors": [[0], [1]]}


@pytest.mark.parametrize(
    ("change", "code", "loc"),
    [
        ({"output_vectors": [[0], [1, 2]]}, "length", ["output_vectors", 1]),
        ({"output_vectors": [[0]]}, "count_mismatch", ["output_vectors"]),
        ({"output_vectors": []}, "batch_empty", ["output_vectors"]),
        ({"input_vectors": []}, "batch_empty", ["input_vectors"]),
        ({"input_vectors": [[1, 2, 3], [4, 5]]}, "length", ["input_vectors", 1]),
        ({"input_vectors": None}, "missing", ["input_vectors"]),
        ({"output_vectors": None}, "missing", ["output_vectors"]),
        ({"inputs": [[1, 2, 3]]}, "ambiguous", ["input_vectors"]),
        ({"output_vectors": [[0], [None]]}, "null", ["output_vectors", 1, 0]),
        ({"output_vectors": [[0], [1e39]]}, "out_of_range", ["output_vectors", 1, 0]),
        ({"output_vectors": [[0], [2]], "loss": "bce"}, "out_of_range", ["output_vectors", 1]),
        ({"input_vectors": [{"tenure": 1, "charges": 2, "call": 3}] * 2}, "missing", None),
        ({"epochs": 0}, "epochs", ["epochs"]),
        ({"epochs": 100_001}, "epochs", ["epochs"]),
        ({"epochs": "ten"}, "epochs", ["epochs"]),
        ({"batch_size": True}, "batch_size", ["batch_size"]),
        ({"validation_split": 1}, "validation_split", ["validation_split"]),
        ({"validation_split": 0.1}, None, None),
        ({"validation_split": 0.9}, "validation_split", ["validation_split"]),
        ({"learning_rate": 0}, "learning_rate", ["learning_rate"]),
        ({"loss": "my_loss"}, "loss", ["loss"]),
        ({"optimizer": "LBFGS"}, "optimizer", ["optimizer"]),
        ({"shuffle": "no"}, "shuffle", ["shuffle"]),
        ({"name": "a\0b"}, "name", ["name"]),
        ({"output_vectors": [[0], "1"]}, "vector_type", ["output_vectors", 1]),
        ({"epoch": 3}, "unknown_member", ["epoch"]),
    ],
)
def test_what_cannot_be_learned_from_is_refused_by_member_and_row(
    server: Any, churn: Any, change: dict[str, Any], code: str | None, loc: list[Any] | None
) -> None:
    answer = train(server, **{"model": "churn/1", "epochs": 1, **GOOD, **change})
    if code is None:
        # Floor of 1.8 points to learn from, as Keras splits: one, and one held back.
        assert answer.status_code == 201
        server.client.post(f"/jobs/{answer.json()['job_id']}/cancel")
        return
    assert answer.status_code == 400, answer.text
    fault = answer.json()["errors"][0]
    assert fault["code"] == code
    if loc is not None:
        assert fault["loc"] == loc
    assert server.client.get("/jobs", params={"kind": "train", "state": "queued"}).json()["jobs"] == []


def test_a_class_that_does_not_exist_is_named_with_its_row(server: Any, softmax: Any) -> None:
    rows = [[3, 0.5], [4, 1.0], [5, 2.0]]
    answer = train(server, model="risk", input_vectors=rows, output_vectors=[0, 3, -1])
    faults = answer.json()["errors"]
    assert [(fault["code"], fault["row"], fault["got"]) for fault in faults] == [
        ("unknown_class", 1, "3"),
        ("unknown_class", 2, "-1"),
    ]
    named = [{"low": 1, "mid": 0, "high": 0}] * 2 + [{"low": 1, "mid": 0}]
    answer = train(server, model="risk", input_vectors=rows, output_vectors=named)
    assert answer.json()["errors"][0]["code"] == "length"
    answer = train(server, model="risk", input_vectors=[[3.5, 1]], output_vectors=[0])
    assert answer.json()["errors"][0]["code"] == "not_an_integer"


def test_a_model_without_trainable_weights_is_not_trained(server: Any, tensors: Any) -> None:
    answer = train(server, model="logarithm", inputs=[[1, 2]], outputs=[[1, 2]])
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "not_trainable"
    answer = train(server, model="image", input_vectors=[[1]], output_vectors=[[1, 2]])
    assert answer.json()["errors"][0]["code"] == "takes_tensors"
    assert train(server, model="nobody", **GOOD).status_code == 404
