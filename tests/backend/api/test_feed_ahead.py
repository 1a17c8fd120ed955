"""Is a body taken in whole and in order while the rest of it is still coming, and left alone once it is over?"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest

from tensortrigger_backend.api.feed_ahead import STEP, feed_ahead
from tensortrigger_backend.api.in_thread import in_thread


@pytest.fixture
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


async def chunks(*sizes: int) -> AsyncIterator[bytes]:
    for number, size in enumerate(sizes):
        await asyncio.sleep(0)
        yield bytes([number]) * size


@pytest.mark.parametrize("sizes", [(), (1,), (STEP,), (STEP - 1, 1), (3, STEP, 5, 2 * STEP + 1, 7)])
async def test_everything_is_fed_once_and_in_order(threads: Executor, sizes: tuple[int, ...]) -> None:
    fed: list[bytes] = []
    await feed_ahead(threads, chunks(*sizes), fed.append)
    assert b"".join(fed) == b"".join([chunk async for chunk in chunks(*sizes)])
    assert all(len(block) >= STEP for block in fed[:-1])


async def test_the_next_block_is_received_while_one_is_fed(threads: Executor) -> None:
    came = threading.Event()

    async def body() -> AsyncIterator[bytes]:
        yield bytes(STEP)
        await asyncio.sleep(0)
        came.set()
        yield b"x"

    waited: list[bool] = []
    await feed_ahead(threads, body(), lambda block: waited.append(came.wait(10)))
    assert waited == [True, True]


async def test_blocks_are_never_fed_at_once(threads: Executor) -> None:
    running, most = 0, 0
    lock = threading.Lock()

    def feed(_: bytes) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1

    await feed_ahead(threads, chunks(STEP, STEP, STEP, 1), feed)
    assert most == 1


async def test_what_is_wrong_with_a_block_is_told_and_nothing_more_is_fed(threads: Executor) -> None:
    fed = 0

    def feed(_: bytes) -> None:
        nonlocal fed
        fed += 1
        raise ValueError("no CSV")

    with pytest.raises(ValueError, match="no CSV"):
        await feed_ahead(threads, chunks(STEP, STEP, STEP), feed)
    assert fed == 1


@pytest.mark.parametrize("cancelled", [False, True])
async def test_however_it_ends_nothing_is_being_fed_any_more(threads: Executor, cancelled: bool) -> None:
    begun, over = threading.Event(), threading.Event()

    def feed(_: bytes) -> None:
        begun.set()
        time.sleep(0.05)
        over.set()

    async def body() -> AsyncIterator[bytes]:
        yield bytes(STEP)
        await asyncio.to_thread(begun.wait, 10)
        if not cancelled:
            raise ConnectionError("the caller has left")
        await asyncio.sleep(60)

    task = asyncio.create_task(feed_ahead(threads, body(), feed))
    await asyncio.to_thread(begun.wait, 10)
    if cancelled:
        task.cancel()
    with pytest.raises(asyncio.CancelledError if cancelled else ConnectionError):
        await task
    assert over.is_set()


async def test_a_call_that_is_cancelled_is_over_before_anything_is_tidied_up_after_it(
    threads: Executor,
) -> None:
    begun = threading.Event()
    done: list[str] = []

    def submit() -> None:
        begun.set()
        time.sleep(0.1)
        done.append("submitted")

    async def request() -> None:
        try:
            await in_thread(threads, submit)
        finally:
            await in_thread(threads, done.append, "tidied up")

    task = asyncio.create_task(request())
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == ["submitted", "tidied up"]


async def test_a_call_gives_back_what_it_returns_and_raises(threads: Executor) -> None:
    assert await in_thread(threads, divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await in_thread(threads, divmod, 7, 0)
