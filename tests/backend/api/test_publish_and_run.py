"""A Keras model goes in, and the endpoint answers as the original does."""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

RTOL, ATOL = 1e-4, 1e-5


def test_a_published_model_answers_as_in_the_notebook(
    server: Any, churn: Any, expected: Callable[..., Any]
) -> None:
    original = expected("churn")
    rows = [dict(zip(("tenure", "charges", "calls"), map(float, row), strict=True)) for row in original["x0"]]
    answer = server.client.post(
        "/tensor/run/batch", json={"model_id": churn["model_id"], "input_vectors": rows}
    )
    assert answer.status_code == 200
    np.testing.assert_allclose(answer.json()["output"], original["y0"], RTOL, ATOL)
    one = server.client.post(
        "/tensor/run", json={"model_id": churn["model_id"], "input_vector": rows[0]}
    ).json()
    assert one["http_code"] == 200
    np.testing.assert_allclose(one["output"], original["y0"][0], RTOL, ATOL)


def test_publishing_says_what_was_made(server: Any, churn: Any) -> None:
    assert churn["message"] == "Model ready"
    assert (churn["name"], churn["version"], churn["state"]) == ("churn", 1, "ready")
    assert churn["engine"] == "onnxruntime"
    assert 0 <= churn["max_deviation"] < 1e-5
    model = server.client.get(f"/models/{churn['model_id']}").json()["model"]
    assert model["input_shape"] == [None, 3]
    assert model["output_shape"] == [None, 1]
    assert model["format"] == "hdf5"
    assert model["model_schema"]["input_schema"]["calls"] == {"var_type": "FLOAT", "index": 2}
    assert model == server.client.get(f"/models/{churn['model_id']}/metadata").json()["model"]


def test_order_comes_from_the_index_and_never_from_the_request(server: Any, models: Path) -> None:
    backwards = {
        "tenure": {"var_type": "FLOAT", "index": 2},
        "charges": {"var_type": "FLOAT", "index": 1},
        "calls": {"var_type": "FLOAT", "index": 0},
    }
    model_id = server.publish(models / "churn.h5", "backwards", backwards).json()["model_id"]
    named = {"tenure": 3.0, "charges": 2.0, "calls": 1.0}
    by_name = server.client.post("/tensor/run", json={"model_id": model_id, "input_vector": named}).json()
    reordered = dict(sorted(named.items()))
    assert (
        server.client.post("/tensor/run", json={"model_id": model_id, "input_vector": reordered}).json()
        == by_name
    )
    by_place = server.client.post(
        "/tensor/run", json={"model_id": model_id, "input_vector": [1.0, 2.0, 3.0]}
    ).json()
    assert by_place == by_name


def test_declared_outputs_come_back_by_name(server: Any, softmax: Any, expected: Callable[..., Any]) -> None:
    # The first input is declared INT, so whole numbers are sent.
    answer = server.client.post(
        "/tensor/run", json={"model": "risk", "input_vector": {"age": 3, "income": 0.5}}
    )
    output = answer.json()["output"]
    assert list(output) == ["low", "mid", "high"]
    assert sum(output.values()) == pytest.approx(1.0)
    batch = server.client.post(
        "/tensor/run/batch", json={"model": "risk", "input_vectors": [[3, 0.5], {"income": 0.5, "age": 3.0}]}
    ).json()["output"]
    for row in batch:
        assert row == pytest.approx(output)


def test_models_of_any_shape_take_inputs_with_the_batch_axis(
    server: Any, tensors: Any, expected: Callable[..., Any]
) -> None:
    image, pair = expected("image"), expected("pair")
    answer = server.client.post("/tensor/run", json={"model": "image", "inputs": image["x0"].tolist()})
    np.testing.assert_allclose(answer.json()["output"], image["y0"], RTOL, ATOL)
    inputs = {"left": pair["x0"].tolist(), "right": pair["x1"].tolist()}
    output = server.client.post("/tensor/run/batch", json={"model": "pair", "inputs": inputs}).json()[
        "output"
    ]
    assert sorted(output) == ["first", "second"]
    np.testing.assert_allclose(output["first"], pair["y0"], RTOL, ATOL)
    np.testing.assert_allclose(output["second"], pair["y1"], RTOL, ATOL)


def test_values_that_are_not_finite_become_null_and_are_counted(server: Any, tensors: Any) -> None:
    for body in ({"input_vector": [1.0, -1.0]}, {"inputs": [[1.0, 0.0]]}):
        answer = server.client.post("/tensor/run", json={"model": "logarithm", **body}).json()
        output = answer["output"] if "input_vector" in body else answer["output"][0]
        assert output == [0.0, None]
        assert answer["non_finite"] == 1


def test_versions_of_a_name_count_up_and_the_old_one_goes_on_answering(server: Any, models: Path) -> None:
    first = server.publish(models / "churn.h5", "Counted Model").json()
    second = server.publish(models / "softmax.keras", "other title", name="counted-model").json()
    assert (first["name"], first["version"], second["version"]) == ("counted-model", 1, 2)
    by_name = server.client.get("/models/by-name/counted-model").json()["model"]
    assert by_name["model_id"] == second["model_id"]
    old = server.client.get("/models/by-name/counted-model/versions/1").json()["model"]
    assert old["model_id"] == first["model_id"]
    assert server.client.post(
        "/tensor/run", json={"model": "counted-model/1", "input_vector": [1, 2, 3]}
    ).is_success
    assert server.client.post(
        "/tensor/run", json={"model": "counted-model", "input_vector": [1, 2]}
    ).is_success


def test_without_a_schema_the_names_are_inferred(server: Any, models: Path) -> None:
    model = server.publish(models / "churn.h5", "inferred").json()["model"]
    assert list(model["model_schema"]["input_schema"]) == ["x0", "x1", "x2"]
    answer = server.client.post(
        "/tensor/run", json={"model": "inferred", "input_vector": {"x1": 1, "x0": 2, "x2": 3}}
    )
    assert answer.is_success


def test_the_original_bytes_and_the_servable_can_be_fetched(server: Any, churn: Any, models: Path) -> None:
    content = server.client.get(f"/models/{churn['model_id']}/content").json()["model"]
    prefix, _, encoded = content.partition(",")
    assert prefix == "data:application/octet-stream;base64"
    assert base64.b64decode(encoded) == (models / "churn.h5").read_bytes()
    servable = server.client.get(f"/models/{churn['model_id']}/servable")
    assert servable.content.startswith(b"PK")
    assert servable.headers["etag"] == f'"{churn["model"]["servable_sha256"]}"'


def test_the_old_base_path_answers_too(server: Any, churn: Any) -> None:
    body = {"model_id": churn["model_id"], "input_vector": [1, 2, 3]}
    old = server.client.post("/v1/tensor-trigger/tensor/run", json=body)
    assert old.json() == server.client.post("/tensor/run", json=body).json()
    assert server.client.get(f"/v1/tensor-trigger/models/{churn['model_id']}").is_success


def test_lists_are_paged_without_gaps(server: Any, churn: Any, softmax: Any) -> None:
    seen, cursor = [], None
    while True:
        parameters = {"limit": 1, **({"cursor": cursor} if cursor else {})}
        page = server.client.get("/models", params=parameters).json()
        assert len(page["models"]) == 1
        seen += [model["model_id"] for model in page["models"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(set(seen)) == len(seen)
    assert {churn["model_id"], softmax["model_id"]} <= set(seen)
    only = server.client.get("/models", params={"name": "churn"}).json()["models"]
    assert [model["name"] for model in only] == ["churn"]


def test_an_idempotency_key_publishes_once(server: Any, models: Path) -> None:
    content = base64.b64encode((models / "churn.h5").read_bytes()).decode()
    headers = {"Idempotency-Key": "publish-once"}
    body = {"model_name": "once", "model_content": content}
    first = server.client.post("/models/new", json=body, headers=headers).json()
    again = server.client.post("/models/new", json=body, headers=headers).json()
    assert again["model_id"] == first["model_id"]
    assert again["version"] == 1
    other_bytes = base64.b64encode((models / "softmax.keras").read_bytes()).decode()
    for change in ({"model_name": "twice"}, {"model_content": other_bytes}, {"model_description": "changed"}):
        assert server.client.post("/models/new", json={**body, **change}, headers=headers).status_code == 409


def test_a_deleted_model_is_gone_and_its_number_is_not_given_again(server: Any, models: Path) -> None:
    first = server.publish(models / "churn.h5", "fleeting").json()
    run = {"model_id": first["model_id"], "input_vector": [1, 2, 3]}
    assert server.client.post("/tensor/run", json=run).is_success
    assert server.client.delete(f"/models/{first['model_id']}").json()["http_code"] == 200
    for answer in (
        server.client.post("/tensor/run", json=run),
        server.client.get(f"/models/{first['model_id']}"),
        server.client.delete(f"/models/{first['model_id']}"),
    ):
        assert answer.status_code == 404
    assert server.publish(models / "churn.h5", "fleeting").json()["version"] == 2


def test_publishing_can_be_asked_not_to_wait(server: Any, models: Path) -> None:
    content = base64.b64encode((models / "churn.h5").read_bytes()).decode()
    answer = server.client.post(
        "/models/new",
        json={"model_name": "patient", "model_content": content},
        headers={"Prefer": "respond-async"},
    )
    assert answer.status_code == 202
    assert answer.json()["state"] in ("received", "checking", "rebuilding", "verifying")
    location = answer.headers["location"]
    early = server.client.post(
        "/tensor/run", json={"model_id": answer.json()["model_id"], "input_vector": [1, 2, 3]}
    )
    assert early.status_code in (200, 503)
    for _ in range(600):
        model = server.client.get(location).json()["model"]
        if model["state"] == "ready":
            break
        time.sleep(0.1)
    assert model["version"] == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_serving_process_never_maps_tensorflow(server: Any, churn: Any) -> None:
    answer = server.client.post(
        "/tensor/run", json={"model_id": churn["model_id"], "input_vector": [1, 2, 3]}
    )
    assert answer.is_success
    mapped = Path(f"/proc/{server.process.pid}/maps").read_text().lower()
    assert "onnxruntime" in mapped
    for name in ("tensorflow", "keras", "h5py", "libhdf5"):
        assert name not in mapped


def test_nothing_is_reported_to_the_makers_of_the_engine(
    start_server: Callable[..., Any], published_data: Callable[[], Path], tmp_path: Path
) -> None:
    # ONNX Runtime leaves a device id below the home folder of whoever loads a model, where its telemetry is on.
    server = start_server(data_dir=published_data(), home=tmp_path)
    assert server.client.post("/tensor/run", json={"model": "churn", "input_vector": [1, 2, 3]}).is_success
    server.stop()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_root_leads_to_the_documentation(server: Any) -> None:
    answer = server.client.get("/", follow_redirects=True)
    assert answer.url.path == "/docs"
    assert answer.is_success
