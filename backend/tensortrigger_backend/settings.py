"""Every setting, read once from ``TENSORTRIGGER_*``; nothing else looks at the environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB = 1 << 20


def default_data_dir() -> Path:
    """Where a laptop keeps models and jobs: the platform's folder for an application's data."""
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Application Support"
    else:
        root = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return root / "tensortrigger"


class Settings(BaseSettings):
    """What an operator may choose. Sizes in bytes, times in seconds."""

    model_config = SettingsConfigDict(env_prefix="TENSORTRIGGER_", extra="ignore")

    data_dir: Path = Field(default_factory=default_data_dir)
    database_url: str = ""
    blob_url: str = ""
    broker_url: str = "memory://"

    host: str = "127.0.0.1"
    port: int = Field(default=8500, ge=0, le=65535)
    auth: bool = False
    """Demand keys even on loopback."""
    session_key: SecretStr | None = None
    """A key that lives in this process only; the embedded backend gets one from its Jupyter server."""
    allowed_hosts: tuple[str, ...] = ()
    """Host headers to answer; empty means the loopback names on loopback, and any elsewhere."""
    trusted_proxy: bool = False
    """Believe X-Authenticated-Userid: only behind a gateway that sets it itself."""

    max_content: int = 64 * MIB
    """Base64 characters of a model or CSV in a JSON body."""
    max_json: int = 16 * MIB
    """Any other JSON body."""
    max_upload: int = 64 * 1024 * MIB
    """A streamed CSV."""
    header_timeout: float = 20.0
    body_timeout: float = 120.0
    """Longest time without a byte while a body is due."""

    publish_wait: float = 30.0
    """How long publishing keeps the caller before it answers 202."""
    forge_timeout: float = 300.0
    forge_idle: float = 120.0
    """A warm TensorFlow child leaves after so long without work."""
    engine_threads: int = Field(default=1, ge=1)
    resident_models: int = Field(default=64, ge=1)

    workers: int = Field(default=1, ge=0)
    """Threads of this process that score CSV partitions."""
    trainers: int = Field(default=1, ge=0, le=1)
    """Whether this process works on trainings, one at a time."""
    train_timeout: float = Field(default=86_400.0, gt=0)
    """How long one attempt at a training may take."""
    lease: float = 15.0
    slice_rows: int = Field(default=50_000, ge=1)
    slice_bytes: int = Field(default=8 * MIB, ge=1)

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"

    def resolved_database_url(self) -> str:
        """The database, by default a SQLite file in the data folder."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'tensortrigger.db').absolute()}"

    def resolved_blob_root(self) -> Path:
        """The folder of blobs.

        Raises:
            ValueError: ``blob_url`` is no ``file://`` URL.
        """
        if not self.blob_url:
            return self.data_dir
        if not self.blob_url.startswith("file://"):
            raise ValueError(f"TENSORTRIGGER_BLOB_URL must begin with file://, not {self.blob_url[:40]!r}")
        return Path(self.blob_url.removeprefix("file://"))
