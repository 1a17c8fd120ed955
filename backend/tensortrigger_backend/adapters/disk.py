"""A disk that refuses, told in the domain's words: what it does not do now, it may do later."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tensortrigger_backend.domain.errors import Unavailable

RETRY_AFTER = 30.0


@contextlib.contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turn the operating system's errors into the domain's.

    Args:
        what: cannot be done then, as the beginning of a sentence that ends with the reason.

    Raises:
        Unavailable: in place of any OSError, be the disk full, damaged, or away.
    """
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{what}: {error.strerror or error}.", RETRY_AFTER) from error


@contextlib.contextmanager
def private_copy(target: Path) -> Iterator[BinaryIO]:
    """Write a short-lived copy; of one that does not come out whole, nothing stays.

    Raises:
        Unavailable: as ``disk_errors``.
    """
    with disk_errors("No copy can be made"):
        try:
            with target.open("wb") as copy:
                yield copy
        except BaseException:
            target.unlink(missing_ok=True)
            raise
