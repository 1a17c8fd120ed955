"""Where the secret that keys the stored hashes comes from."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from tensortrigger_backend.settings import Settings


def make_data_dir(data_dir: Path) -> None:
    """Make the data folder, for its owner's eyes only."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)


def pepper_of_settings(settings: Settings) -> bytes:
    """The pepper that is set, else the one of the data folder, made on first use."""
    return told_pepper(settings) or pepper_of(settings.data_dir.absolute())


def told_pepper(settings: Settings) -> bytes | None:
    """The pepper that is set, or lies in the data folder already; None where neither is."""
    if settings.pepper is not None:
        return settings.pepper.get_secret_value().encode()
    with contextlib.suppress(FileNotFoundError):
        return (settings.data_dir.absolute() / "pepper").read_bytes()
    return None


def pepper_of(data_dir: Path) -> bytes:
    """The secret that keys the stored hashes, made on first use and kept beside the data."""
    path = data_dir / "pepper"
    if not path.exists():
        fresh = data_dir / f"pepper.{secrets.token_hex(4)}"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_bytes(32))
            os.fsync(stream.fileno())
        # A link fails when another process was quicker, and then its pepper is the one.
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    return path.read_bytes()
