"""A model comes in at one API, is judged by a forge, and answers at every API."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from deployments import CONTINUE, STOP, Deployment, Process, until
from scrapes import counted

Apis = tuple[Process, Process]


def checked(forge: Process, outcome: str) -> float:
    """How many models a forge tells that it found so."""
    return counted(forge.client, "models_checked_total", outcome=outcome)


def test_what_one_api_was_given_a_forge_judged_and_counted_and_the_other_api_answers_for(
    apis: Apis, forge: Process, published: dict[str, Any], keras_files: Path
) -> None:
    assert checked(forge, "ready") >= 1
    known = np.load(keras_files / "dense_seq.npz")
    model = apis[1].client.get(f"/models/{published['model_id']}").json()["model"]
    assert (model["state"], model["version"], model["engine"]) == ("ready", 1, "onnxruntime")
    assert model["aliases"] == ["production"]
    answer = apis[1].client.post(
        "/tensor/run/batch", json={"model": "seq@production", "input_vectors": known["in0"].tolist()}
    )
    assert answer.status_code == 200, answer.text
    np.testing.assert_allclose(answer.json()["output"], known["out0"], rtol=1e-4, atol=1e-5)
    receipt = apis[1].client.get(f"/models/{published['model_id']}/receipt")
    assert receipt.status_code == 200, receipt.text


def test_a_refusal_of_the_forge_is_counted_reaches_the_caller_of_the_api_and_leaves_nothing(
    apis: Apis, forge: Process, tmp_path: Path
) -> None:
    refused = checked(forge, "refused")
    (tmp_path / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(2000))
    answer = apis[1].publish(tmp_path / "broken.h5", "broken")
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["loc"][0] == "model_content"
    assert apis[0].client.get("/models", params={"name": "broken", "state": "refused"}).json()["models"] == []
    until(lambda: checked(forge, "refused") == refused + 1, 5)


def test_what_a_dead_forge_had_taken_the_next_one_judges_and_its_publisher_need_not_wait(
    deployment: Deployment, apis: Apis, forge: Process, keras_files: Path
) -> None:
    # The forge of all tests stands still meanwhile, with its warm child.
    forge.signal(STOP)
    try:
        doomed = deployment.start("forge")
        for api in apis:
            api.client.headers.update({"Prefer": "respond-async", "Idempotency-Key": "once"})
        answers = [api.publish(keras_files / "dense_seq.keras", "later") for api in apis]
        first, second = (answer.json() for answer in answers)
        assert answers[0].status_code == 202
        assert first["model_id"] == second["model_id"]
        assert first["message"] == "Model received: it waits for a forge"
        path = f"/models/{first['model_id']}"
        until(lambda: apis[1].client.get(path).json()["model"]["state"] != "received", 60)
        doomed.kill()
        assert apis[0].client.get(path).json()["model"]["state"] != "ready"
    finally:
        forge.signal(CONTINUE)
        for api in apis:
            del api.client.headers["Prefer"], api.client.headers["Idempotency-Key"]
    until(lambda: apis[1].client.get(path).json()["model"]["state"] == "ready", 120)


def test_an_alias_that_moves_at_one_api_is_seen_at_the_other_within_a_second_or_two(
    deployment: Deployment, apis: Apis
) -> None:
    for version, factor in ((1, 1.0), (2, 10.0)):
        deployment.linear("moving", [[factor]], version)

    def answers() -> float:
        body = {"model": "moving@live", "input_vector": [2.0]}
        answer = apis[1].client.post("/tensor/run", json=body)
        assert answer.status_code == 200, answer.text
        return float(answer.json()["output"][0])

    alias = "/models/by-name/moving/aliases/live"
    assert apis[0].client.put(alias, json={"version": 1}).status_code == 200
    assert answers() == 2.0
    assert apis[0].client.put(alias, json={"version": 2}).status_code == 200
    began = time.monotonic()
    took = until(lambda: answers() == 20.0, 5, every=0.02)
    assert took < 1.5, took
    assert time.monotonic() - began < 2
