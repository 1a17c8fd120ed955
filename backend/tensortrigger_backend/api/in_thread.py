"""Call what blocks in a thread, and stay until it is over: also where the request is cancelled meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


async def in_thread(
    threads: Executor,
    call: Callable[Arguments, Result],
    *arguments: Arguments.args,
    **named: Arguments.kwargs,
) -> Result:
    """Like ``asyncio.to_thread`` on threads of one's own, but however it ends ``call`` is not running any more.

    For what is tidied up after: a server that stops cancels requests, and the thread would go on beside that.
    """
    running = asyncio.get_running_loop().run_in_executor(threads, partial(call, *arguments, **named))
    try:
        return await asyncio.shield(running)
    finally:
        if not running.done():
            await asyncio.wait((running,))
