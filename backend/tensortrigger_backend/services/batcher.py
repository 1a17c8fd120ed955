"""Requests that wait together are answered by one call, and nobody waits for a batch to fill."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from time import perf_counter
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import structlog

from tensortrigger_backend.domain.errors import Unavailable

log = structlog.get_logger(__name__)

Outputs = Mapping[str, npt.NDArray[Any]]
Done = Callable[["Outputs | None", "BaseException | None"], None]

MAX_ROWS: Final = 1024
MAX_WAITING_ROWS: Final = 64 * MAX_ROWS
INLINE_SECONDS: Final = 2e-3
"""A call that is quicker than this runs on the event loop: a thread would have to wait longer for the
interpreter's lock, and no other model's answer is held up for long."""
FIRST_ROWS: Final = 16
"""While no call was timed yet, only fewer rows than these run on the event loop."""


class Infer(Protocol):
    """Answers a batch of vectors."""

    def __call__(self, vectors: npt.NDArray[Any], /) -> Outputs:
        """Shape (n, inputs) to each output by name, batch axis first."""


class Batcher:
    """Pull batching for one model: whenever the executor is free it takes what is waiting, capped by size.

    Quick models run on the loop, at the end of the turn in which their requests came; slower ones in the
    executor, and what arrives meanwhile makes the next batch. Which of the two a model is follows the time
    its calls really take. All methods belong to the event loop's thread.

    Args:
        infer: answers a stacked batch; may be called from an executor thread.
        executor: where slow calls run.
        inline: whether a small first call may run on the loop, before any time is known.
    """

    def __init__(self, infer: Infer, executor: Executor, inline: bool) -> None:
        self._infer = infer
        self._executor = executor
        self._cost = INLINE_SECONDS / FIRST_ROWS if inline else 1.0
        self._waiting: deque[tuple[npt.NDArray[Any], Done]] = deque()
        self._waiting_rows = 0
        self._busy = False

    def submit(self, vectors: npt.NDArray[Any], done: Done) -> None:
        """Have ``vectors`` of shape (n, inputs) answered; ``done`` gets exactly its own rows, or the error.

        Raises:
            Unavailable: too much is waiting already.
        """
        if self._waiting_rows > MAX_WAITING_ROWS:
            raise Unavailable("Too many requests are waiting for this model.", retry_after=1.0)
        self._waiting.append((vectors, done))
        self._waiting_rows += len(vectors)
        if not self._busy:
            self._busy = True
            asyncio.get_running_loop().call_soon(self._drain)

    async def answer(self, vectors: npt.NDArray[Any]) -> Outputs:
        """As ``submit``, awaited. A caller that is cancelled meanwhile disturbs nobody."""
        future: asyncio.Future[Outputs] = asyncio.get_running_loop().create_future()

        def settle(outputs: Outputs | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                assert outputs is not None
                future.set_result(outputs)

        self.submit(vectors, settle)
        return await future

    def _drain(self) -> None:
        """Answer one batch on the loop, or hand it to the executor; go on while anything waits."""
        if not self._waiting:
            self._busy = False
            return
        batch = self._take()
        stacked = batch[0][0] if len(batch) == 1 else np.concatenate([vectors for vectors, _ in batch])
        loop = asyncio.get_running_loop()
        if self._cost * len(stacked) < INLINE_SECONDS:
            started = perf_counter()
            outputs, error = self._call(stacked)
            self._learn((perf_counter() - started) / len(stacked))
            _settle(batch, outputs, error)
            if self._waiting:
                loop.call_soon(self._drain)
            else:
                self._busy = False
            return
        started = perf_counter()

        def finished(future: asyncio.Future[tuple[Outputs | None, BaseException | None]]) -> None:
            self._learn((perf_counter() - started) / len(stacked))
            if future.cancelled():
                _settle(batch, None, Unavailable("The server is stopping.", retry_after=2.0))
            else:
                _settle(batch, *future.result())
            self._drain()

        try:
            loop.run_in_executor(self._executor, self._call, stacked).add_done_callback(finished)
        except RuntimeError:
            # The executor was shut down: nobody is left waiting for ever.
            _settle(batch, None, Unavailable("The server is stopping.", retry_after=2.0))
            loop.call_soon(self._drain)

    def _take(self) -> list[tuple[npt.NDArray[Any], Done]]:
        """What is waiting, up to the cap; requests of a quick model never add up to a slow call."""
        batch = [self._waiting.popleft()]
        rows = len(batch[0][0])
        cap = MAX_ROWS
        if 0 < self._cost < INLINE_SECONDS:
            cap = min(cap, int(INLINE_SECONDS / self._cost))
        while self._waiting and rows + len(self._waiting[0][0]) <= cap:
            batch.append(self._waiting.popleft())
            rows += len(batch[-1][0])
        self._waiting_rows -= rows
        return batch

    def _call(self, stacked: npt.NDArray[Any]) -> tuple[Outputs | None, BaseException | None]:
        try:
            return self._infer(stacked), None
        except Exception as error:  # noqa: BLE001
            # Whatever an engine raises belongs to the callers of this batch, not to the loop.
            return None, error

    def _learn(self, seconds_per_row: float) -> None:
        self._cost += 0.2 * (seconds_per_row - self._cost)


def _settle(
    batch: list[tuple[npt.NDArray[Any], Done]], outputs: Outputs | None, error: BaseException | None
) -> None:
    """Give every caller its own rows; one that fails to take them is no matter of its neighbours."""
    start = 0
    for vectors, done in batch:
        end = start + len(vectors)
        try:
            if outputs is None:
                done(None, error)
            elif len(batch) == 1:
                done(outputs, None)
            else:
                done({name: values[start:end] for name, values in outputs.items()}, None)
        except Exception:
            log.exception("batcher.caller_failed")
        start = end
