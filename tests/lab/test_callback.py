"""``tt.callback`` in a real ``fit``: what it reports, what it costs, and how a training's end is told."""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
import weakref
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest

import tensortrigger_lab as tt
from tensortrigger_lab.callbacks import stream as streams
from tensortrigger_lab.callbacks.epoch_end import Wish, epoch_end
from tensortrigger_lab.callbacks.fit import frames_in_training, main_thread_trains, models_in_training
from tensortrigger_lab.client import Client
from tensortrigger_lab.session import session

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]
RUN_ID = "b" * 32
X = np.random.default_rng(7).normal(size=(96, 4)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


class Runs:
    """The backend's side: every run that began, each with its points."""

    def __init__(self) -> None:
        self.begun: list[dict[str, Any]] = []
        self.points: list[dict[str, Any]] = []
        self.state = "running"
        self.error: str | None = None
        self.ends: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        members = json.loads(request.content)
        if request.url.path == "/runs":
            self.begun.append(members)
            self.points, self.state = [], "running"
        else:
            self.points += members["points"][max(0, len(self.points) - members["first"]) :]
            self.state = members.get("state", self.state)
            self.error = members.get("error")
            self.ends += [members["state"]] if "state" in members else []
        run = {"run_id": RUN_ID, "name": "n", "state": self.state}
        body = {"run_id": RUN_ID, "run": run, "last_seq": len(self.points), "state": self.state}
        return httpx.Response(200, json=body)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [point for point in self.points if point["kind"] == kind]


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
def client(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr(streams, "WATCH", 0.1)
    with Client("http://127.0.0.1:1", transport=httpx.MockTransport(runs), patience=0.0) as client:
        yield client


@pytest.fixture
def network() -> Any:
    import keras

    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1)]
    )
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse", metrics=["mae"])
    return model


def at_batch(number: int, act: Callable[[], None]) -> Any:
    """A callback of somebody's that acts at one batch of the second epoch."""
    import keras

    class Acting(keras.callbacks.Callback):  # type: ignore[misc]
        epoch = 0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch = epoch

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.epoch == 1 and batch == number:
                act()

    return Acting()


def until(holds: Callable[[], Any], seconds: float = 60.0) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_every_batch_and_epoch_is_told_with_the_values_of_the_history(
    runs: Runs, client: Client, network: Any
) -> None:
    live = tt.callback("wide", model="sums", client=client)
    history = network.fit(
        X, Y, epochs=3, batch_size=32, validation_split=1 / 3, verbose=0, callbacks=[live]
    ).history
    assert (runs.state, live.run_id) == ("succeeded", RUN_ID)
    assert [(p["step"], p["epoch"]) for p in runs.of("batch")] == [
        (1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 3)
    ]  # fmt: skip
    epochs = runs.of("epoch")
    assert [(p["step"], p["epoch"]) for p in epochs] == [(2, 1), (4, 2), (6, 3)]
    for name in ("loss", "mae", "val_loss", "val_mae"):
        assert [point["metrics"][name] for point in epochs] == pytest.approx(history[name])
    assert set(runs.points[0]["metrics"]) == {"loss", "mae"}
    (begun,) = runs.begun
    assert (begun["name"], begun["model"], begun["epochs"], begun["steps_per_epoch"]) == (
        "wide",
        "sums",
        3,
        2,
    )
    assert begun["params"]["optimizer"] == "Adam"
    assert begun["params"]["learning_rate"] == pytest.approx(0.01)
    assert begun["params"]["parameters"] == network.count_params()


def test_each_fit_is_a_run_of_its_own(runs: Runs, client: Client, network: Any) -> None:
    live = tt.callback("twice", client=client)
    network.fit(X, Y, verbose=0, callbacks=[live])
    network.fit(X, Y, verbose=0, callbacks=[live], initial_epoch=1, epochs=2)
    assert len(runs.begun) == 2
    assert [point["step"] for point in runs.of("batch")] == [1, 2, 3]
    assert [point["epoch"] for point in runs.of("epoch")] == [2]


def test_only_each_nth_batch_is_told_where_that_was_wished(runs: Runs, client: Client, network: Any) -> None:
    network.fit(X, Y, batch_size=8, verbose=0, callbacks=[tt.callback("thin", every=5, client=client)])
    assert [point["step"] for point in runs.of("batch")] == [5, 10]
    assert len(runs.of("epoch")) == 1


def test_an_interrupted_fit_is_a_cancelled_run(runs: Runs, client: Client, network: Any) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        network.fit(
            X, Y, epochs=5, verbose=0, callbacks=[tt.callback("cut", client=client), at_batch(1, interrupt)]
        )
    until(lambda: runs.state != "running")
    assert (runs.state, runs.error) == ("cancelled", None)
    assert len(runs.of("epoch")) == 1


def test_a_fit_that_raises_is_a_failed_run_with_the_reason(
    runs: Runs, client: Client, network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ValueError("the data ran out")

    with pytest.raises(ValueError, match="ran out") as raised:
        network.fit(
            X, Y, epochs=5, verbose=0, callbacks=[tt.callback("bad", client=client), at_batch(1, fail)]
        )
    # As the notebook does when it shows the traceback.
    monkeypatch.setattr(sys, "last_value", raised.value, raising=False)
    until(lambda: runs.state != "running")
    assert (runs.state, runs.error) == ("failed", "ValueError: the data ran out")


def test_a_backend_that_is_away_neither_raises_nor_delays(
    network: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with Client("http://127.0.0.1:9", patience=0.0) as client:
        network.fit(X, Y, verbose=0)
        began = time.monotonic()
        network.fit(X, Y, epochs=3, verbose=0, callbacks=[tt.callback("alone", client=client)])
        seconds = time.monotonic() - began
        until(lambda: caplog.records)
    assert seconds < 3.0
    assert len(caplog.records) == 1


def test_others_see_that_a_training_runs_and_of_which_model(client: Client, network: Any) -> None:
    seen: list[Any] = []

    def look() -> None:
        seen.extend((main_thread_trains(), models_in_training()[0] is network, len(frames_in_training())))

    def look_from_beside() -> None:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()

    network.fit(X, Y, epochs=2, verbose=0, callbacks=[at_batch(1, look_from_beside)])
    assert seen == [True, True, 1]
    assert not main_thread_trains()
    assert models_in_training() == []


def test_at_an_epochs_end_the_model_can_be_taken_whole(runs: Runs, client: Client, network: Any) -> None:
    """A wish from another thread in the middle of epoch 2 gets the weights of its end."""
    import keras

    taken: list[Any] = []

    def take() -> None:
        taken.append((threading.current_thread(), [weight.copy() for weight in network.get_weights()]))

    ends: list[Any] = []
    keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(network.get_weights()))
    ask = at_batch(1, lambda: ends.append(epoch_end().ask(Wish(take, lambda: taken.append("missed")))))
    network.fit(X, Y, epochs=3, verbose=0, callbacks=[tt.callback("live", client=client), ask, keep])
    assert ends[1] is True
    ((thread, weights),) = taken
    assert thread is threading.main_thread()
    assert all(np.array_equal(a, b) for a, b in zip(weights, ends[2], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(weights, ends[3], strict=True))


def test_a_model_can_be_published_when_its_training_ends(
    api: Any, shapes: Any, network: Any, runs: Runs
) -> None:
    model = shapes.model()
    api.on("POST", "/models/new", {"model_id": shapes.model_id, "state": "ready", "model": model})
    api.on("POST", "/runs", runs)
    api.on("POST", f"/runs/{RUN_ID}/metrics", runs)
    with Client("http://127.0.0.1:1", transport=httpx.MockTransport(api), patience=0.0) as client:
        live = tt.callback("final", model="churn", publish=True, client=client)
        network.fit(X, Y, verbose=0, callbacks=[live])
        assert live.publication.wait(60)
    assert live.publication.progress()["state"] == "ready"
    assert live.publication.published.name == "churn"
    content = __import__("base64").b64decode(api.body("/models/new")["model_content"])
    assert "config.json" in zipfile.ZipFile(BytesIO(content)).namelist()


@pytest.mark.parametrize(
    "given",
    [
        {"name": ""},
        {"name": "n", "every": 0},
        {"name": "No URL", "publish": True},
        {"name": "n", "model": "No URL"},
    ],
)
def test_what_cannot_be_right_is_told_before_the_training(given: dict[str, Any]) -> None:
    with pytest.raises(tt.BadInput):
        tt.callback(**given)


def test_the_hooks_cost_microseconds(client: Client, network: Any) -> None:
    live = tt.callback("quick", client=client)
    live.set_model(network)
    live.set_params({"epochs": 1, "steps": 100})
    live.on_train_begin()
    live.on_epoch_begin(0)
    logs = {"loss": 0.5, "mae": 0.25}
    costs = []
    for start in range(0, 10_000, 500):
        # The thread's own time: what else the machine does is not the hooks' cost.
        began = time.thread_time()
        for batch in range(start, start + 500):
            live.on_train_batch_begin(batch, logs=None)
            live.on_train_batch_end(batch, logs=logs)
        costs.append((time.thread_time() - began) / 500)
    live.on_train_end()
    assert sorted(costs)[len(costs) // 2] < 25e-6


def test_an_address_that_is_none_is_told_before_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    session().close()
    monkeypatch.setenv("TENSORTRIGGER_URL", "models.example.org")
    with pytest.raises(tt.BadInput, match="must look like"):
        tt.callback("nowhere")


@pytest.mark.parametrize("again", [True, False], ids=["the same callback", "another one"])
def test_a_fit_whose_error_was_caught_is_over_while_the_next_one_runs(
    runs: Runs, client: Client, network: Any, again: bool
) -> None:
    def fail() -> None:
        raise ValueError("too wide")

    ends: list[list[str]] = []

    def look() -> None:
        with suppress(AssertionError):
            until(lambda: runs.ends)
        ends.append(list(runs.ends))

    live = tt.callback("first", client=client)
    for act in (fail, look):
        with suppress(ValueError):
            network.fit(X, Y, epochs=2, verbose=0, callbacks=[live, at_batch(1, act)])
        live = live if again else tt.callback("second", client=client)
    assert ends == [["cancelled"]]


def test_steps_that_are_taken_together_are_told_by_their_last(
    runs: Runs, client: Client, network: Any
) -> None:
    network.compile(optimizer="sgd", loss="mse", steps_per_execution=4)
    network.fit(X, Y, batch_size=8, verbose=0, callbacks=[tt.callback("thin", every=3, client=client)])
    assert [point["step"] for point in runs.of("batch")] == [4, 8, 12]


def test_a_loss_that_is_not_finite_is_told_as_null(runs: Runs, client: Client, network: Any) -> None:
    network.fit(X * np.inf, Y, verbose=0, callbacks=[tt.callback("lost", client=client)])
    assert (runs.state, runs.of("epoch")[0]["metrics"]["loss"]) == ("succeeded", None)


@pytest.mark.parametrize("fails", [True, False])
def test_nothing_of_ours_keeps_the_model_alive(
    runs: Runs, client: Client, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    import keras

    def act() -> None:
        if fails:
            raise ValueError("too wide")

    def trained() -> tuple[weakref.ref[Any], Any]:
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        model.compile(optimizer="sgd", loss="mse")
        live = tt.callback("gone", model="gone", publish=not fails, client=client)
        with suppress(ValueError):
            model.fit(X, Y, epochs=2, verbose=0, callbacks=[live, at_batch(1, act)])
        return weakref.ref(model), live.publication

    model, publication = trained()
    assert publication is None or publication.wait(60)
    until(lambda: runs.state != "running")
    keras.backend.clear_session()

    def gone() -> bool:
        gc.collect()
        return model() is None

    until(gone)
