"""Take in a body in a thread, block by block, while the next block is being received."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor

STEP = 1 << 20
"""Bytes that are taken in at a time."""


async def feed_ahead(threads: Executor, chunks: AsyncIterator[bytes], feed: Callable[[bytes], None]) -> None:
    """Give everything to ``feed`` on one of the threads, in order, one block at a time.

    Raises what ``chunks`` and ``feed`` raise. However it ends, ``feed`` is not running any more.
    """
    loop = asyncio.get_running_loop()
    feeding: asyncio.Future[None] | None = None
    waiting: list[bytes] = []
    size = 0

    async def fed() -> None:
        if feeding is not None:
            # Not cancelled with this task: the thread would go on all the same.
            await asyncio.wait((feeding,))
            feeding.result()

    def begin() -> asyncio.Future[None]:
        pieces = waiting.copy()
        waiting.clear()
        return loop.run_in_executor(threads, lambda: feed(b"".join(pieces)))

    try:
        async for chunk in chunks:
            waiting.append(chunk)
            size += len(chunk)
            if size >= STEP:
                await fed()
                feeding, size = begin(), 0
        await fed()
        feeding = begin() if waiting else None
        await fed()
    finally:
        if feeding is not None and not feeding.done():
            await asyncio.wait((feeding,))
