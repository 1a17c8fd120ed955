"""Blotting the backend's key out of whatever may be shown, without changing its length."""

from __future__ import annotations

SHORTEST = 8
"""Characters; blotting out anything shorter would garble answers, and no key of ours is that short."""


def secret_part(key: str) -> str:
    """What of a key must never be shown: of ``tt_<id>_<secret>`` only the last part, else all of it."""
    parts = key.split("_", 2)
    secret = parts[2] if len(parts) == 3 and parts[0] == "tt" else key
    return secret if len(secret) >= SHORTEST else ""


def redact(text: str, key: str) -> str:
    """``text`` with the secret part of ``key`` blotted out."""
    secret = secret_part(key)
    return text.replace(secret, "*" * len(secret)) if secret else text


class Blotter:
    """The same for bytes that come in blocks; a secret that spans two blocks is found as well.

    The length stays, so that a Content-Length that was announced before still holds.
    """

    def __init__(self, key: str) -> None:
        self._secret = secret_part(key).encode()
        self._held = b""

    def feed(self, block: bytes) -> bytes:
        """What can be passed on now; only a tail that may be the secret's beginning is held back."""
        if not self._secret:
            return block
        text = (self._held + block).replace(self._secret, b"*" * len(self._secret))
        held = self._beginning_at_the_end(text)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def rest(self) -> bytes:
        """What was held back, once the last block has come."""
        rest, self._held = self._held, b""
        return rest

    def _beginning_at_the_end(self, text: bytes) -> int:
        longest = min(len(self._secret) - 1, len(text))
        return next((n for n in range(longest, 0, -1) if text.endswith(self._secret[:n])), 0)
