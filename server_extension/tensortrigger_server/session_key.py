"""The API key that lives as long as one Jupyter server does, and never on disk."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SessionKey:
    """An API key ``tt_<id>_<secret>``, made for one embedded backend.

    Attributes:
        id: 12 lower-case hexadecimal digits; safe to show.
        secret: 256 random bits as 43 URL-safe base64 characters; may hold underscores itself,
            so a reader splits on the first two underscores only.
    """

    id: str
    secret: str = field(repr=False)

    @classmethod
    def generate(cls) -> SessionKey:
        """A new key from the system's random source."""
        return cls(secrets.token_hex(6), secrets.token_urlsafe(32))

    def reveal(self) -> str:
        """The whole key, for a process environment or a header and for nothing that is shown."""
        return f"tt_{self.id}_{self.secret}"

    def redact(self, text: str) -> str:
        """``text`` with the secret blotted out wherever it stands."""
        return text.replace(self.secret, "***")
