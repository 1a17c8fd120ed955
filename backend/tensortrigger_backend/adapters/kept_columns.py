"""Columns of an upload that are carried through to the results: Arrow arrays, and what is written of them."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from tensortrigger_backend.domain.errors import InvalidInput

MAX_BYTES = 64 << 20
"""What the kept columns of one partition may come to, each value counted as often as it stands there."""


class ArrowColumn:
    """Keeps the ``KeptColumn`` promise."""

    def __init__(self, array: Any) -> None:
        self.array = array

    @property
    def textual(self) -> bool:
        """See ``KeptColumn.textual``."""
        kind = getattr(self.array.type, "value_type", self.array.type)
        return _textual(kind) or _is_json(kind)

    def values(self) -> list[Any]:
        """See ``KeptColumn.values``."""
        values = _writable(self.array).to_pylist()
        if _is_json(self.array.type):
            return [None if value is None else json.loads(value) for value in values]
        return [_plain(value) for value in values]

    def texts(self) -> list[str]:
        """See ``KeptColumn.texts``."""
        return [_text(value) for value in self.values()]

    def take(self, places: Any) -> ArrowColumn:
        """See ``KeptColumn.take``."""
        import pyarrow as pa

        return ArrowColumn(self.array.take(pa.array(places)))


def json_column(texts: Sequence[str | None]) -> Any:
    """An array of JSON values, of a type of its own where they all have one."""
    import pyarrow as pa

    values = [None if text is None else json.loads(text) for text in texts]
    kinds = {type(value) for value in values if value is not None}
    try:
        if kinds <= {int, float}:
            return pa.array(values, None if not kinds else pa.int64() if kinds == {int} else pa.float64())
        if kinds == {bool} or kinds == {str}:
            return pa.array(values, pa.bool_() if kinds == {bool} else pa.string())
    except (pa.ArrowInvalid, OverflowError, UnicodeEncodeError):
        # A number of more than 64 bits stays the text that it was.
        pass
    return pa.ExtensionArray.from_storage(pa.json_(), pa.array(texts, pa.string()))


def check_kept_type(name: str, arrow_type: Any) -> str | None:
    """Why a column of this type cannot be carried through; None where it can."""
    from pyarrow import types

    inner = arrow_type.value_type if types.is_dictionary(arrow_type) else arrow_type
    taken = (
        types.is_null,
        types.is_boolean,
        types.is_integer,
        types.is_floating,
        types.is_decimal,
        types.is_string,
        types.is_large_string,
        types.is_string_view,
        types.is_date,
        types.is_time,
        types.is_timestamp,
    )
    if any(is_one(inner) for is_one in taken):
        return None
    return f"Column {name!r}, which is to be kept, is of type {arrow_type}: keep numbers, texts, truth values or times."


def weigh(array: Any) -> int:
    """Bytes that the values of an array come to, each counted as often as it stands there."""
    import pyarrow.compute as pc
    from pyarrow import types

    if types.is_dictionary(array.type):
        lengths = (
            pc.fill_null(pc.binary_length(array.dictionary), 0) if _textual(array.type.value_type) else None
        )
        if lengths is None:
            return len(array) * 16
        return int(pc.sum(lengths.take(pc.drop_null(array.indices))).as_py() or 0)
    return int(array.nbytes)


def writable(pieces: Sequence[Any]) -> Any:
    """One column of these arrays, of a type that Parquet has."""
    import pyarrow as pa
    from pyarrow import types

    whole = [chunk for piece in pieces for chunk in getattr(piece, "chunks", [piece])]
    if any(types.is_dictionary(chunk.type) and chunk.dictionary.null_count for chunk in whole):
        # Of categories that are null themselves Parquet has none.
        whole = [chunk.cast(chunk.type.value_type) for chunk in whole]
    return pa.chunked_array(whole, None if whole else pieces[0].type)


def check_writable(name: str, column: Any) -> None:
    """Raises InvalidInput where Parquet has no place for these values, such as a time of another age."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        pq.write_table(pa.table({name: column}), io.BytesIO())
    except MemoryError:
        raise
    except pa.ArrowException as error:
        message = f"Column {name!r}, which is to be kept, cannot be written: {str(error)[:200]}"
        raise InvalidInput(f"{message.removesuffix('.')}.") from None


def too_heavy() -> InvalidInput:
    """What is said when the kept columns of a partition come to more than ``MAX_BYTES``."""
    return InvalidInput(
        f"The columns that are to be kept come to over {MAX_BYTES} bytes in one partition: keep an id instead."
    )


def _textual(arrow_type: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(arrow_type) or types.is_large_string(arrow_type))


def _is_json(arrow_type: Any) -> bool:
    import pyarrow as pa

    return isinstance(arrow_type, pa.JsonType)


def _writable(array: Any) -> Any:
    """Of a type whose values Python has: times become text, in UTC where they have a zone."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import types

    if types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    kind = array.type
    if types.is_float16(kind):
        return array.cast(pa.float32())
    if types.is_timestamp(kind):
        # Arrow writes any time; Python has none beyond its calendar, and no zone that it does not know.
        naive = array if kind.tz is None else array.cast(pa.timestamp(kind.unit))
        texts = pc.replace_substring(naive.cast(pa.string()), " ", "T", max_replacements=1)
        return texts if kind.tz is None else pc.binary_join_element_wise(texts, "Z", "")
    return array.cast(pa.string()) if types.is_date(kind) or types.is_time(kind) else array


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Decimal) else value


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
