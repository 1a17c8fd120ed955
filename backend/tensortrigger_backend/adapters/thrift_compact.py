"""Structs of Thrift's compact protocol, in which Parquet describes itself: their fields are walked over, one by one.

A footer may hold millions of fields, so what is done for each of them calls as little as it can.

It is strict where Arrow's own reader takes what comes or looks away: both must see the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator

I32, I64, STRUCT = 5, 6, 12
_BOOLEANS, _BYTE, _NUMBERS, _DOUBLE, _BINARY = (1, 2), 3, (4, I32, I64), 7, 8
_LISTS, _MAP = (9, 10), 11
_DEEPEST = 16
_LAST_FIELD = (1 << 15) - 1


class CompactReader:
    """Walks over one struct. Raises IndexError at the end of the bytes and ValueError where they are none.

    Attributes:
        at: the byte that comes next.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def fields(self) -> Iterator[tuple[int, int]]:
        """Each field of the struct that begins here, with its kind; its value is to be taken before the next one."""
        field, data = 0, self._data
        while True:
            head = data[self.at]
            self.at += 1
            if not head:
                return
            field = field + (head >> 4) if head >> 4 else self._signed()
            if not 0 < field <= _LAST_FIELD:
                raise ValueError("a field without a number")
            yield field, head & 0x0F

    def number(self, kind: int, expected: int) -> int:
        """A whole number of the kind that is expected."""
        if kind != expected:
            raise ValueError("a value of another kind")
        number = self._signed()
        bits = 31 if expected == I32 else 63
        if not -(1 << bits) <= number < 1 << bits:
            raise ValueError("a number is too large")
        return number

    def structs(self, kind: int) -> Iterator[int]:
        """The places of a list of structs, each of which is to be taken before the next one."""
        if kind not in _LISTS:
            raise ValueError("a value of another kind")
        count, inner = self._list()
        if count and inner != STRUCT:
            raise ValueError("a value of another kind")
        yield from range(count)

    def numbers(self, kind: int, expected: int) -> Iterator[int]:
        """The elements of a list of whole numbers, each of the kind that is expected."""
        if kind not in _LISTS:
            raise ValueError("a value of another kind")
        count, inner = self._list()
        for _ in range(count):
            yield self.number(inner, expected)

    def skip(self, kind: int, depth: int = 0) -> None:
        """Pass over a value."""
        if depth > _DEEPEST:
            raise ValueError("a struct is nested too deep")
        if kind in _NUMBERS:
            self._unsigned()
        elif kind == _BINARY:
            self._pass(self._unsigned())
        elif kind == STRUCT:
            for _, inner in self.fields():
                if inner in _NUMBERS:
                    self._unsigned()
                else:
                    self.skip(inner, depth + 1)
        elif kind in _LISTS:
            count, inner = self._list()
            if inner in _BOOLEANS or inner == _BYTE:
                self._pass(count)
            else:
                for _ in range(count):
                    self.skip(inner, depth + 1)
        elif kind == _BYTE:
            self._pass(1)
        elif kind == _DOUBLE:
            self._pass(8)
        elif kind == _MAP:
            count = self._unsigned()
            kinds = self._byte() if count else 0
            for _ in range(count):
                self._skip_element(kinds >> 4, depth)
                self._skip_element(kinds & 0x0F, depth)
        elif kind not in _BOOLEANS:
            raise ValueError("a value of no kind")

    def _list(self) -> tuple[int, int]:
        head = self._byte()
        return head >> 4 if head >> 4 < 15 else self._unsigned(), head & 0x0F

    def _skip_element(self, kind: int, depth: int) -> None:
        # A truth value is a byte of its own there; in a field it is part of the kind.
        if kind in _BOOLEANS:
            self._pass(1)
        else:
            self.skip(kind, depth + 1)

    def _pass(self, count: int) -> None:
        self.at += count
        if self.at > len(self._data):
            raise IndexError

    def _byte(self) -> int:
        byte = self._data[self.at]
        self.at += 1
        return byte

    def _unsigned(self) -> int:
        data, at = self._data, self.at
        byte = data[at]
        at += 1
        number, shift = byte & 0x7F, 7
        while byte >= 0x80:
            if shift > 63:
                raise ValueError("a number is too long")
            byte = data[at]
            at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
        self.at = at
        return number

    def _signed(self) -> int:
        number = self._unsigned()
        return (number >> 1) ^ -(number & 1)
