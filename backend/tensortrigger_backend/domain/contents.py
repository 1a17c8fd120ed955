"""Where bytes lie that are named by what they are: the same bytes have one key, whoever sent them."""

from __future__ import annotations

from typing import Final

PREFIX: Final = "content"


def content_key(sha256: str) -> str:
    """The blob key of these bytes.

    Args:
        sha256: 64 hexadecimal digits, lower case.
    """
    return f"{PREFIX}/{sha256}"


def is_content(key: str) -> bool:
    """Whether a blob is named by what it holds; versions made before this have keys of their own."""
    return key.startswith(f"{PREFIX}/")
