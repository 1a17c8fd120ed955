"""Through the HTTP face: a CSV with label columns trains as points do, and what is wrong with it is named."""

from __future__ import annotations

import base64
import gzip
import random
from typing import Any

import numpy as np

FIELDS = ("tenure", "charges", "calls")


def table(rows: int = 200) -> tuple[bytes, list[list[float]], list[float]]:
    """A CSV with a column that nobody asked for, and the numbers in it."""
    generator = random.Random(5)
    vectors = [[float(round(generator.gauss(0, 1), 3)) for _ in FIELDS] for _ in range(rows)]
    labels = [float(sum(vector) > 0) for vector in vectors]
    lines = ["id,left," + ",".join(reversed(FIELDS))]
    for number, (vector, label) in enumerate(zip(vectors, labels, strict=True)):
        lines.append(f"c{number},{label:g}," + ",".join(repr(value) for value in reversed(vector)))
    return "\n".join(lines).encode() + b"\n", vectors, labels


def train(server: Any, data: bytes, media_type: str = "text/csv", **query: Any) -> Any:
    query = {"model": "churn", "labels": "left", **query}
    return server.client.post(
        "/tensor/train",
        params={name: value for name, value in query.items() if value is not None},
        content=data,
        headers={"content-type": media_type},
    )


def test_a_csv_trains_a_new_version_on_the_very_points_that_it_holds(
    server: Any, churn: dict[str, Any]
) -> None:
    data, vectors, labels = table()
    order = {"model_id": churn["model_id"], "epochs": 3, "shuffle": False, "learning_rate": 0.01}
    streamed = train(server, gzip.compress(data), **{**order, "model": None})
    assert streamed.status_code == 201, streamed.text
    points = {**order, "input_vectors": vectors, "output_vectors": labels}
    sent = server.client.post("/tensor/train", json=points)
    assert sent.status_code == 201, sent.text
    file = {**order, "labels": ["left"], "input_data": base64.b64encode(data).decode()}
    inside = server.client.post("/tensor/train", json=file)
    assert inside.status_code == 201, inside.text
    # One of them is enough to see the way to its end; the others need not be waited for.
    for answer in (sent, inside):
        assert server.client.post(f"/jobs/{answer.json()['job_id']}/cancel").status_code == 200
    job = server.finished(streamed.json()["job_id"], 180)
    assert job["state"] == "succeeded", job
    assert job["progress"]["rows_total"] == 200
    body = {"model_id": job["result"]["model_id"], "input_vectors": vectors}
    after = np.array(server.client.post("/tensor/run/batch", json=body).json()["output"])
    before = np.array(
        server.client.post("/tensor/run/batch", json={**body, "model_id": churn["model_id"]}).json()["output"]
    )
    assert np.abs(after - before).max() > 1e-3


def test_a_row_that_cannot_be_read_is_named_by_line_and_field(server: Any, churn: dict[str, Any]) -> None:
    data = b"left,tenure,charges,calls\n1,2,3,4\n0,2,many,4\n"
    answer = train(server, data)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert (error["loc"], error["got"], error["row"]) == (["input_data", 3, "charges"], "many", 1)
    skipped = train(server, data, rejects="skip")
    assert skipped.status_code == 201
    job = server.client.get(f"/jobs/{skipped.json()['job_id']}").json()["job"]
    assert job["training"]["rows_skipped"] == 1
    assert job["training"]["points"] == 1
    server.client.post(f"/jobs/{job['job_id']}/cancel")


def test_what_is_wrong_with_the_request_is_named(server: Any, churn: dict[str, Any]) -> None:
    data, _, _ = table(3)
    named = {
        "labels": train(server, data, labels="left,id"),
        "rejects": train(server, data, rejects="perhaps"),
        "delimiter": train(server, data, delimiter="ab"),
        "encoding": train(server, data, encoding="klingon"),
        "epochs": train(server, data, epochs=0),
        "epoch": train(server, data, epoch=3),
    }
    for name, answer in named.items():
        assert answer.status_code == 400, (name, answer.text)
        assert answer.json()["errors"][0]["loc"][-1] == name, answer.text
    missing = train(server, data, labels="gone")
    assert missing.json()["errors"][0]["loc"] == ["input_data", "gone"]
    assert train(server, b"\x1f\x8b\x08 no gzip").status_code == 400
    assert train(server, data, "application/x-parquet").status_code == 415
    assert train(server, b"left,tenure,charges,calls\n").status_code == 400
    both = {"model": "churn", "input_data": base64.b64encode(data).decode(), "input_vectors": [[1, 2, 3]]}
    assert server.client.post("/tensor/train", json=both).status_code == 400
    alone = {"model": "churn", "labels": ["left"], "input_vectors": [[1, 2, 3]], "output_vectors": [1]}
    assert server.client.post("/tensor/train", json=alone).json()["errors"][0]["loc"] == ["labels"]


def test_content_type_and_encoding_are_taken_at_their_word_as_for_scoring(
    server: Any, churn: dict[str, Any]
) -> None:
    text = "größe,tenure,charges,calls\n1,2,3,4\n0,2,3,5\n"
    latin = train(server, text.encode("latin-1"), "text/csv; charset=ISO-8859-1", labels="größe")
    assert latin.status_code == 201, latin.text
    server.client.post(f"/jobs/{latin.json()['job_id']}/cancel")
    headers = {"content-type": "text/csv", "content-encoding": "br"}
    packed = server.client.post("/tensor/train?model=churn", content=b"?", headers=headers)
    assert packed.status_code == 415
    assert packed.json()["message"] == "Send Content-Encoding: gzip, or none, not 'br'."
    parquet = train(server, b"PAR1", "application/vnd.apache.parquet")
    assert parquet.status_code == 415
    assert "Send Content-Type: text/csv" in parquet.json()["message"]
