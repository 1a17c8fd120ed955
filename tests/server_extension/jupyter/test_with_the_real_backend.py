"""The same routes in front of the real backend, with a model that Keras made."""

from __future__ import annotations

import asyncio
import base64
import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

KEY = "tt_" + "0" * 12 + "_" + "Zr9" * 14 + "w"

BUILD = """
import sys
import keras
import numpy as np

model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.layers[-1].set_weights([np.array([[2.0], [3.0]]), np.array([1.0])])
model.compile("sgd", "mse")
model.save(sys.argv[1])
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real backend that demands keys."""
    data = tmp_path_factory.mktemp("real")
    command = [sys.executable, "-m", "tensortrigger_backend", "serve", "--auth", "--port", "0"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TENSORTRIGGER_")}
    with (data / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--data-dir", str(data / "data")],
            stdout=subprocess.PIPE,
            stderr=log,
            env={**clean, "TENSORTRIGGER_SESSION_KEY": KEY, "TENSORTRIGGER_SLICE_ROWS": "100"},
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline().decode()
        assert line.startswith("TensorTrigger backend ready at "), (data / "log").read_text()[-2000:]
        yield line.split()[-1]
    finally:
        process.terminate()
        process.stdout.close()
        process.wait(40)


@pytest.fixture(scope="module")
def adder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Keras file that answers ``2 a + 3 b + 1``."""
    file = tmp_path_factory.mktemp("model") / "adder.keras"
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    subprocess.run([sys.executable, "-c", BUILD, str(file)], check=True, env=quiet, timeout=120)
    return file


@pytest.fixture
def real(served: str, jp_server_config: dict[str, Any], request: pytest.FixtureRequest) -> httpx.Client:
    """The extension in front of it; and a client that is the kernel's, with a key of its own."""
    jp_server_config["TensorTriggerApp"] |= {"backend_url": served, "token": KEY}
    request.getfixturevalue("extension")
    with httpx.Client(
        base_url=served, headers={"Authorization": f"Bearer {KEY}"}, trust_env=False, timeout=60
    ) as client:
        yield client


@pytest.fixture
def published(real: httpx.Client, call, adder: Path, run) -> str:
    """The model's id: published with a ticket that the extension minted, as a kernel does it."""
    found = json.loads(call("GET", "backend/models?name=adder").body)["models"]
    if found:
        return found[0]["model_id"]
    answer = call("POST", "tickets", {"model": "adder"})
    assert answer.code == 201, answer.body
    ticket = json.loads(answer.body)
    assert ticket["url"] == str(real.base_url).rstrip("/")
    body = {
        "model_name": "adder",
        "model_description": "",
        "model_content": base64.b64encode(adder.read_bytes()).decode(),
        "model_schema": {name: {"var_type": "FLOAT", "index": place} for place, name in enumerate("ab")},
    }
    bearer = {"Authorization": f"Bearer {ticket['ticket']}"}
    made = httpx.post(f"{ticket['url']}/models/new", json=body, headers=bearer, timeout=120, trust_env=False)
    assert made.status_code in (201, 202), made.text
    model_id = made.json()["model_id"]
    for _ in range(240):
        model = json.loads(call("GET", f"backend/models/{model_id}").body)["model"]
        if model["state"] in ("ready", "refused"):
            break
        run(asyncio.sleep(0.5))
    assert model["state"] == "ready", model
    # It was good for one time.
    assert httpx.post(f"{ticket['url']}/models/new", json=body, headers=bearer, trust_env=False).is_error
    return model_id


def test_a_published_model_is_listed_and_run_through_the_proxy(published, real, call):
    listed = json.loads(call("GET", "backend/models?limit=10").body)
    assert [model["model_id"] for model in listed["models"]] == [published]
    one = call("POST", "backend/tensor/run", {"model": "adder", "input_vector": {"a": 1, "b": 2}})
    assert one.code == 200, one.body
    assert json.loads(one.body)["output"] == pytest.approx([9.0])
    wrong = call("POST", "backend/tensor/run", {"model": "adder", "input_vector": {"a": 1}})
    assert wrong.code == 400
    assert json.loads(wrong.body)["errors"][0]["loc"][-1] == "b"
    status = json.loads(call("GET", "status").body)
    assert status["version"] == real.get("/health").json()["version"]
    assert "skew" not in status


def test_a_csv_is_scored_beside_itself(published, call, jp_root_dir, run):
    rows = 1_050
    with (jp_root_dir / "x.csv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["who", "second", "first"])
        for row in range(rows):
            writer.writerow([f"line one of {row}\nline two", 1, "none" if row % 100 == 7 else row])
    order = {"path": "x.csv", "model": "adder", "columns": {"a": "first", "b": "second"}}
    started = call("POST", "csv/scores", order)
    assert started.code == 201, started.body
    score = json.loads(started.body)["score"]
    until = time.monotonic() + 60
    while not score["finished"]:
        assert time.monotonic() < until, score
        run(asyncio.sleep(0.05))
        score = json.loads(call("GET", f"csv/scores/{score['score_id']}").body)["score"]
    assert score["state"] == "succeeded", score
    assert (score["rows_done"], score["rows_total"], score["rows_rejected"]) == (rows, rows, 11)
    with (jp_root_dir / "x.scored.csv").open(newline="") as file:
        header, *scored = csv.reader(file, delimiter=";")
    assert header[:3] == ["who", "second", "first"]
    assert len(header) == 4
    assert len(scored) == rows
    for row, record in enumerate(scored):
        assert record[:2] == [f"line one of {row}\nline two", "1"]
        if row % 100 == 7:
            assert record[3] == ""
        else:
            assert float(record[3]) == pytest.approx(2 * row + 4)
    with (jp_root_dir / "x.rejects.csv").open(newline="") as file:
        rejects = list(csv.DictReader(file, delimiter=";"))
    # Two lines a record, behind one for the header.
    assert [(int(reject["row"]), int(reject["line"])) for reject in rejects] == [
        (row, 2 + 2 * row) for row in range(7, rows, 100)
    ]
    assert {reject["column"] for reject in rejects} == {"first"}


def test_a_runs_points_reach_the_browser_while_it_runs_and_again_from_any_place(real, call, run, jp_ws_fetch):
    started = real.post("/runs", json={"name": "fit", "epochs": 2})
    assert started.status_code == 201, started.text
    run_id = started.json()["run_id"]

    def tell(first: int, count: int, **more: Any) -> None:
        points = [
            {"step": step, "epoch": 1, "metrics": {"loss": 1 / step}}
            for step in range(first + 1, first + count + 1)
        ]
        real.post(
            f"/runs/{run_id}/metrics", json={"first": first, "points": points, **more}
        ).raise_for_status()

    async def watch(since: int) -> tuple[list[dict], int]:
        socket = await jp_ws_fetch(
            "tensortrigger-lab", "api", "runs", run_id, "socket", params={"since": since}
        )
        frames = [json.loads(await socket.read_message())]
        if not since:
            await asyncio.to_thread(tell, 0, 300)
            while frames[-1]["last_seq"] < 300:
                frames.append(json.loads(await socket.read_message()))
            await asyncio.to_thread(tell, 300, 200, state="succeeded")
        while (message := await socket.read_message()) is not None:
            frames.append(json.loads(message))
        socket.close()
        return frames, socket.close_code

    frames, code = run(asyncio.wait_for(watch(0), 30))
    assert frames[0]["run"]["state"] == "running"
    assert frames[0]["run"]["run_id"] == run_id
    assert [point["seq"] for frame in frames for point in frame["points"]] == list(range(1, 501))
    states = [frame["run"]["state"] for frame in frames if "run" in frame]
    assert (states[-1], code) == ("succeeded", 1000)
    frames, code = run(asyncio.wait_for(watch(450), 30))
    assert [point["seq"] for frame in frames for point in frame["points"]] == list(range(451, 501))
    assert (frames[-1]["last_seq"], code) == (500, 1000)
    listed = json.loads(call("GET", "backend/runs").body)["runs"]
    assert [(entry["run_id"], entry["points"]) for entry in listed] == [(run_id, 500)]
    answer = call("GET", f"backend/runs/{run_id}/metrics?after=490&limit=3")
    assert [point["seq"] for point in json.loads(answer.body)["points"]] == [491, 492, 493]
    assert call("DELETE", f"backend/runs/{run_id}").code == 200
    assert call("GET", f"backend/runs/{run_id}").code == 404


def test_a_run_that_nobody_knows_closes_the_socket_with_its_own_code(real, run, jp_ws_fetch):
    async def watch() -> int:
        socket = await jp_ws_fetch("tensortrigger-lab", "api", "runs", "f" * 32, "socket")
        assert await socket.read_message() is None
        socket.close()
        return socket.close_code

    assert run(asyncio.wait_for(watch(), 10)) == 4404
