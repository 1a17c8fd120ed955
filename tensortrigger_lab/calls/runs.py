"""What a client asks about runs: begin one, add points to it, and read its curves."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from tensortrigger_lab.calls.call import Call, Pages, Seen, read_answer, read_member
from tensortrigger_lab.errors import BadInput
from tensortrigger_lab.request import KEY_HEADER, Request, segment
from tensortrigger_lab.wire import PointRecord, RunReceipt, RunRecord, listed, member, whole

MOST_POINTS_SENT = 5_000
MOST_POINTS_READ = 10_000


def start_run(
    seen: Seen,
    name: str,
    model: str | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    params: Mapping[str, Any] | None = None,
    *,
    idempotency_key: str | None = None,
) -> Call[RunRecord]:
    """Begin a run, which ``add_points`` then fills.

    Args:
        name: for people, such as the notebook's or the experiment's.
        model: the name of the model that is trained, where it has one.
        epochs, steps_per_epoch: how long it is going to be, where that is known.
        params: settings to remember: learning rate, batch size and so on.
        idempotency_key: the same key gives the same run; None for a new one.

    Example:
        >>> run = client.start_run("first try", epochs=3)  # doctest: +SKIP
        >>> points = [{"step": 1, "epoch": 1, "metrics": {"loss": 0.7}}]
        >>> client.add_points(run.run_id, points, first=0)  # doctest: +SKIP
    """
    given = {
        "name": name,
        "model": model,
        "epochs": epochs,
        "steps_per_epoch": steps_per_epoch,
        "params": dict(params) if params is not None else None,
    }
    members = {key: value for key, value in given.items() if value is not None}
    headers = {KEY_HEADER: idempotency_key or uuid.uuid4().hex}
    answer = yield Request("POST", "/runs", members, headers=headers)
    return _noted(seen, read_member(answer, "run", RunRecord.read))


def add_points(
    _: Seen,
    run_id: str,
    points: Sequence[Mapping[str, Any]] = (),
    *,
    first: int | None = None,
    state: str | None = None,
    error: str | None = None,
) -> Call[RunReceipt]:
    """Add points to a run, and end it where ``state`` says so.

    Args:
        points: each ``{step, epoch, metrics}``, with ``t`` in seconds since 1970 and ``kind``, ``batch`` or
            ``epoch``, where wanted; none are a sign of life. A metric that is not finite is sent as null.
        first: how many points this sender sent before; with it, sending the same again adds nothing, so that
            it is safe to repeat. Without it nothing is repeated.
        state: ``succeeded``, ``failed`` or ``cancelled`` at the end.
        error: why it failed.

    Raises:
        BadInput: a point has no ``metrics``, or one of them is no number; what was before it may have been sent.
        Conflict: the run has ended, or holds as many points as one may.
    """
    begins = range(0, max(1, len(points)), MOST_POINTS_SENT)
    for begin in begins:
        members: dict[str, Any] = {
            "points": [_sent(point) for point in points[begin : begin + MOST_POINTS_SENT]]
        }
        if first is not None:
            members["first"] = first + begin
        if begin == begins[-1]:
            members |= {key: value for key, value in (("state", state), ("error", error)) if value}
        answer = yield Request(
            "POST", f"/runs/{segment(run_id)}/metrics", members, idempotent=first is not None
        )
    return read_answer(answer, RunReceipt.read)


def run_record(seen: Seen, run_id: str) -> Call[RunRecord]:
    """The run as it stands now."""
    answer = yield Request("GET", f"/runs/{segment(run_id)}")
    return _noted(seen, read_member(answer, "run", RunRecord.read))


def run_pages(seen: Seen, *, model: str | None = None, state: str | None = None) -> Pages[RunRecord]:
    """Every run, newest first, page by page as they are asked for."""
    filters = {"model": model, "state": state}
    return Pages("/runs", "runs", RunRecord.read, filters, lambda record: _noted(seen, record))


def runs(
    seen: Seen, *, model: str | None = None, state: str | None = None, limit: int = 100
) -> Call[list[RunRecord]]:
    """The newest ``limit`` runs, newest first."""
    return (yield from run_pages(seen, model=model, state=state).first(limit))


def delete_run(_: Seen, run_id: str) -> Call[None]:
    """Remove a run and its points for good; a training's is kept while it runs."""
    yield Request("DELETE", f"/runs/{segment(run_id)}")


def points(seen: Seen, run_id: str, after: int = 0, *, kind: str | None = None) -> Call[list[PointRecord]]:
    """Every point after number ``after``, in order.

    Args:
        kind: ``batch`` or ``epoch``; None for both.

    Example:
        >>> [point.metrics["loss"] for point in client.points(run_id)]  # doctest: +SKIP
        [0.693, 0.641]
    """
    return (yield from run_news(seen, run_id, after, kind=kind))[1]


def run_news(
    seen: Seen, run_id: str, after: int = 0, *, kind: str | None = None
) -> Call[tuple[RunRecord, list[PointRecord]]]:
    """The run as it stands now, and every point after number ``after``, in order."""
    found: list[PointRecord] = []
    following = after
    while True:
        params: dict[str, str | int] = {"after": following, "limit": MOST_POINTS_READ}
        if kind is not None:
            params["kind"] = kind
        answer = yield Request("GET", metrics_path(run_id), params=params)
        page = read_member(answer, "points", listed(PointRecord.read))
        found += page
        more = read_answer(answer, lambda members: member(members, "next_after", whole, -1))
        if not page or more <= following:
            return _noted(seen, read_member(answer, "run", RunRecord.read)), found
        following = more


def metrics_path(run_id: str) -> str:
    """Where a run's points are read."""
    return f"/runs/{segment(run_id)}/metrics"


def _sent(point: Mapping[str, Any]) -> dict[str, Any]:
    """A point as strict JSON takes it."""
    try:
        metrics = {str(name): _number(value) for name, value in point["metrics"].items()}
    except (KeyError, AttributeError, TypeError, ValueError):
        raise BadInput(
            "A point of a run is not as it should be.",
            expected="{step, epoch, metrics: {name: number or None}}",
            got=repr(point)[:80],
        ) from None
    return {**point, "metrics": metrics}


def _number(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _noted(seen: Seen, record: RunRecord) -> RunRecord:
    seen.runs.add(record.run_id)
    return record
