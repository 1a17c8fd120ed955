"""Which variables were assigned last, as the cells that have run tell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

CELLS = 200
LONGEST_CELL = 20_000
ALL_CELLS = 300_000
"""So many cells, and characters of one and of all, are read, the newest first: the answer shall be quick."""

_ASSIGNMENT = re.compile(
    r"^[ \t]*([A-Za-z_]\w*(?:[ \t]*,[ \t]*[A-Za-z_]\w*)*)[ \t]*(?::[^=\n]+)?=(?!=)", re.MULTILINE
)


def newest_first(names: Iterable[str], history: Any) -> list[str]:
    """``names``, the last assigned first; those that no cell assigns come after, in their own order.

    Args:
        history: the sources of the cells in the order in which they ran, ``In`` of IPython.
    """
    ranks = _ranks(history if isinstance(history, list) else [])
    return sorted(names, key=lambda name: ranks.get(name, len(ranks)))


def _ranks(history: Sequence[Any]) -> dict[str, int]:
    ranks: dict[str, int] = {}
    left = ALL_CELLS
    for source in reversed(history[-CELLS:]):
        if not isinstance(source, str) or len(source) > LONGEST_CELL:
            continue
        left -= len(source) + 1
        if left < 0:
            break
        for match in reversed(list(_ASSIGNMENT.finditer(source))):
            for name in match.group(1).split(","):
                ranks.setdefault(name.strip(), len(ranks))
    return ranks
