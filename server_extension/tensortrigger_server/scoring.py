"""Scoring one CSV file: send it, wait for the backend, write the result beside the file."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import IO, TypeVar
from urllib.parse import urlencode

from tensortrigger_server.csv_files import Contents, NewFile, Source
from tensortrigger_server.csv_merge import merged
from tensortrigger_server.csv_text import Dialect
from tensortrigger_server.csv_upload import HashedFile, file_changed, upload
from tensortrigger_server.problems import BackendAway, Problem
from tensortrigger_server.score import Score, ScoreState
from tensortrigger_server.upstream import Upstream

FIRST_POLL, LONGEST_POLL = 0.1, 1.0
AWAY_FOR = 120.0
"""Seconds for which a backend may be away while a file is scored: it keeps the job, and goes on when it is back."""
LAST_WORD = 5.0
"""Seconds that a cancelled score takes to cancel the backend's job too."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Order:
    """What to score.

    Attributes:
        header, names: of the file's columns, as the file and as the model name them.
        columns: the source's column for each field that has another name.
    """

    source: Source
    dialect: Dialect
    header: list[str]
    names: list[str]
    columns: dict[str, str]


async def run(
    score: Score, order: Order, contents: Contents, upstream: Upstream, naming: asyncio.Lock
) -> None:
    """Do it all; ``score`` tells how far it is. Where it is cancelled, the backend's job is cancelled too.

    Args:
        naming: held while a result takes its name.

    Raises:
        Problem: why it failed. Nothing is left beside the file then.
    """
    try:
        sent = await _submit(score, order, upstream)
        if await _wait(score, upstream):
            await _write(score, order, contents, upstream, naming, sent)
    except asyncio.CancelledError:
        with contextlib.suppress(Problem, TimeoutError):
            async with asyncio.timeout(LAST_WORD):
                await _cancel_job(score, upstream)
        raise


async def _submit(score: Score, order: Order, upstream: Upstream) -> str:
    """Send the file; the fingerprint of what was sent."""
    score.state = ScoreState.UPLOADING
    headers = {"Content-Type": "text/csv", "Idempotency-Key": score.score_id}
    query = urlencode({"model": score.model})
    all_sent = asyncio.Event()

    async def blocks(file: HashedFile) -> AsyncIterator[bytes]:
        async for block in _from_thread(upload(file, order.dialect, order.header, order.names)):
            yield block
        all_sent.set()

    async def attempt() -> str:
        async with order.source.opened() as file:
            hashed = HashedFile(file)
            async with upstream.ask(
                "POST", "jobs", query=query, headers=headers, content=blocks(hashed)
            ) as answer:
                members = await upstream.members(answer)
            score.job_id = str(members.get("job_id"))
            return hashed.fingerprint

    # The key makes it safe to send the file once more.
    sending = asyncio.create_task(_patiently(attempt))
    try:
        return await asyncio.shield(sending)
    except asyncio.CancelledError:
        if not all_sent.is_set():
            sending.cancel()
        # The backend may have begun the job already: its answer tells which one there is to cancel.
        await asyncio.wait((sending,), timeout=LAST_WORD)
        sending.cancel()
        raise


async def _wait(score: Score, upstream: Upstream) -> bool:
    """Follow the job to its end; whether it succeeded. Raises a Problem where it failed."""
    score.state = ScoreState.SCORING
    pause = FIRST_POLL
    while True:
        answer = await _patiently(lambda: upstream.json("GET", f"jobs/{score.job_id}"))
        job = answer["job"]
        progress = job["progress"]
        score.rows_done, score.rows_total = progress["rows_done"], progress["rows_total"]
        score.rows_rejected = progress["rows_rejected"]
        if job["state"] == "cancelled":
            score.end(ScoreState.CANCELLED, "The backend's job was cancelled.")
            return False
        if job["state"] == "failed":
            raise Problem(502, "job_failed", job["error"] or "The backend's job failed.")
        if job["state"] == "succeeded":
            return True
        await asyncio.sleep(pause)
        pause = min(1.5 * pause, LONGEST_POLL)


async def _write(
    score: Score, order: Order, contents: Contents, upstream: Upstream, naming: asyncio.Lock, sent: str
) -> None:
    score.state = ScoreState.WRITING
    folder, name = _split(order.source.path)
    stem, _, ending = name.rpartition(".")
    if not stem:
        stem, ending = name, "csv"
    draft = f"{folder}{stem}.{score.score_id[:8]}"
    scored = NewFile(contents, f"{draft}.scored.part", naming)
    rejected = NewFile(contents, f"{draft}.rejects.part", naming)

    def names(kind: str) -> Callable[[int], str]:
        return lambda number: f"{folder}{stem}.{kind}{'' if number == 1 else f'-{number}'}.{ending}"

    with tempfile.TemporaryFile() as results, tempfile.TemporaryFile() as rejects:
        await _patiently(lambda: _fetch(f"jobs/{score.job_id}/results", "text/csv", upstream, results))
        if score.rows_rejected:
            # All of them at once: a page would cost the backend a whole partition each.
            path = f"jobs/{score.job_id}/rejects"
            await _patiently(lambda: _fetch(path, "application/x-ndjson", upstream, rejects))
        try:
            async with order.source.opened() as file:
                hashed = HashedFile(file)
                async for block in _from_thread(
                    merged(hashed, order.dialect, results, rejects, order.columns)
                ):
                    await scored.write(block.scored)
                    if score.rows_rejected:
                        await rejected.write(block.rejects)
            if hashed.fingerprint != sent:
                raise file_changed()
            if score.rows_rejected:
                score.rejects_path = await rejected.publish(names("rejects"))
            score.output_path = await scored.publish(names("scored"))
        finally:
            await scored.discard()
            await rejected.discard()


async def _fetch(path: str, media_type: str, upstream: Upstream, file: IO[bytes]) -> None:
    """Leave an answer in a file, from its beginning."""
    file.seek(0)
    file.truncate()
    async with upstream.ask("GET", path, headers={"Accept": media_type}) as answer:
        if not answer.is_success:
            await upstream.members(answer)
        async for block in upstream.blocks(answer):
            file.write(block)
    file.seek(0)


async def _cancel_job(score: Score, upstream: Upstream) -> None:
    if score.job_id is not None:
        await upstream.json("POST", f"jobs/{score.job_id}/cancel")


async def _patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """Repeat what is safe to repeat until the backend is back."""
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + AWAY_FOR, 0.2
    while True:
        try:
            return await attempt()
        except BackendAway:
            if loop.time() >= deadline:
                raise
        await asyncio.sleep(pause)
        pause = min(2 * pause, 5.0)


async def _from_thread(items: Iterator[T]) -> AsyncIterator[T]:
    """Items whose making takes time, made on a thread one by one."""
    while (item := await asyncio.to_thread(next, items, None)) is not None:
        yield item


def _split(path: str) -> tuple[str, str]:
    folder, slash, name = path.rpartition("/")
    return folder + slash, name
