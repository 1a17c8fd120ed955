"""Does each caller get exactly its own rows, whoever else waits, cancels or fails?"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensortrigger_backend.domain.errors import InvalidInput, Unavailable
from tensortrigger_backend.services.batcher import FIRST_ROWS, MAX_ROWS, MAX_WAITING_ROWS, Batcher, Outputs

POISON = -1.0


@dataclass
class Model:
    """Answers a row (id, value) with its id and twice its value; a poisoned row fails its batch.

    Attributes:
        seconds_a_row: how long it pretends to think.
        batches: ids of the rows of each call.
        threads: the thread of each call.
    """

    seconds_a_row: float = 0.0
    batches: list[list[float]] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def __call__(self, vectors: npt.NDArray[Any], /) -> Outputs:
        self.batches.append(vectors[:, 0].tolist())
        self.threads.append(threading.get_ident())
        if self.seconds_a_row:
            time.sleep(self.seconds_a_row * len(vectors))
        if (vectors[:, 1] == POISON).any():
            raise InvalidInput("A row is poisoned.")
        return {"id": vectors[:, :1].copy(), "double": vectors[:, 1] * 2}


@pytest.fixture(scope="module")
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@dataclass(frozen=True)
class Caller:
    """Who asks after some turns of the loop, for some rows, and perhaps does not wait for the answer."""

    turns: int
    rows: int
    poisoned: bool
    cancelled_after: int | None


CALLERS = st.lists(
    st.builds(
        Caller,
        turns=st.integers(0, 6),
        rows=st.integers(1, 5) | st.sampled_from([300, 1000, 1500]),
        poisoned=st.sampled_from([False] * 7 + [True]),
        cancelled_after=st.sampled_from([None, None, None, 0, 1, 3]),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=100)
@given(callers=CALLERS, inline=st.booleans())
def test_each_caller_gets_exactly_its_own_rows_whatever_the_interleaving(
    callers: list[Caller], inline: bool
) -> None:
    model = Model()

    async def ask(batcher: Batcher, number: int, caller: Caller) -> Outputs:
        vectors = np.column_stack([number * 10_000 + np.arange(caller.rows), np.arange(caller.rows) + 0.5])
        if caller.poisoned:
            vectors[-1, 1] = POISON
        for _ in range(caller.turns):
            await asyncio.sleep(0)
        return await batcher.answer(vectors)

    async def ask_and_leave(batcher: Batcher, number: int, caller: Caller) -> Outputs:
        task = asyncio.ensure_future(ask(batcher, number, caller))
        if caller.cancelled_after is not None:
            for _ in range(caller.turns + caller.cancelled_after):
                await asyncio.sleep(0)
            task.cancel()
        return await task

    async def all_of_them() -> list[Outputs | BaseException]:
        with ThreadPoolExecutor(2) as pool:
            batcher = Batcher(model, pool, inline)
            tasks = [ask_and_leave(batcher, number, caller) for number, caller in enumerate(callers)]
            return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30.0)

    answers = asyncio.run(all_of_them())
    poisoned = {number for number, caller in enumerate(callers) if caller.poisoned}
    batch_of: dict[int, set[int]] = {}
    for batch in model.batches:
        together = {int(row // 10_000) for row in batch}
        assert len(together) == 1 or len(batch) <= MAX_ROWS
        for number in together:
            assert number not in batch_of, "a caller's rows were split or answered twice"
            batch_of[number] = together
    for number, (caller, answer) in enumerate(zip(callers, answers, strict=True)):
        if isinstance(answer, asyncio.CancelledError):
            assert caller.cancelled_after is not None
        elif isinstance(answer, BaseException):
            assert isinstance(answer, InvalidInput)
            assert batch_of[number] & poisoned, "an error reached another batch"
        else:
            assert not batch_of[number] & poisoned
            np.testing.assert_array_equal(answer["id"][:, 0], number * 10_000 + np.arange(caller.rows))
            np.testing.assert_array_equal(answer["double"], (np.arange(caller.rows) + 0.5) * 2)


def vectors(first: int, rows: int = 1) -> npt.NDArray[Any]:
    return np.column_stack([np.arange(first, first + rows), np.ones(rows)])


async def test_requests_of_one_turn_share_a_call(executor: ThreadPoolExecutor) -> None:
    for inline in (True, False):
        model = Model()
        batcher = Batcher(model, executor, inline)
        await asyncio.gather(*(batcher.answer(vectors(number)) for number in range(10)))
        assert model.batches == [list(range(10))]


async def test_what_comes_while_the_executor_is_busy_makes_the_next_batch(
    executor: ThreadPoolExecutor,
) -> None:
    model = Model(seconds_a_row=0.02)
    batcher = Batcher(model, executor, inline=False)
    first = asyncio.ensure_future(batcher.answer(vectors(0)))
    await asyncio.sleep(0.005)
    others = [asyncio.ensure_future(batcher.answer(vectors(number))) for number in range(1, 6)]
    await asyncio.gather(first, *others)
    assert model.batches == [[0], [1, 2, 3, 4, 5]]


async def test_a_cancelled_caller_neither_delays_nor_disturbs_its_neighbours(
    executor: ThreadPoolExecutor,
) -> None:
    model = Model(seconds_a_row=0.01)
    batcher = Batcher(model, executor, inline=False)
    tasks = [asyncio.ensure_future(batcher.answer(vectors(number))) for number in range(5)]
    await asyncio.sleep(0.005)
    tasks[2].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[2], asyncio.CancelledError)
    for number in (0, 1, 3, 4):
        answer = answers[number]
        assert not isinstance(answer, BaseException)
        assert answer["id"].tolist() == [[number]]


async def test_after_a_failed_batch_the_next_is_answered(executor: ThreadPoolExecutor) -> None:
    for inline in (True, False):
        batcher = Batcher(Model(), executor, inline)
        with pytest.raises(InvalidInput, match="poisoned"):
            await batcher.answer(np.array([[0.0, POISON]]))
        assert (await batcher.answer(vectors(7)))["id"].tolist() == [[7]]


async def test_too_much_waiting_is_refused_for_now_and_the_rest_is_answered(
    executor: ThreadPoolExecutor,
) -> None:
    hold = threading.Event()

    def infer(stacked: npt.NDArray[Any], /) -> Outputs:
        hold.wait(10.0)
        return {"id": stacked[:, :1]}

    batcher = Batcher(infer, executor, inline=False)
    tasks = [asyncio.ensure_future(batcher.answer(vectors(0)))]
    await asyncio.sleep(0.01)
    size = 8192
    for _ in range(MAX_WAITING_ROWS // size + 1):
        tasks.append(asyncio.ensure_future(batcher.answer(vectors(0, size))))
    await asyncio.sleep(0.01)
    with pytest.raises(Unavailable) as caught:
        await batcher.answer(vectors(1))
    assert caught.value.retry_after > 0
    hold.set()
    answers = await asyncio.gather(*tasks)
    assert [len(answer["id"]) for answer in answers[1:]] == [size] * (MAX_WAITING_ROWS // size + 1)
    assert (await batcher.answer(vectors(9)))["id"].tolist() == [[9]]


async def test_a_thousand_rows_of_a_slow_model_do_not_hold_the_loop(executor: ThreadPoolExecutor) -> None:
    here = threading.get_ident()
    for inline in (False, True):
        model = Model(seconds_a_row=1e-4)
        batcher = Batcher(model, executor, inline)
        longest = 0.0
        answered = asyncio.ensure_future(batcher.answer(vectors(0, 1000)))
        while not answered.done():
            started = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - started)
        assert here not in model.threads
        assert longest < 0.09


async def test_a_model_that_turns_out_slow_leaves_the_loop_after_its_first_call(
    executor: ThreadPoolExecutor,
) -> None:
    here = threading.get_ident()
    model = Model(seconds_a_row=0.02)
    batcher = Batcher(model, executor, inline=True)
    for number in range(3):
        await batcher.answer(vectors(number))
    assert [thread == here for thread in model.threads] == [True, False, False]


async def test_a_quick_model_runs_on_the_loop_and_its_large_batches_do_not(
    executor: ThreadPoolExecutor,
) -> None:
    here = threading.get_ident()
    model = Model()
    batcher = Batcher(model, executor, inline=True)
    assert FIRST_ROWS > 1
    await batcher.answer(vectors(0))
    assert model.threads == [here]
    slow = Batcher(Model(seconds_a_row=2e-5), executor, inline=True)
    await slow.answer(vectors(0))
    model = slow._infer  # type: ignore[assignment]
    await slow.answer(vectors(0, 1000))
    assert model.threads[-1] != here


async def test_a_batcher_whose_executor_has_stopped_answers_that_it_stops() -> None:
    pool = ThreadPoolExecutor(1)
    batcher = Batcher(Model(), pool, inline=False)
    pool.shutdown()
    for _ in range(2):
        with pytest.raises(Unavailable, match="stopping"):
            await asyncio.wait_for(batcher.answer(vectors(0)), 5.0)
