"""Which questions of the browser are passed on to the backend: a method and a path that this list names."""

from __future__ import annotations

import re

# As the backend makes them: no word that it knows, such as webhook_secret, passes for an id.
_ID = r"[0-9a-f]{1,64}"
_NAME = r"[a-z0-9][a-z0-9._-]{0,62}"
_BY_NAME = rf"models/by-name/{_NAME}"
_ALIAS = rf"{_BY_NAME}/aliases/{_NAME}"

# No pattern lets a percent sign, a backslash, an empty segment or a dot at a segment's start pass, so what is
# matched needs no decoding, and nothing else gets through in any spelling.
ALLOWED: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (method, re.compile(pattern, re.ASCII))
    for method, pattern in (
        ("GET", "models"),
        ("GET", rf"models/{_ID}(?:/receipt)?"),
        ("DELETE", rf"models/{_ID}"),
        ("GET", rf"{_BY_NAME}/aliases"),
        ("PUT", _ALIAS),
        ("DELETE", _ALIAS),
        ("GET", rf"{_ALIAS}/history"),
        ("POST", rf"{_ALIAS}/rollback"),
        ("POST", "tensor/run"),
        ("GET", "jobs"),
        ("GET", rf"jobs/{_ID}(?:/partitions|/rejects|/log|/results)?"),
        ("POST", rf"jobs/{_ID}/(?:cancel|retry)"),
        ("DELETE", rf"jobs/{_ID}"),
        ("GET", "runs"),
        ("GET", rf"runs/{_ID}(?:/metrics)?"),
        ("DELETE", rf"runs/{_ID}"),
    )
)


def is_allowed(method: str, path: str) -> bool:
    """Whether the list names this method and raw, undecoded path without a leading slash."""
    return any(method == verb and pattern.fullmatch(path) for verb, pattern in ALLOWED)
