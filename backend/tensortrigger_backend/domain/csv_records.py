"""Where the records of CSV text end, exactly as a lenient parser of RFC 4180 sees it.

A quotation mark opens a quoted field only where a field begins; anywhere else it is a character like any other.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

Offsets = npt.NDArray[np.int64]

_LINE_FEED, _RETURN, _QUOTE = 0x0A, 0x0D, 0x22
# A quoted field, marks doubled inside, then whatever follows up to the next delimiter; possessive, so that a field
# whose closing mark has not come yet is seen as open and not read another way.
_FIELD = rb'("[^"]*+(?:""[^"]*+)*+")?[^%b\n]*+'


def record_ends(data: bytes, delimiter: str = ",") -> tuple[Offsets, Offsets]:
    """Offsets of all line feeds, and of those among them that end a record.

    Args:
        data: text that begins where a record begins.
    """
    block = np.frombuffer(data, np.uint8)
    feeds = np.flatnonzero(block == _LINE_FEED)
    # To look for one byte costs a twentieth of finding out where all of its kind are.
    if b'"' not in data:
        return feeds, feeds
    quotes = np.flatnonzero(block == _QUOTE)
    opening = quotes[::2]
    # Counting marks tells inside from outside as long as every mark that opens stands where a field begins, or
    # is the second of a doubled one.
    if ((opening == 0) | np.isin(block[opening - 1], (ord(delimiter), _LINE_FEED, _QUOTE))).all():
        return feeds, feeds[np.searchsorted(quotes, feeds) % 2 == 0]
    return feeds, np.array(_ends_one_by_one(data, delimiter), np.int64)


def record_starts(data: bytes, delimiter: str = ",") -> tuple[Offsets, Offsets]:
    """Offsets of all line feeds, and of where each record begins, blank lines left out; the last needs no line feed."""
    feeds, ends = record_ends(data, delimiter)
    if data and (not len(ends) or ends[-1] != len(data) - 1):
        ends = np.append(ends, len(data))
    starts = np.concatenate(([0], ends[:-1] + 1)) if len(ends) else ends
    return feeds, starts[~blank(np.frombuffer(data, np.uint8), starts, ends)]


def record_lines(data: bytes, first_line: int, delimiter: str = ",") -> npt.NDArray[np.int64]:
    """The line of the file on which each record of a slice begins, blank lines left out."""
    feeds, starts = record_starts(data, delimiter)
    return first_line + np.searchsorted(feeds, starts)


def lone_return(data: bytes) -> int | None:
    """Offset of a carriage return that ends no line and is not quoted; some parsers take it for a line's end."""
    if b"\r" not in data:
        return None
    block = np.frombuffer(data, np.uint8)
    returns = np.flatnonzero(block == _RETURN)
    # Behind the last byte stands nothing: clipped, it stands behind itself, and is no line feed.
    alone = returns[block.take(returns + 1, mode="clip") != _LINE_FEED]
    if not len(alone):
        return None
    outside = alone[np.searchsorted(np.flatnonzero(block == _QUOTE), alone) % 2 == 0]
    return int(outside[0]) if len(outside) else None


def blank(block: npt.NDArray[np.uint8], starts: Offsets, ends: Offsets) -> npt.NDArray[np.bool_]:
    """Which records are empty lines: nothing, or a lone carriage return, before the line feed."""
    lengths = ends - starts
    empty = lengths == 0
    single = np.flatnonzero(lengths == 1)
    empty[single] = block[starts[single]] == _RETURN
    return np.asarray(empty, np.bool_)


def _ends_one_by_one(data: bytes, delimiter: str) -> list[int]:
    pattern = re.compile(_FIELD % re.escape(delimiter.encode()))
    ends, at = [], 0
    while at < len(data):
        field = pattern.match(data, at)
        assert field is not None
        if field[1] is None and data[at] == _QUOTE:
            break  # the closing mark has not come yet
        at = field.end()
        if at < len(data) and data[at] == _LINE_FEED:
            ends.append(at)
        at += 1
    return ends
