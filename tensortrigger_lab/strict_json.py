"""JSON as the API wants it: UTF-8, without NaN or Infinity in either direction."""

from __future__ import annotations

import json
from typing import Any

from tensortrigger_lab.wire import WireError


def dumps(members: Any) -> bytes:
    """Strict JSON as UTF-8.

    Raises:
        ValueError: a NaN or an infinity.
        TypeError: something JSON has no word for.
    """
    return json.dumps(members, allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode()


def loads(body: bytes | str) -> Any:
    """Strict JSON, read.

    Raises:
        WireError: no JSON, or a NaN or an infinity in it.
    """
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise WireError(f"not strict JSON: {error}") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
