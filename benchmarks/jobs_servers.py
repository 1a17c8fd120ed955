"""The backends that the benchmark of jobs measures: ``tt serve``, and its roles on PostgreSQL, RabbitMQ and S3."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from processes import HERE, free_port, quiet, wait_for

READY = re.compile(r"TensorTrigger .* ready")


@dataclass
class Running:
    """A backend that answers.

    Attributes:
        scoring: process ids of what scores.
        api: process id of what takes uploads in and hands results out; None where that is the same.
    """

    url: str
    scoring: list[int] = field(default_factory=list)
    api: int | None = None


@contextlib.contextmanager
def embedded(data: Path, **settings: object) -> Iterator[Running]:
    """``tt serve`` on a data folder; settings as ``workers=1``."""
    port = free_port()
    with _process(["serve", "--port", str(port), "--data-dir", str(data)], _told(settings)) as pid:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: httpx.get(f"{url}/health_check"), 60)
        yield Running(url, [pid])


@dataclass
class Deployment:
    """A database, a broker's queues and a bucket's folder that nobody else uses, and what runs on them."""

    environment: Mapping[str, str]
    folder: Path

    @contextlib.contextmanager
    def running(self, workers: int, forge: bool = False) -> Iterator[Running]:
        """An api and so many workers of one thread each; the api lets callers in without keys."""
        port = free_port()
        with contextlib.ExitStack() as stack:
            own = {**self.environment, **_told({"data_dir": self.folder / "api"})}
            api = stack.enter_context(_process(["api", "--port", str(port)], own))
            found = Running(f"http://127.0.0.1:{port}", api=api)
            wait_for(lambda: httpx.get(f"{found.url}/health_check"), 60)
            if forge:
                own = {**self.environment, **_told({"data_dir": self.folder / "forge"})}
                stack.enter_context(_process(["forge"], own))
            for number in range(workers):
                told = {"data_dir": self.folder / f"worker-{number}", "workers": 1}
                found.scoring.append(
                    stack.enter_context(_process(["worker"], {**self.environment, **_told(told)}))
                )
            yield found


@contextlib.contextmanager
def deployment() -> Iterator[Deployment]:
    """On the servers of ``scripts/services``, which starts them where they do not run; nothing is left there."""
    import psycopg

    servers = _servers()
    name = f"bench_{secrets.token_hex(4)}"
    base, _, _ = servers["TENSORTRIGGER_DATABASE_URL"].rpartition("/")
    own = {
        **servers,
        "TENSORTRIGGER_DATABASE_URL": f"{base}/{name}",
        "TENSORTRIGGER_BLOB_URL": f"{servers['TENSORTRIGGER_BLOB_URL'].rstrip('/')}/{name}",
        "TENSORTRIGGER_BROKER_PREFIX": name,
    }
    server = f"{base.replace('+psycopg', '')}/postgres"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        with tempfile.TemporaryDirectory(prefix="tt-bench-") as folder:
            told = _told({"data_dir": Path(folder) / "migrate"})
            argv = [sys.executable, "-m", "tensortrigger_backend", "migrate"]
            subprocess.run(argv, env={**quiet(), **own, **told}, check=True, capture_output=True)
            yield Deployment(own, Path(folder))
    finally:
        _delete_queues(own["TENSORTRIGGER_BROKER_URL"], name)
        _empty(own)
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def peak_mb(pid: int) -> float:
    """Most memory that a process has held so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+)", status)
    assert found is not None
    return int(found[1]) / 1024


def _servers() -> dict[str, str]:
    printed = subprocess.run(
        [str(HERE.parent / "scripts" / "services"), "env"], check=True, capture_output=True, text=True
    )
    words = [
        line.removeprefix("export ") for line in printed.stdout.splitlines() if line.startswith("export ")
    ]
    return {name: value for word in words for name, _, value in [shlex.split(word)[0].partition("=")]}


def _told(settings: Mapping[str, object]) -> dict[str, str]:
    return {f"TENSORTRIGGER_{name.upper()}": str(value) for name, value in settings.items()}


@contextlib.contextmanager
def _process(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[int]:
    """One of ours, from its ready line to its end."""
    argv = [sys.executable, "-m", "tensortrigger_backend", *command]
    with tempfile.TemporaryFile("w+") as log:
        child = subprocess.Popen(
            argv, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **quiet(), **environment}
        )
        try:
            until = time.perf_counter() + 60
            while not READY.search(_printed(log)):
                if child.poll() is not None or time.perf_counter() > until:
                    raise RuntimeError(f"tt {command[0]} did not come up:\n{_printed(log)}")
                time.sleep(0.05)
            yield child.pid
        finally:
            child.terminate()
            child.wait(60)


def _printed(log: object) -> str:
    # The child writes through the same open file: to read by position leaves where it writes alone.
    return os.pread(log.fileno(), 1 << 20, 0).decode(errors="replace")  # type: ignore[attr-defined]


def _delete_queues(url: str, prefix: str) -> None:
    import pika

    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        for name in (f"{prefix}.score", f"{prefix}.train", f"{prefix}.dead"):
            connection.channel().queue_delete(name)
        connection.channel().exchange_delete(f"{prefix}.dead")


def _empty(settings: Mapping[str, str]) -> None:
    """Delete what the benchmark stored."""
    import boto3

    bucket, _, prefix = settings["TENSORTRIGGER_BLOB_URL"].removeprefix("s3://").partition("/")
    store = boto3.resource(
        "s3",
        endpoint_url=settings["TENSORTRIGGER_S3_ENDPOINT_URL"],
        region_name=settings["TENSORTRIGGER_S3_REGION"],
        aws_access_key_id=settings["TENSORTRIGGER_S3_ACCESS_KEY_ID"],
        aws_secret_access_key=settings["TENSORTRIGGER_S3_SECRET_ACCESS_KEY"],
    )
    store.Bucket(bucket).objects.filter(Prefix=f"{prefix}/").delete()
