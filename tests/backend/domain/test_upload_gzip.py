"""Does gzip of any number of members come out whole, at a price that goes by its size?"""

from __future__ import annotations

import gzip
import random
import tracemalloc

import pytest

from tensortrigger_backend.domain.upload_gzip import STEP, Inflater

EMPTY = gzip.compress(b"")


@pytest.mark.parametrize("block", [7, 4096, 1 << 20])
def test_members_of_any_size_come_out_whole(block: int) -> None:
    some = random.Random(8)
    members = [
        *(b"%d\n" % number for number in range(300)),
        some.randbytes(300_000),
        b"1,2\n" * 700_000,
        *(some.randbytes(some.randrange(9_000)) for _ in range(50)),
        b"",
    ]
    # Between members some writers leave zeros.
    packed = b"".join(gzip.compress(one, 1) + bytes(some.choice((0, 1, 5_000))) for one in members)
    inflater, found = Inflater(1 << 30), []
    for at in range(0, len(packed), block):
        found += inflater.feed(packed[at : at + block])
    inflater.finish()
    assert b"".join(found) == b"".join(members)
    assert max(map(len, found)) <= STEP


@pytest.mark.parametrize("member", [EMPTY, EMPTY + b"\0"], ids=["together", "zeros between"])
def test_what_comes_after_a_small_member_is_not_copied_for_it(member: bytes) -> None:
    block = member * 30_000
    inflater = Inflater(1 << 30)
    # The first call is the interpreter's own.
    list(inflater.feed(member))
    tracemalloc.start()
    try:
        assert list(inflater.feed(block)) == []
        # Copied for each member, as much again would be held at once, and the work would grow with its square.
        assert tracemalloc.get_traced_memory()[1] < len(block) / 2
    finally:
        tracemalloc.stop()
    inflater.finish()
