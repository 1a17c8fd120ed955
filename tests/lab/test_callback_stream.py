"""What a training's points go through: in order, once each, and never at the training's cost."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tensortrigger_lab.callbacks import stream as streams
from tensortrigger_lab.callbacks.buffer import Point, PointBuffer
from tensortrigger_lab.callbacks.epoch_end import EpochEnd, Wish
from tensortrigger_lab.callbacks.fit import Place
from tensortrigger_lab.callbacks.stream import Run, Stream
from tensortrigger_lab.client import Client

RUN_ID = "a" * 32
USUAL = streams.INTERVAL


class Runs:
    """The backend's side of one run: keeps what is new, by the sender's own count."""

    def __init__(self) -> None:
        self.points: list[dict[str, Any]] = []
        self.state = "running"
        self.error: str | None = None
        self.keys: list[str] = []
        self.requests: list[tuple[float, dict[str, Any]]] = []
        self.faults: list[Callable[[], httpx.Response]] = []
        """What happens after each of the next requests was understood, instead of its answer."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        members = json.loads(request.content)
        self.requests.append((time.monotonic(), members))
        if request.url.path == "/runs":
            self.keys.append(request.headers["Idempotency-Key"])
        else:
            assert self.state == "running" or members.get("state") == self.state
            self.points += members["points"][max(0, len(self.points) - members["first"]) :]
            self.state = members.get("state", self.state)
            self.error = members.get("error", self.error)
        if self.faults:
            return self.faults.pop(0)()
        run = {"run_id": RUN_ID, "name": "n", "state": self.state}
        body = {"run_id": RUN_ID, "run": run, "last_seq": len(self.points), "state": self.state}
        return httpx.Response(200, json=body)


def away() -> httpx.Response:
    raise httpx.ConnectError("refused")


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
def begin(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Stream]]:
    monkeypatch.setattr(streams, "WATCH", 0.1)
    monkeypatch.setattr(streams, "INTERVAL", 0.05)
    begun: list[Stream] = []
    with Client("http://127.0.0.1:1", transport=httpx.MockTransport(runs), patience=0.0) as client:

        def begin(place: Place | None = None, **options: Any) -> Stream:
            begun.append(Stream(Run("first try"), lambda: client, place or Place(), **options))
            begun[-1].start()
            return begun[-1]

        yield begin
        for stream in begun:
            runs.faults.clear()
            stream.finish("cancelled")
            until(lambda stream=stream: not stream.sending)


def until(holds: Callable[[], Any], seconds: float = 60.0) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.01)


def filled(stream: Stream, epochs: int = 2, steps: int = 5) -> None:
    for epoch in range(1, epochs + 1):
        for step in range(1, steps + 1):
            stream.add((epoch - 1) * steps + step, epoch, "batch", {"loss": 1.0 / step})
        stream.add(epoch * steps, epoch, "epoch", {"loss": 0.5, "val_loss": 0.6})


def test_points_arrive_in_order_and_the_end_comes_last(runs: Runs, begin: Callable[..., Stream]) -> None:
    place = Place()
    stream = begin(place)
    filled(stream)
    stream.finish("succeeded")
    assert [(point["step"], point["kind"]) for point in runs.points[:6]] == [
        *((step, "batch") for step in range(1, 6)),
        (5, "epoch"),
    ]
    assert (len(runs.points), runs.state, stream.run_id) == (12, "succeeded", RUN_ID)
    assert set(runs.points[0]) == {"step", "epoch", "t", "kind", "metrics"}


def test_an_answer_that_is_lost_doubles_nothing(runs: Runs, begin: Callable[..., Stream]) -> None:
    place = Place()
    stream = begin(place)
    filled(stream)
    until(lambda: len(runs.points) == 12)
    runs.faults = [lambda: httpx.Response(500)] * 2
    filled(stream)
    stream.finish("succeeded")
    until(lambda: not stream.sending)
    assert (len(runs.points), runs.state) == (24, "succeeded")
    repeated = [members for _, members in runs.requests if members.get("first") == 12]
    assert len(repeated) >= 3
    assert all(members["points"] == repeated[0]["points"] for members in repeated)


def test_a_backend_that_is_away_is_told_later_and_warned_of_once(
    runs: Runs, begin: Callable[..., Stream], caplog: pytest.LogCaptureFixture
) -> None:
    runs.faults = [away] * 3
    place = Place()
    with caplog.at_level(logging.WARNING):
        stream = begin(place)
        filled(stream)
        until(lambda: len(runs.points) == 12)
    assert len(caplog.records) == 1
    assert "Training goes on" in caplog.text
    assert len(set(runs.keys)) == 1
    assert len(runs.keys) == 4


def test_the_end_of_a_training_does_not_wait_for_a_backend_that_is_away(
    runs: Runs, begin: Callable[..., Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "WAIT_FOR_A_STRANGER", 60.0)
    runs.faults = [away] * 1000
    stream = begin(Place())
    # The second attempt begins when the first is known to have failed.
    until(lambda: len(runs.keys) == 2)
    filled(stream)
    began = time.monotonic()
    stream.finish("succeeded")
    assert time.monotonic() - began < 10.0
    runs.faults.clear()
    until(lambda: runs.state == "succeeded")
    assert len(runs.points) == 12


def test_a_backend_that_says_no_is_asked_no_more(
    runs: Runs, begin: Callable[..., Stream], caplog: pytest.LogCaptureFixture
) -> None:
    runs.faults = [lambda: httpx.Response(401, json={"status": 401, "title": "No", "detail": "Which key?"})]
    place = Place()
    with caplog.at_level(logging.WARNING):
        stream = begin(place)
        filled(stream)
        until(lambda: caplog.records)
        filled(stream)
        time.sleep(0.6)
        stream.finish("succeeded")
        until(lambda: not stream.sending)
    assert (len(runs.requests), len(caplog.records)) == (1, 1)
    assert "Which key?" in caplog.text


def test_there_are_no_more_than_four_requests_a_second(
    runs: Runs, begin: Callable[..., Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "INTERVAL", USUAL)
    assert USUAL >= 0.25
    place = Place()
    stream = begin(place)
    until(lambda: runs.keys or stream.add(1, 1, "batch", {"loss": 1.0}))
    before = len(runs.requests)
    ends = time.monotonic() + 1.0
    while time.monotonic() < ends:
        stream.add(1, 1, "batch", {"loss": 1.0})
        time.sleep(0.001)
    assert 2 <= len(runs.requests) - before <= 5


def test_a_training_with_nothing_to_say_shows_that_it_lives(
    runs: Runs, begin: Callable[..., Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "SIGN_OF_LIFE", 0.3)
    place = Place()
    begin(place)
    until(lambda: [members for _, members in runs.requests if members.get("points") == []])


def trained(begin: Callable[..., Stream], **options: Any) -> Stream:
    """A training that is left without a word."""
    stream = begin(Place(), **options)
    stream.add(1, 1, "batch", {"loss": 1.0})
    time.sleep(0.4)
    assert stream.sending
    return stream


def test_a_training_that_is_left_without_a_word_was_cancelled(
    runs: Runs, begin: Callable[..., Stream]
) -> None:
    over: list[int] = []
    trained(begin, over=lambda: over.append(1))
    assert runs.state == "running"
    until(lambda: runs.state != "running")
    assert (runs.state, runs.error, over) == ("cancelled", None, [1])


@pytest.mark.parametrize(
    ("error", "state", "told"),
    [
        (KeyboardInterrupt(), "cancelled", None),
        (ValueError("shapes differ\nand more"), "failed", "ValueError: shapes differ"),
    ],
)
def test_the_error_that_the_notebook_shows_says_how_it_ended(
    runs: Runs,
    begin: Callable[..., Stream],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    state: str,
    told: str | None,
) -> None:
    trained(begin)
    monkeypatch.setattr(sys, "last_value", error, raising=False)
    until(lambda: runs.state != "running")
    assert (runs.state, runs.error) == (state, told)


def test_an_error_from_before_the_training_is_not_its_own(
    runs: Runs, begin: Callable[..., Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "last_value", ValueError("an older cell"), raising=False)
    trained(begin)
    until(lambda: runs.state != "running")
    assert (runs.state, runs.error) == ("cancelled", None)


def test_a_full_buffer_gives_up_old_batches_and_keeps_epochs() -> None:
    buffer = PointBuffer(batch_points=10)
    for step in range(1, 101):
        buffer.add(step, 1 + step // 20, "batch", {"loss": 1.0})
        if step % 20 == 0:
            buffer.add(step, step // 20, "epoch", {"loss": 1.0})
    assert (len(buffer), buffer.dropped) == (15, 90)
    kept = buffer.take(1000)
    assert [point.step for point in kept if point.kind == "epoch"] == [20, 40, 60, 80, 100]
    assert [point.step for point in kept if point.kind == "batch"] == list(range(91, 101))
    assert [point.step for point in kept] == sorted(point.step for point in kept)
    assert kept[-1].kind == "epoch"


def test_what_is_no_number_is_left_out_and_what_is_not_finite_is_null() -> None:
    logs = {"loss": float("nan"), "rate": float("inf"), "lr": 0.1, "text": "high", "none": None}
    assert Point(1, 1, 0.0, "batch", logs).members["metrics"] == {"loss": None, "rate": None, "lr": 0.1}


def test_adding_a_point_costs_the_training_next_to_nothing(runs: Runs, begin: Callable[..., Stream]) -> None:
    stream = begin(Place())
    logs = {"loss": 0.5, "accuracy": 0.5}
    costs = []
    for _ in range(20):
        # The thread's own time: what else the machine does is not its cost.
        began = time.thread_time()
        for step in range(500):
            stream.add(step, 1, "batch", logs)
        costs.append((time.thread_time() - began) / 500)
    assert sorted(costs)[len(costs) // 2] < 20e-6


def test_a_wish_is_granted_on_the_thread_that_trains() -> None:
    ends, granted, missed = EpochEnd(), [], []
    wish = Wish(lambda: granted.append(threading.get_ident()), lambda: missed.append(1))
    assert not ends.ask(wish)
    ends.open("training")
    assert ends.awaited
    assert ends.ask(wish)
    ends.grant()
    ends.grant()
    ends.close("training")
    assert (granted, missed, ends.awaited) == ([threading.get_ident()], [], False)


def test_a_wish_is_missed_when_the_training_stops_before() -> None:
    ends, granted, missed = EpochEnd(), [], []
    ends.open("first")
    ends.open("second")
    assert ends.ask(Wish(lambda: granted.append(1), lambda: missed.append(1)))
    ends.close("first")
    assert missed == []
    ends.close("second")
    assert (granted, missed) == ([], [1])


def test_a_wish_can_be_withdrawn_until_it_is_granted() -> None:
    ends, granted = EpochEnd(), []
    wish = Wish(lambda: granted.append(1), lambda: None)
    ends.open("training")
    ends.ask(wish)
    assert ends.withdraw(wish)
    assert not ends.withdraw(wish)
    ends.grant()
    assert granted == []


KERAS = """
class CallbackList:
    def on_train_begin(self, hook):
        hook()

def fit(hook):
    callbacks = CallbackList()
    callbacks.on_train_begin(hook)
"""
"""What Keras' files look like on the stack."""


def test_a_fit_after_another_is_not_taken_for_the_one_before() -> None:
    """Its frame is at the same address as a rule, which alone would say that nothing has ended."""
    keras: dict[str, Any] = {}
    exec(compile(KERAS, "/site-packages/keras/src/trainer.py", "exec"), keras)
    places: list[Place] = []

    def hook() -> None:
        places.append(Place())
        assert [place.left() for place in places] == [*[True] * (len(places) - 1), False]

    for _ in range(20):
        keras["fit"](hook)
    assert places[-1].left()


def test_a_training_that_is_said_to_be_left_is_over_at_once(
    runs: Runs, begin: Callable[..., Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    over: list[int] = []
    stream = begin(Place(), over=lambda: over.append(1))
    stream.add(1, 1, "batch", {"loss": 1.0})
    stream.leave()
    stream.leave()
    assert over == [1]
    until(lambda: runs.state == "cancelled")
    assert len(runs.points) == 1


def test_what_was_given_up_while_the_backend_was_away_is_told(
    runs: Runs, begin: Callable[..., Stream], caplog: pytest.LogCaptureFixture
) -> None:
    runs.faults = [away] * 1000
    stream = begin(Place())
    stream.buffer = PointBuffer(batch_points=10)
    with caplog.at_level(logging.WARNING):
        filled(stream, epochs=5)
        runs.faults.clear()
        stream.finish("succeeded")
        until(lambda: not stream.sending)
    assert stream.buffer.dropped == 15
    assert "15 batch points were given up" in caplog.messages[-1]
