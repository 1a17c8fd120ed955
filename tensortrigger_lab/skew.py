"""Do client and backend have versions that fit each other?"""

from __future__ import annotations

import re
import warnings

import httpx

from tensortrigger_lab.config import version
from tensortrigger_lab.errors import VersionSkew

HEADER = "x-tensortrigger-version"
_NUMBERS = re.compile(r"(\d+)\.(\d+)")


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


class SkewCheck:
    """Warns once a client, at the first answer that tells a version."""

    def __init__(self) -> None:
        self._looked = False

    def look(self, response: httpx.Response) -> None:
        """Compare the versions, unless that was done.

        Warns:
            VersionSkew: they do not fit.
        """
        theirs = response.headers.get(HEADER)
        if self._looked or theirs is None:
            return
        self._looked = True
        told = advice(version(), theirs[:40])
        if told is not None:
            warnings.warn(told, VersionSkew, stacklevel=2)
