"""Which names of files below a source's folder are taken."""

from __future__ import annotations

from urllib.parse import unquote

from tensortrigger_backend.domain.errors import Fault, InvalidInput

MAX_KEY = 1024


def checked_key(key: str) -> str:
    """The key, if it can lead nowhere but below the folder of its source.

    Percent signs are no escapes here; but a key that would be another one after decoding is refused, lest something
    on the way decodes it.

    Raises:
        InvalidInput: it is empty, too long, absolute, climbs, or holds what no key holds.
    """
    for text in (key, unquote(key)):
        parts = text.split("/")
        wrong = not key or len(key) > MAX_KEY or "\\" in text or not text.isprintable()
        if wrong or any(part in ("", ".", "..") for part in parts):
            raise InvalidInput.of(
                Fault(
                    ("source", "key"),
                    "source_key",
                    "The key must name a file below the source: no leading '/', no '..', no empty part, no backslash.",
                    "folder/file.csv",
                    key[:80],
                )
            )
    return key
