"""Trainings and runs against a real backend: started, watched, followed, cancelled, and the new version run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tensortrigger_lab as tt
from tensortrigger_lab import cli
from tensortrigger_lab.async_client import AsyncClient
from tensortrigger_lab.client import Client
from tensortrigger_lab.wire import PointRecord, RunRecord

pytestmark = [
    pytest.mark.slow,
    # Keras' own way of reading a variable, which the newest numpy frowns upon.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def client(backend_url: str) -> Iterator[Client]:
    with Client(backend_url) as client:
        yield client


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Three columns whose sum is to be learnt."""
    rng = np.random.default_rng(11)
    table = pd.DataFrame(rng.normal(size=(600, 3)), columns=["left", "middle", "right"])
    return table.assign(total=table.sum(axis=1))


@pytest.fixture(scope="module")
def model(client: Client, rows: pd.DataFrame) -> tt.Model:
    import keras

    keras.utils.set_random_seed(3)
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    net.compile(optimizer=keras.optimizers.SGD(0.05), loss="mse")
    return tt.publish(net, "sum", rows.drop(columns="total"), progress=False, client=client)


@pytest.fixture(scope="module")
def training(model: tt.Model, rows: pd.DataFrame) -> tt.Training:
    # The columns in another order than the model's: they are matched by name.
    x = rows[["right", "left", "middle"]]
    return model.train(x, rows["total"], epochs=4, validation_split=0.25, name="to the sum", progress=False)


def test_a_training_makes_the_next_version_and_it_has_learnt(
    training: tt.Training, model: tt.Model, rows: pd.DataFrame
) -> None:
    assert training.state == "succeeded"
    newer = training.model
    assert (newer.name, newer.version) == ("sum", 2)
    assert newer.record.parent is not None
    assert newer.record.parent.model_id == model.model_id
    assert newer.record.input_names == ("left", "middle", "right")
    x = rows.drop(columns="total").to_numpy()
    before, after = (np.abs(tt.run(which, x)[:, 0] - rows["total"]).mean() for which in (model, newer))
    assert after < 0.05 < before


def test_its_history_falls_and_its_points_count_the_steps(training: tt.Training) -> None:
    history = training.history()
    assert history.index.tolist() == [1, 2, 3, 4]
    assert history["val_loss"].iloc[-1] < history["val_loss"].iloc[0]
    points = training.metrics()
    assert points.index.tolist() == list(range(1, len(points) + 1))
    # 450 rows are trained on, in steps of 32.
    assert points["step"].max() == 4 * 15
    assert training.run.name == "to the sum"


async def test_both_clients_follow_it_from_any_point(
    training: tt.Training, client: Client, backend_url: str
) -> None:
    told = list(client.follow(training.run_id, after=3))
    numbers = [event.seq for event in told if isinstance(event, PointRecord)]
    assert numbers == list(range(4, len(training.metrics()) + 1))
    assert [event.state for event in told if isinstance(event, RunRecord)][-1] == "succeeded"
    async with AsyncClient(backend_url) as awaited:
        assert [event async for event in awaited.follow(training.run_id, after=3)] == told
        assert (await awaited.job(training.job_id)).kind == "train"


def test_labels_that_cannot_be_are_named_by_row(model: tt.Model, rows: pd.DataFrame) -> None:
    with pytest.raises(tt.InvalidRequest, match="Row 0") as caught:
        model.train(rows.drop(columns="total"), rows[["total", "left"]], progress=False)
    assert caught.value.faults[0].row == 0


def test_a_training_can_be_cancelled(model: tt.Model, rows: pd.DataFrame, client: Client) -> None:
    x = rows.drop(columns="total")
    training = model.train(x, rows["total"], epochs=100_000, batch_size=1, wait=False)
    training.cancel()
    began = time.monotonic()
    with pytest.raises(tt.JobFailed, match="cancelled"):
        training.wait(progress=False)
    assert time.monotonic() - began < 10
    assert tt.run_of(training.run_id, client=client).state == "cancelled"


def test_a_run_that_a_notebook_tells_of_is_followed_while_it_goes(client: Client) -> None:
    run = client.start_run("told live", epochs=2, steps_per_epoch=5)

    def tell() -> None:
        for step in range(1, 11):
            point = {
                "step": step,
                "epoch": 1 + (step > 5),
                "metrics": {"loss": 1.0 / step, "bad": float("nan")},
            }
            state = "succeeded" if step == 10 else None
            client.add_points(run.run_id, [point], first=step - 1, state=state)
            client.add_points(run.run_id, [point], first=step - 1, state=state)

    teller = threading.Thread(target=tell)
    teller.start()
    told = list(client.follow(run.run_id))
    teller.join()
    points = [event for event in told if isinstance(event, PointRecord)]
    assert [point.seq for point in points] == list(range(1, 11))
    assert [point.metrics["loss"] for point in points] == [1.0 / step for step in range(1, 11)]
    assert {point.metrics["bad"] for point in points} == {None}
    assert tt.watch(run.run_id, client=client).state == "succeeded"
    assert tt.metrics(run.run_id, client=client)["bad"].isna().all()
    assert run.run_id in [found.run_id for found in client.iter_runs()]
    client.delete_run(run.run_id)
    with pytest.raises(tt.NotFound):
        client.run_record(run.run_id)


def test_a_version_from_a_bare_array_keeps_the_names_that_callers_send(
    client: Client, model: tt.Model, rows: pd.DataFrame
) -> None:
    import keras

    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    again = tt.publish(net, "sum", rows.drop(columns="total").to_numpy(), progress=False, client=client)
    assert again.record.input_names == ("left", "middle", "right")
    assert "names kept from sum/" in again.remark


def test_the_commands_train_and_watch(
    backend_url: str,
    training: tt.Training,
    rows: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    monkeypatch.setenv("TENSORTRIGGER_URL", backend_url)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    line = ["train", "sum/1", str(tmp_path / "rows.csv"), "--label", "total", "--epochs", "1", "--no-wait"]
    assert cli.main(line) == 0
    assert cli.main(["watch", "--latest"]) == 0
    assert "succeeded" in capsys.readouterr().err
    assert cli.main(["runs", "sum"]) == 0
    assert training.run_id in capsys.readouterr().out
    assert cli.main(["metrics", training.run_id]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(training.metrics())
