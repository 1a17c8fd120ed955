"""How a stream of events is read, and what of it is news."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensortrigger_lab import events
from tensortrigger_lab.errors import UnexpectedAnswer
from tensortrigger_lab.events import EventReader, Following, ServerEvent
from tensortrigger_lab.wire import PointRecord, RunRecord

STREAM = (
    'event: run\ndata: {"a":\ndata: 1}\n\n: keep-alive\n\nid: 7\nevent: metric\ndata: é\n\n'
    "data:bare\nretry: 10\nunknown\n\nevent: none\n\nid: 8\n\ndata: {}\n\nevent: metric\ndata: cut off"
)
TOLD = [
    ServerEvent("run", '{"a":\n1}'),
    ServerEvent("metric", "é", "7"),
    ServerEvent("message", "bare", "7"),
    ServerEvent("message", "{}", "8"),
]


@given(cuts=st.sets(st.integers(0, 200)), ending=st.sampled_from(["\n", "\r\n", "\r"]))
def test_events_are_the_same_however_the_bytes_are_cut(cuts: set[int], ending: str) -> None:
    whole = STREAM.replace("\n", ending).encode()
    places = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    reader = EventReader()
    found = [event for begin, end in pairwise(places) for event in reader.feed(whole[begin:end])]
    assert found == TOLD


def test_a_line_without_end_is_not_gathered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LONGEST_LINE", 100)
    reader = EventReader()
    list(reader.feed(b"data: and on and on"))
    with pytest.raises(UnexpectedAnswer, match="does not end"):
        list(reader.feed(b" and on" * 20))


def told(kind: str, members: Any) -> ServerEvent:
    return ServerEvent(kind, json.dumps(members))


def test_a_point_that_is_known_is_no_news(shapes: Any) -> None:
    following = Following("/runs/1/metrics", after=2)
    found = [following.news(told("metric", shapes.point(seq))) for seq in (1, 2, 3, 3, 2, 4)]
    assert [point.seq for point in found if isinstance(point, PointRecord)] == [3, 4]
    assert following.request().headers is not None
    assert following.request().headers["Last-Event-ID"] == "4"


def test_a_state_that_was_told_before_is_no_news(shapes: Any) -> None:
    following = Following("/runs/1/metrics")
    states = ["running", "running", "lost", "running"]
    found = [following.news(told("run", shapes.run(state))) for state in states]
    assert [record.state for record in found if isinstance(record, RunRecord)] == [
        "running",
        "lost",
        "running",
    ]


def test_events_of_kinds_to_come_are_passed_over() -> None:
    assert Following("/x").news(ServerEvent("surprise", "no JSON")) is None


def test_an_event_that_cannot_be_read_is_an_error_of_ours() -> None:
    with pytest.raises(UnexpectedAnswer, match="cannot be read"):
        Following("/x").news(ServerEvent("metric", "{"))


@pytest.mark.parametrize(
    ("state", "last_seq", "ended"),
    [("succeeded", 2, True), ("succeeded", 3, False), ("running", 2, False), ("lost", 2, False)],
)
def test_it_ends_when_the_run_has_and_every_point_came(
    shapes: Any, state: str, last_seq: int, ended: bool
) -> None:
    following = Following("/runs/1/metrics")
    following.news(told("run", shapes.run(state, last_seq=last_seq)))
    for seq in (1, 2):
        following.news(told("metric", shapes.point(seq)))
    following.closed()
    assert following.ended is ended
