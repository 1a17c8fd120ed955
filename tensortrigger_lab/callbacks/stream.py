"""Carries the points of one training to the backend, behind the training's back.

A thread of its own sends what has gathered, at most four times a second. Whatever the backend does, nothing is
raised into the training and nothing waits for an answer.
"""

from __future__ import annotations

import atexit
import logging
import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Any

from tensortrigger_lab.callbacks.buffer import Point, PointBuffer
from tensortrigger_lab.callbacks.departure import Departure
from tensortrigger_lab.callbacks.fit import Place
from tensortrigger_lab.client import Client
from tensortrigger_lab.errors import NoAnswer, NotReachable, ServerFault, Unavailable
from tensortrigger_lab.skew import unwarned

LOG = logging.getLogger("tensortrigger_lab.callbacks")

INTERVAL = 0.25
"""Seconds between two requests."""
SIGN_OF_LIFE = 15.0
"""Seconds after which a training that has nothing to say tells that it still runs."""
WATCH = 1.0
"""Seconds between two looks at whether the training is still there, and the grace before it is judged."""
LONGEST_PAUSE = 15.0
"""Seconds between two attempts while the backend is away."""
PER_REQUEST = 5_000
PER_RUN = 900_000
"""Points; beyond it only epochs are told, since the backend keeps a million."""
PATIENCE_AFTER_END = 120.0
"""Seconds for which the last points are still offered once the training is over."""
WAIT_AT_END, WAIT_FOR_A_STRANGER = 5.0, 1.5
"""Seconds that the end of a training waits, at most, for a backend that has answered, or not been heard yet."""


@dataclass(frozen=True, slots=True)
class Run:
    """How a run introduces itself."""

    name: str
    model: str | None = None
    epochs: int | None = None
    steps_per_epoch: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


class Stream:
    """One training's way to the backend; made on the training's thread, inside of it.

    Args:
        client: made when the first request is.
        place: where on the stack the training is; it is over once that has been left.
        over: called once, when the training has ended in whatever way; not on the training's thread if it was
            interrupted.
    """

    def __init__(
        self, run: Run, client: Callable[[], Client], place: Place, over: Callable[[], None] = lambda: None
    ) -> None:
        self.run_id: str | None = None
        self.buffer = PointBuffer()
        self._run = run
        self._client = client
        self._departure = Departure(place)
        self._over = over
        self._key = uuid.uuid4().hex
        self._sent = 0
        self._unsure: list[Point] = []
        self._ended: tuple[str, str | None] | None = None
        self._ending = Event()
        self._lock = Lock()
        self._failures = 0
        self._refused = self._told_end = self._warned = False
        self._thread = Thread(target=self._work, name="tensortrigger-metrics", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        atexit.register(self._leave_process)
        self._thread.start()

    @property
    def sending(self) -> bool:
        """Whether points still go anywhere."""
        return self._thread.is_alive()

    def add(self, step: int, epoch: int, kind: str, logs: Mapping[str, Any]) -> None:
        """Have a point sent. Costs about a microsecond, and never waits."""
        if not self._refused and (kind == "epoch" or self._sent < PER_RUN):
            self.buffer.add(step, epoch, kind, logs)

    def finish(self, state: str, error: str | None = None) -> None:
        """The training is over; the last points follow, and are waited for briefly while the backend answers."""
        self._end(state, error)
        if self._failures == 0 and not self._refused:
            self._thread.join(WAIT_AT_END if self.run_id is not None else WAIT_FOR_A_STRANGER)
            if self.run_id is None and not self._refused:
                self._warn("the backend has not answered yet; they are sent if it does soon")

    def leave(self) -> None:
        """The training is over, and nobody has said how; waits for nothing. Safe to repeat."""
        if self._ended is None:
            self._end(*self._departure.how())

    def _end(self, state: str, error: str | None) -> None:
        with self._lock:
            if self._ended is not None:
                return
            self._ended = (state, error)
        self._departure.forget()
        self._ending.set()
        self._over()

    def _work(self) -> None:
        try:
            with unwarned():
                self._send_until_told()
        finally:
            atexit.unregister(self._leave_process)

    def _send_until_told(self) -> None:
        watched = time.monotonic()
        # At once: the first batch may take long to compile.
        said = float("-inf")
        give_up = float("inf")
        while not self._told_end:
            if self._ended is None:
                self._ending.wait(self._pause())
            elif self._failures:
                time.sleep(self._pause())
            now = time.monotonic()
            if now - watched >= WATCH:
                watched = now
                self._look_after_the_training()
            if self._ended is not None:
                give_up = min(give_up, now + PATIENCE_AFTER_END)
                if self._refused or now > give_up:
                    return
            elif self._refused or (self._nothing_to_say() and now - said < SIGN_OF_LIFE):
                # Refused or not, somebody must notice when the training stops.
                continue
            if self._say():
                said = time.monotonic()

    def _pause(self) -> float:
        if not self._failures:
            return INTERVAL
        longest: float = min(LONGEST_PAUSE, INTERVAL * 2.0 ** min(self._failures, 10))
        return longest * (0.5 + random.random() / 2)  # noqa: S311 - spreads load, guards nothing

    def _nothing_to_say(self) -> bool:
        return not self._unsure and not len(self.buffer)

    def _say(self) -> bool:
        """One request; whether the backend took it."""
        # Read before the points: a state is final, so it must not overtake any.
        ended = self._ended
        self._unsure = self._unsure or self.buffer.take(PER_REQUEST)
        state, error = ended if ended is not None and not len(self.buffer) else (None, None)
        try:
            client = self._client()
            if self.run_id is None:
                self.run_id = self._introduce(client)
            # What may have arrived already is sent again unchanged; the backend knows it by its number.
            points = [point.members for point in self._unsure]
            client.add_points(self.run_id, points, first=self._sent, state=state, error=error)
        except (NotReachable, NoAnswer, Unavailable, ServerFault) as failure:
            self._failures += 1
            self._warn(f"the backend is away, and is told later ({failure.detail})")
            return False
        except Exception as failure:  # noqa: BLE001 - a training must not learn of it
            self._refused = True
            self._warn(f"the backend refused them ({getattr(failure, 'detail', None) or repr(failure)})")
            return False
        self._failures = 0
        self._sent += len(self._unsure)
        self._unsure = []
        self._told_end = state is not None
        if self._told_end and self.buffer.dropped:
            LOG.warning(
                "Live metrics of %r: %d batch points were given up while the backend was away",
                self._run.name,
                self.buffer.dropped,
            )
        return True

    def _introduce(self, client: Client) -> str:
        run = self._run
        record = client.start_run(
            run.name,
            model=run.model,
            epochs=run.epochs,
            steps_per_epoch=run.steps_per_epoch,
            params=dict(run.params),
            idempotency_key=self._key,
        )
        return record.run_id

    def _look_after_the_training(self) -> None:
        """Keras does not tell its callbacks when ``fit`` raises or is interrupted."""
        if self._ended is not None or not self._departure.left:
            return
        # The notebook sets sys.last_value only when it has written the traceback.
        if not self._ending.wait(WATCH):
            self.leave()

    def _leave_process(self) -> None:
        self.leave()
        if self._failures == 0 and not self._refused:
            self._thread.join(WAIT_FOR_A_STRANGER)

    def _warn(self, reason: str) -> None:
        if not self._warned:
            self._warned = True
            LOG.warning("Training goes on, but live metrics of %r: %s", self._run.name, reason)
