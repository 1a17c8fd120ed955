"""Every setting, read once from ``TENSORTRIGGER_*``; nothing else looks at the environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from tensortrigger_backend.domain.sandbox import SandboxMode

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


def default_workers() -> int:
    """A thread a core that this process may use; each takes some 20 MB, and with more of them requests would wait."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, 4)


class Settings(BaseSettings):
    """What an operator may choose. Sizes in bytes, times in seconds."""

    model_config = SettingsConfigDict(env_prefix="TENSORTRIGGER_", extra="ignore")

    data_dir: Path = Field(default_factory=default_data_dir)
    database_url: str = ""
    blob_url: str = ""
    broker_url: str = "memory://"
    broker_prefix: str = Field(default="tensortrigger", pattern=r"^[A-Za-z0-9._-]{1,100}$")
    """Begins the names of the broker's queues: deployments on one broker take different ones."""

    s3_endpoint_url: str = ""
    """Where S3 is; empty for Amazon's own."""
    s3_region: str = ""
    s3_access_key_id: SecretStr | None = None
    s3_secret_access_key: SecretStr | None = None
    """Without these two, boto3 looks where it always looks: the environment, the profile, the machine's role."""
    sources: dict[str, str] = Field(default_factory=dict)
    """Where jobs may read files from: names to URLs of folders, ``s3://bucket/prefix`` or ``file:///folder``."""
    pepper: SecretStr | None = Field(default=None, min_length=16)
    """Keys the stored hashes of API keys; the same for all processes. Without it, one is kept in the data folder."""
    grace: float = Field(default=25.0, ge=0)
    """After SIGTERM, a worker finishes its partition for so long, then hands it back."""

    linger: float = Field(default=3.0, ge=0)
    """After SIGTERM, ``tt api`` goes on answering for so long, while /ready says 503 and load balancers turn away."""

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
    """Base64 characters of a model or of rows in a JSON body."""
    max_model: int = 2048 * MIB
    """A model that is uploaded as raw bytes."""
    max_json: int = 16 * MIB
    """Any other JSON body."""
    max_upload: int = 64 * 1024 * MIB
    """The rows of one job or training as they are stored, in any format and wherever they come from."""
    header_timeout: float = 20.0
    body_timeout: float = 120.0
    """Longest time without a byte while a body is due."""

    publish_wait: float = 30.0
    """How long publishing keeps the caller before it answers 202."""
    sandbox: SandboxMode = SandboxMode.AUTO
    """``required`` checks no model where the kernel cannot hold guests in; ``auto`` goes by what there is."""
    guest_memory: int = Field(default=6144 * MIB, ge=512 * MIB)
    """Memory past which a TensorFlow child is ended: about nine times the largest model that is to be published."""
    forge_timeout: float = 300.0
    forge_idle: float = 120.0
    """A warm TensorFlow child leaves after so long without work."""
    engine_threads: int = Field(default=1, ge=1)
    resident_models: int = Field(default=64, ge=1)

    workers: int = Field(default_factory=default_workers, ge=0)
    """Threads of this process that score partitions: as many as it has cores, four at most, unless said otherwise."""
    trainers: int = Field(default=1, ge=0, le=1)
    """Whether this process works on trainings, one at a time."""
    train_timeout: float = Field(default=86_400.0, gt=0)
    """How long one attempt at a training may take."""
    lease: float = Field(default=15.0, gt=0)
    """How long a claim on a partition holds without being renewed."""
    slice_rows: int = Field(default=50_000, ge=1)
    slice_bytes: int = Field(default=16 * MIB, ge=1)
    """Rows and bytes at which the rows of a job are cut into partitions, in any format."""

    retention_days: float = Field(default=30.0, gt=0)
    """Jobs that ended so long ago are deleted, with their uploads and results."""
    webhook_networks: tuple[str, ...] = ()
    """Private networks in CIDR notation that webhooks may reach all the same."""
    fault_point: str = ""
    """Where the process kills itself, once: for tests of recovery only. A step of ``services.steps``, or empty."""

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
            raise ValueError(
                f"TENSORTRIGGER_BLOB_URL must begin with file:// or s3://, not {self.blob_url[:40]!r}"
            )
        return Path(self.blob_url.removeprefix("file://"))


class ClientSettings(BaseSettings):
    """Where a command finds a running server, as every client of it does."""

    model_config = SettingsConfigDict(env_prefix="TENSORTRIGGER_", extra="ignore")

    url: str = "http://127.0.0.1:8500"
    api_key: SecretStr | None = None
