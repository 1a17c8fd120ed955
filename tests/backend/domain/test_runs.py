"""Is every point of a run kept once, whatever is sent again, and is every wrong message told what is wrong?"""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensortrigger_backend.domain import runs as rules
from tensortrigger_backend.domain.errors import Conflict, InvalidInput
from tensortrigger_backend.domain.run_messages import MAX_BATCH, read_batch, read_plan
from tensortrigger_backend.domain.runs import (
    Batch,
    Point,
    PointKind,
    Run,
    RunSource,
    RunState,
    missing,
)

NOW = 1000.0


def run(source: RunSource = RunSource.NOTEBOOK) -> Run:
    return Run("r1", "ann", "First", source, created=NOW, last_updated=NOW)


def point(step: int, kind: PointKind = PointKind.BATCH, **metrics: float | None) -> Point:
    return Point(0, kind, step, 1, NOW, metrics or {"loss": float(step)})


def points(first: int, count: int) -> list[Point]:
    return [point(number + 1) for number in range(first, first + count)]


windows = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), max_size=25)


@given(windows)
def test_a_point_is_new_exactly_when_no_earlier_batch_held_it(sent: list[tuple[int, int]]) -> None:
    received: rules.Stretches = ()
    known: set[int] = set()
    for first, count in sent:
        new, received = missing(received, first, count)
        asked = set(range(first, first + count))
        assert [first + place for place in new] == sorted(asked - known)
        known |= asked
        assert {number for begin, end in received for number in range(begin, end)} == known
        assert all(end < begin for (_, end), (begin, _) in itertools.pairwise(received))


@given(windows)
def test_whatever_is_repeated_or_out_of_order_numbers_have_no_gap(sent: list[tuple[int, int]]) -> None:
    state, stored = run(), []
    for first, count in sent:
        state, new = state.taking(Batch(points(first, count), first), NOW)
        stored += new
    assert [entry.seq for entry in stored] == list(range(1, len(stored) + 1))
    assert state.last_seq == len(stored)
    steps = [entry.step for entry in stored]
    assert len(set(steps)) == len(steps)
    assert set(steps) == {number + 1 for first, count in sent for number in range(first, first + count)}


def test_holes_in_the_count_do_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MAX_HOLES", 3)
    received: rules.Stretches = ()
    for first in range(0, 100, 10):
        new, received = missing(received, first, 1)
        assert new == [0]
    assert received == ((0, 71), (80, 81), (90, 91))


def test_without_a_count_points_follow_the_latest() -> None:
    state, _ = run().taking(Batch(points(0, 3), 0), NOW)
    state, new = state.taking(Batch(points(3, 2)), NOW)
    assert [entry.seq for entry in new] == [4, 5]
    assert state.taking(Batch(points(3, 2), 3), NOW)[1] == []


def test_an_ended_run_takes_repetitions_and_nothing_else() -> None:
    ended, _ = run().taking(Batch(points(0, 3), 0, RunState.FAILED, "out of memory"), NOW + 1)
    assert (ended.state, ended.error, ended.finished) == (RunState.FAILED, "out of memory", NOW + 1)
    for harmless in (Batch(points(0, 3), 0, RunState.FAILED), Batch(), Batch(points(1, 2), 1)):
        assert ended.taking(harmless, NOW + 9) == (ended, [])
    for late in (Batch(points(3, 1), 3), Batch(points(0, 1)), Batch(state=RunState.SUCCEEDED)):
        with pytest.raises(Conflict, match="has failed"):
            ended.taking(late, NOW + 9)
    with pytest.raises(Conflict):
        ended.taking(Batch(state=RunState.RUNNING), NOW + 9)


def test_a_silent_notebook_is_lost_until_its_next_word_and_a_backend_never_is() -> None:
    state = run()
    assert state.seen_at(NOW + 60).state is RunState.RUNNING
    assert state.seen_at(NOW + 61).state is RunState.LOST
    revived, _ = state.taking(Batch(), NOW + 300)
    assert revived.seen_at(NOW + 301).state is RunState.RUNNING
    assert run(RunSource.BACKEND).seen_at(NOW + 1e6).state is RunState.RUNNING
    assert not RunState.LOST.final


def test_the_latest_metrics_are_the_epochs_once_there_is_one() -> None:
    state, _ = run().taking(Batch([point(1, loss=3.0)]), NOW)
    assert (dict(state.metrics), state.step) == ({"loss": 3.0}, 1)
    state, _ = state.taking(Batch([point(2, PointKind.EPOCH, loss=2.0, val_loss=2.5), point(3, lr=0.1)]), NOW)
    assert (dict(state.metrics), state.step) == ({"loss": 2.0, "val_loss": 2.5}, 3)
    state, _ = state.taking(Batch([point(4, loss=9.0)]), NOW)
    assert dict(state.metrics) == {"loss": 2.0, "val_loss": 2.5}
    assert state.metric_names == ("loss", "val_loss", "lr")


def test_what_is_not_finite_is_kept_as_null() -> None:
    _, (kept,) = run().taking(Batch([point(1, a=math.nan, b=math.inf, c=1)]), NOW)
    assert kept.metrics == {"a": None, "b": None, "c": 1.0}


def test_a_run_that_would_grow_too_large_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MAX_POINTS", 5)
    state, _ = run().taking(Batch(points(0, 5), 0), NOW)
    assert state.taking(Batch(points(0, 5), 0), NOW)[1] == []
    with pytest.raises(Conflict, match="5 points"):
        state.taking(Batch(points(5, 1), 5), NOW)
    many = [Point(0, PointKind.BATCH, 1, 1, NOW, {f"m{n}": 1.0}) for n in range(257)]
    monkeypatch.setattr(rules, "MAX_POINTS", 1000)
    with pytest.raises(Conflict, match="metrics"):
        run().taking(Batch(many), NOW)


GOOD = {"step": 1, "epoch": 1, "metrics": {"loss": 1}}


@pytest.mark.parametrize(
    ("message", "count"),
    [(GOOD, 1), ([GOOD, GOOD], 2), ({"points": [GOOD]}, 1), ({"points": []}, 0), ([], 0)],
)
def test_a_message_is_an_object_an_array_or_one_point(message: Any, count: int) -> None:
    batch = read_batch(message, NOW)
    assert (len(batch.points), batch.first, batch.state) == (count, None, None)
    assert all(entry.t == NOW and entry.kind is PointKind.BATCH for entry in batch.points)


@pytest.mark.parametrize(
    ("member", "value", "field"),
    [
        ("step", 0, "step"),
        ("step", 1.5, "step"),
        ("step", True, "step"),
        ("step", 10**60, "step"),
        ("epoch", None, "epoch"),
        ("t", "now", "t"),
        ("t", -1, "t"),
        ("t", 1.7e12, "t"),
        ("kind", "step", "kind"),
        ("kind", ["batch"], "kind"),
        ("metrics", [1], "metrics"),
        ("metrics", {"loss": "1"}, "loss"),
        ("metrics", {"loss": True}, "loss"),
        ("metrics", {"loss": 10**400}, "loss"),
        ("metrics", {"": 1}, ""),
        ("metrics", {"a\0b": 1}, "a\0b"),
        ("metrics", {f"m{n}": 1 for n in range(65)}, "metrics"),
        ("loss", 1, "loss"),
    ],
)
def test_a_wrong_point_is_named_by_row_and_field(member: str, value: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_batch({"points": [GOOD, GOOD | {member: value}]}, NOW)
    (fault,) = caught.value.faults
    assert (fault.row, fault.loc[:2], fault.loc[-1]) == (1, ("points", 1), field)
    assert len(fault.got or "") <= 82


@pytest.mark.parametrize(
    "message",
    [
        3,
        {},
        {"points": None},
        {"points": GOOD},
        {"points": [], "fist": 1},
        {"points": [], "first": -1},
        {"points": [], "state": "lost"},
        {"points": [], "state": ["failed"]},
        {"points": [], "error": "but it runs"},
        {"points": [], "state": "failed", "error": 3},
        {"points": [GOOD] * (MAX_BATCH + 1)},
        [[]],
    ],
)
def test_a_wrong_message_is_refused(message: Any) -> None:
    with pytest.raises(InvalidInput):
        read_batch(message, NOW)


def test_of_very_many_faults_only_some_are_told() -> None:
    with pytest.raises(InvalidInput) as caught:
        read_batch([{"x": 1}] * 4000, NOW)
    assert len(caught.value.faults) == 20


def test_a_plan_needs_a_name_only() -> None:
    assert read_plan({"name": " First "}).name == "First"
    plan = read_plan(
        {"name": "x", "model": "churn", "epochs": 3, "steps_per_epoch": None, "params": {"a": [1]}}
    )
    assert (plan.model, plan.epochs, plan.steps_per_epoch, plan.params) == ("churn", 3, None, {"a": [1]})


def nested(depth: int) -> Any:
    return {"in": nested(depth - 1)} if depth else 1


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("name", None),
        ("name", "  "),
        ("name", "x" * 257),
        ("name", "a\0b"),
        ("model", "No Name"),
        ("model", 3),
        ("epochs", 0),
        ("epochs", "3"),
        ("steps_per_epoch", 1.0),
        ("params", [1]),
        ("params", nested(17)),
        ("params", {"a": "x" * (64 << 10)}),
        ("title", "x"),
    ],
)
def test_a_wrong_plan_is_named_by_its_member(member: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_plan({"name": "First", member: value})
    assert [fault.loc for fault in caught.value.faults] == [(member,)]
