"""CSV files where the user sees them: read and written through Jupyter's contents manager."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from jupyter_core.utils import ensure_async
from jupyter_server.services.contents.fileio import AsyncFileManagerMixin, FileManagerMixin
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager, LargeFileManager
from tornado import web

from tensortrigger_server.problems import Problem

WHOLE_LIMIT = 64 << 20
"""Bytes of a file that a contents manager hands out or takes in only as a whole."""
CHUNK = 1 << 20
"""Characters that are saved at a time."""


class Contents(Protocol):
    """What is used of a contents manager; each method may also be a coroutine."""

    def get(self, path: str, content: bool = True, type: str | None = None) -> Any:  # noqa: A002
        """The model of a file or folder."""

    def save(self, model: dict[str, Any], path: str) -> Any:
        """Write a file; answers its model."""

    def exists(self, path: str) -> Any:
        """Whether there is something."""

    def rename_file(self, old_path: str, new_path: str) -> Any:
        """Move a file. HTTPError 409 where the new name is taken."""

    def delete_file(self, path: str) -> Any:
        """Remove a file."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file that can be read any number of times.

    Attributes:
        path: of the contents manager.
        size: bytes.
        open: the file at its beginning; may block.
    """

    path: str
    size: int
    open: Callable[[], BinaryIO]

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[BinaryIO]:
        """The file at its beginning, opened on a thread, closed in the end whatever happens."""
        opening = asyncio.ensure_future(asyncio.to_thread(self.open))
        try:
            file = await asyncio.shield(opening)
        except OSError as error:
            raise Problem(404, "contents", f"{self.path!r} cannot be read: {error.strerror}.") from None
        except asyncio.CancelledError:
            opening.add_done_callback(lambda done: done.exception() or done.result().close())
            raise
        with file:
            yield file


async def find_source(contents: Contents, path: object) -> Source:
    """The file at a path of the contents manager, which decides what may be seen.

    Raises:
        Problem: 400 no file, 404 not there, 413 too large to be handed out whole.
    """
    if not isinstance(path, str) or not path.strip("/") or "\0" in path:
        raise Problem(400, "bad_path", "Name a CSV file by its path in the file browser.")
    path = path.strip("/")
    if ".." in path.split("/"):
        raise Problem(404, "not_found", f"There is no file {path!r}.")
    model = await _asked(contents.get(path, content=False, type="file"), path)
    size = int(model.get("size") or 0)
    if (place := _place(contents, path)) is not None:
        return Source(path, size, lambda: place.open("rb"))
    if size > WHOLE_LIMIT:
        raise Problem(413, "too_large", f"{path!r} is over {WHOLE_LIMIT >> 20} MiB, too much for its drive.")
    model = await _asked(contents.get(path, content=True, type="file"), path)
    content = model.get("content")
    if not isinstance(content, str):
        raise Problem(400, "bad_path", f"{path!r} is no text file.")
    data = base64.b64decode(content) if model.get("format") == "base64" else content.encode()
    return Source(path, len(data), lambda: io.BytesIO(data))


async def must_be_writable(contents: Contents, path: str) -> None:
    """Raise a Problem (403) where nothing can be written beside ``path``."""
    folder = path.rpartition("/")[0]
    model = await _asked(contents.get(folder, content=False, type="directory"), folder)
    if model.get("writable") is False:
        raise Problem(403, "not_writable", f"Nothing can be written into the folder {folder or '/'!r}.")


class NewFile:
    """A file that comes into being as a whole: under its own name only once it is complete.

    Args:
        draft: path under which it is written meanwhile.
        naming: held while a name is looked for and taken, by all files that may want the same one: contents
            managers do not do both in one step, and a move onto a name that was taken since overwrites.
    """

    def __init__(self, contents: Contents, draft: str, naming: asyncio.Lock) -> None:
        self._contents = contents
        self._naming = naming
        self._draft = draft
        self._in_chunks = isinstance(contents, LargeFileManager | AsyncLargeFileManager)
        self._waiting: list[str] = []
        self._size = 0
        self._chunks = 0

    async def write(self, text: str) -> None:
        """Add text.

        Raises:
            Problem: it cannot be written, or not so much.
        """
        self._waiting.append(text)
        self._size += len(text)
        if self._in_chunks and self._size >= CHUNK:
            self._chunks += 1
            await self._save(self._chunks)
        elif self._size > WHOLE_LIMIT:
            raise Problem(
                413, "too_large", f"The result is over {WHOLE_LIMIT >> 20} MiB, too much for its drive."
            )

    async def publish(self, names: Callable[[int], str]) -> str:
        """Complete it under the first free one of ``names(1), names(2), ...``; the path that it has now.

        Raises:
            Problem: it cannot be written.
        """
        await self._save(-1 if self._chunks else None)
        async with self._naming:
            return await self._take_name(names)

    async def _take_name(self, names: Callable[[int], str]) -> str:
        number = 1
        while True:
            path = names(number)
            number += 1
            if await ensure_async(self._contents.exists(path)):
                continue
            try:
                # The file alone: a draft has no checkpoints that would have to follow it.
                await ensure_async(self._contents.rename_file(self._draft, path))
            except web.HTTPError as error:
                # Somebody took the name since: theirs stays.
                if error.status_code != 409:
                    raise _as_problem(error, path) from None
            except OSError as error:
                raise Problem(500, "not_written", f"{path!r} cannot be written: {error.strerror}.") from None
            else:
                return path

    async def discard(self) -> None:
        """Leave nothing behind. Safe to repeat, and after `publish`."""
        self._waiting.clear()
        place = _place(self._contents, self._draft)
        if place is not None:
            # Not through the contents manager: half a result does not belong into anybody's trash.
            await asyncio.to_thread(place.unlink, missing_ok=True)
        elif await ensure_async(self._contents.exists(self._draft)):
            await ensure_async(self._contents.delete_file(self._draft))

    async def _save(self, chunk: int | None) -> None:
        text = "".join(self._waiting)
        self._waiting.clear()
        self._size = 0
        model: dict[str, Any] = {"type": "file", "format": "text", "content": text}
        if chunk is not None:
            model["chunk"] = chunk
        await _asked(self._contents.save(model, self._draft), self._draft)


async def _asked(answer: Any, path: str) -> dict[str, Any]:
    try:
        model: dict[str, Any] = await ensure_async(answer)
    except web.HTTPError as error:
        raise _as_problem(error, path) from None
    return model


def _as_problem(error: web.HTTPError, path: str) -> Problem:
    # The manager's own words may name folders outside of its root.
    detail = {
        400: f"{path!r} is no file that can be used here.",
        403: f"Jupyter may not use {path!r}: look at the file's permissions.",
        404: f"There is no file {path!r}.",
        409: f"{path!r} exists already.",
        413: f"{path!r} is too large.",
    }.get(error.status_code, f"{path!r} cannot be read or written: the log of Jupyter says why.")
    return Problem(error.status_code, "contents", detail)


def _place(contents: Contents, path: str) -> Path | None:
    """Where the file lies on this machine, if the contents manager keeps plain files; it sees to its root."""
    kind = type(contents)
    plain = (FileManagerMixin, AsyncFileManagerMixin)
    # One that reads in a way of its own, to decrypt for instance, is asked for the content instead.
    if not isinstance(contents, FileManagerMixin) or getattr(kind, "_read_file", None) not in {
        mixin._read_file for mixin in plain
    }:
        return None
    return Path(cast("Any", contents)._get_os_path(path))
