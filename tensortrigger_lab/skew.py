"""Do client and backend have versions that fit each other?"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import httpx

from tensortrigger_lab.config import version
from tensortrigger_lab.errors import VersionSkew

HEADER = "x-tensortrigger-version"
_NUMBERS = re.compile(r"(\d+)\.(\d+)")
_UNWARNED: ContextVar[bool] = ContextVar("tensortrigger_unwarned", default=False)


def advice(own: str, theirs: str) -> str | None:
    """Which of the two to update; None where they fit, or where one of them is no release.

    Versions fit that share their major number; before 1.0, where every minor version may change the API, their
    minor number too.
    """
    ours, other = _NUMBERS.match(own), _NUMBERS.match(theirs)
    if ours is None or other is None:
        return None
    mine, its = (int(ours[1]), int(ours[2])), (int(other[1]), int(other[2]))
    if mine[0] == its[0] and (mine[0] > 0 or mine[1] == its[1]):
        return None
    # A bare source tree counts as 0+source, which has no numbers: it never comes this far.
    remedy = (
        'update this client: pip install --upgrade "tensortrigger-lab"'
        if mine < its
        else 'update the backend: pip install --upgrade "tensortrigger-lab[backend]" where it runs'
    )
    return f"This client is version {own}, the backend {theirs}: {remedy}."


@contextmanager
def unwarned() -> Iterator[None]:
    """Look without a warning, on this thread: behind a notebook's back nothing may be written into it.

    What was found stays in ``SkewCheck.advice``, and the first call outside of this warns of it.
    """
    token = _UNWARNED.set(True)
    try:
        yield
    finally:
        _UNWARNED.reset(token)


class SkewCheck:
    """Warns once a client, at the first answer that tells a version.

    Attributes:
        advice: which of the two to update; None where they fit, or where nothing is known yet.
    """

    def __init__(self) -> None:
        self.advice: str | None = None
        self._looked = self._warned = False

    def look(self, response: httpx.Response) -> None:
        """Compare the versions, unless that was done.

        Warns:
            VersionSkew: they do not fit.
        """
        theirs = response.headers.get(HEADER)
        if self._warned or theirs is None:
            return
        if not self._looked:
            self._looked = True
            self.advice = advice(version(), theirs[:40])
        if _UNWARNED.get():
            return
        self._warned = True
        if self.advice is not None:
            warnings.warn(self.advice, VersionSkew, stacklevel=2)
