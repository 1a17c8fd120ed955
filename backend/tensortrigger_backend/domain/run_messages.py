"""What a sender's message about a run says, or which field of which point is wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.models import TITLE_LIMIT, checked_name
from tensortrigger_backend.domain.runs import Batch, Point, PointKind, RunState

MAX_BATCH: Final = 5_000
"""Points of one message."""
MAX_COUNT: Final = (1 << 53) - 1
"""Largest whole number that every reader of JSON keeps exactly."""
POINT_METRICS: Final = 64
METRIC_NAME: Final = 128
"""Characters of a metric's name."""
MAX_PARAMS: Final = 64 << 10
"""Characters of a run's params as JSON."""
PARAMS_DEPTH: Final = 16
_TOLD: Final = 20
"""Faults of one message that are named."""
_LATEST: Final = 1e11
"""Seconds since the epoch that a clock may show: beyond it are milliseconds by mistake."""

_PLAN = ("name", "model", "epochs", "steps_per_epoch", "params")
_BATCH = ("first", "points", "state", "error")
_POINT = ("step", "epoch", "t", "kind", "metrics")
_STATES = (RunState.RUNNING, RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a sender tells of a run before it begins; see ``Run`` for the members."""

    name: str
    model: str | None = None
    epochs: int | None = None
    steps_per_epoch: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


def read_plan(members: Mapping[str, Any]) -> RunPlan:
    """The plan in a JSON object.

    Raises:
        InvalidInput: naming each member that is missing, unknown or wrong.
    """
    faults = _unknown(members, _PLAN, ())
    name = members.get("name")
    if not isinstance(name, str) or not name.strip() or len(name) > TITLE_LIMIT or not name.isprintable():
        message = f"name must be 1 to {TITLE_LIMIT} printable characters."
        faults.append(_fault(("name",), "name", message, "text", name))
    model = members.get("model")
    if model is not None and not isinstance(model, str):
        faults.append(_fault(("model",), "type", "model must be a model's name.", "text", model))
    for member in ("epochs", "steps_per_epoch"):
        value = members.get(member)
        if value is not None and not _whole(value, 1):
            faults.append(
                _fault(
                    (member,), "type", f"{member} must be a whole number from 1 on.", "whole number", value
                )
            )
    params = members.get("params")
    if params is None:
        params = {}
    if (
        not isinstance(params, dict)
        or not _fits(params, PARAMS_DEPTH)
        or len(json.dumps(params)) > MAX_PARAMS
    ):
        message = f"params must be an object, {PARAMS_DEPTH} levels deep at most, of {MAX_PARAMS >> 10} KiB at most."
        faults.append(_fault(("params",), "params", message, "object", params))
    if faults:
        raise InvalidInput.of(*faults[:_TOLD])
    if model is not None:
        checked_name(model, ("model",))
    return RunPlan(str(name).strip(), model, members.get("epochs"), members.get("steps_per_epoch"), params)


def read_batch(message: Any, now: float) -> Batch:
    """The batch in a JSON object, a bare array of points, or one bare point.

    Args:
        now: the time of points that tell none.

    Raises:
        InvalidInput: naming member and point (``row``) of each fault.
    """
    if isinstance(message, list):
        message = {"points": message}
    if not isinstance(message, dict):
        raise InvalidInput.of(
            _fault(("body",), "json_type", "Send an object with points, or points.", "object", message)
        )
    if "points" not in message and ("metrics" in message or "step" in message):
        message = {"points": [message]}
    faults = _unknown(message, _BATCH, ())
    told = message.get("points")
    if not isinstance(told, list):
        raise InvalidInput.of(
            *faults,
            _fault(("points",), "type", "points must be an array; [] is a sign of life.", "array", told),
        )
    if len(told) > MAX_BATCH:
        raise InvalidInput.of(
            Fault(
                ("points",),
                "too_many",
                f"One request brings up to {MAX_BATCH:,} points: send the rest in another.",
                f"at most {MAX_BATCH}",
                str(len(told)),
            )
        )
    first, state, error = (message.get(name) for name in ("first", "state", "error"))
    if first is not None and not _whole(first, 0):
        faults.append(
            _fault(
                ("first",),
                "type",
                "first must be the count of points sent before, from 0.",
                "whole number",
                first,
            )
        )
    if state is not None and state not in _STATES:
        known = ", ".join(_STATES)
        faults.append(_fault(("state",), "state", f"state must be one of {known}.", known, state))
    if error is not None and not isinstance(error, str):
        faults.append(_fault(("error",), "type", "error must be text.", "text", error))
    elif error and state not in (RunState.FAILED, RunState.CANCELLED):
        faults.append(
            _fault(("error",), "error", "An error goes with state failed or cancelled.", "failed", state)
        )
    points = []
    for row, point in enumerate(told):
        read = _point(point, row, now, faults)
        if read is not None:
            points.append(read)
        if len(faults) >= _TOLD:
            break
    if faults:
        raise InvalidInput.of(*faults[:_TOLD])
    return Batch(
        points,
        first,
        RunState(state) if state is not None else None,
        error.replace("\0", "") if error else None,
    )


def _point(told: Any, row: int, now: float, faults: list[Fault]) -> Point | None:
    """The point of a row; None after adding to ``faults`` what is wrong with it."""
    at = ("points", row)
    before = len(faults)
    if not isinstance(told, dict):
        faults.append(_fault(at, "type", f"Point {row} must be an object.", "object", told, row))
        return None
    faults += _unknown(told, _POINT, at, row)
    step, epoch, t, kind = told.get("step"), told.get("epoch"), told.get("t"), told.get("kind")
    for name, value in (("step", step), ("epoch", epoch)):
        if not _whole(value, 1):
            message = f"{name} of point {row} must be a whole number from 1 on."
            faults.append(_fault((*at, name), "type", message, "whole number from 1", value, row))
    if t is None:
        t = now
    elif isinstance(t, bool) or not isinstance(t, int | float) or not 0 <= t < _LATEST:
        message = f"t of point {row} must be seconds since 1970."
        faults.append(_fault((*at, "t"), "type", message, "seconds", t, row))
    if kind is None:
        kind = PointKind.BATCH
    elif kind not in ("batch", "epoch"):
        message = f"kind of point {row} must be batch or epoch."
        faults.append(_fault((*at, "kind"), "kind", message, "batch or epoch", kind, row))
    metrics = _metrics(told.get("metrics"), row, faults)
    if len(faults) > before:
        return None
    assert isinstance(step, int)
    assert isinstance(epoch, int)
    return Point(0, PointKind(kind), step, epoch, float(t), metrics)


def _metrics(told: Any, row: int, faults: list[Fault]) -> dict[str, float | None]:
    at = ("points", row, "metrics")
    if not isinstance(told, dict):
        faults.append(_fault(at, "type", f"metrics of point {row} must be an object.", "object", told, row))
        return {}
    if len(told) > POINT_METRICS:
        message = f"Point {row} has more than {POINT_METRICS} metrics."
        faults.append(Fault(at, "too_many", message, f"at most {POINT_METRICS}", str(len(told)), row))
        return {}
    metrics: dict[str, float | None] = {}
    for name, value in told.items():
        if not 0 < len(name) <= METRIC_NAME or not name.isprintable():
            message = (
                f"A metric's name is 1 to {METRIC_NAME} printable characters; one of point {row} is not."
            )
            faults.append(_fault((*at, name[:80]), "metric_name", message, "a shorter name", name, row))
        elif value is None:
            metrics[name] = None
        elif isinstance(value, bool) or not isinstance(value, int | float) or not _representable(value):
            message = f"Metric {name[:80]!r} of point {row} must be a number, or null where it is not finite."
            faults.append(_fault((*at, name[:80]), "type", message, "number or null", value, row))
        else:
            metrics[name] = float(value)
    return metrics


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= MAX_COUNT


def _representable(value: float) -> bool:
    """Whether it is a finite float; JSON's integers may be of any length."""
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _fits(value: object, depth: int) -> bool:
    """Whether a JSON value is nested at most ``depth`` deep."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth > 0 and all(_fits(entry, depth - 1) for entry in inner)


def _unknown(
    members: Mapping[str, Any], known: Collection[str], at: tuple[str | int, ...], row: int | None = None
) -> list[Fault]:
    """A fault for each member with another name: a misspelt one would be passed over silently."""
    return [
        Fault(
            (*at, name[:80]),
            "unknown_member",
            f"There is no member {name[:80]!r} here.",
            ", ".join(known),
            name[:80],
            row,
        )
        for name in members
        if name not in known
    ][:_TOLD]


def _fault(
    loc: tuple[str | int, ...], code: str, message: str, expected: str, got: object, row: int | None = None
) -> Fault:
    if isinstance(got, dict | list):
        # Its text could be as long as the whole message.
        shown = "an object" if isinstance(got, dict) else "an array"
    elif isinstance(got, str):
        shown = repr(got[:80])
    else:
        shown = "nothing" if got is None else format(got, ".15g") if isinstance(got, float) else _digits(got)
    return Fault(loc, code, message, expected, shown, row)


def _digits(got: object) -> str:
    """A whole number or truth value as text; Python refuses to write thousands of digits."""
    return str(got) if not isinstance(got, int) or abs(got) < 10**30 else "a number of more than 30 digits"
