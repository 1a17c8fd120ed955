"""A deployment of real processes for tests: ``tt api``, ``tt worker``, ``tt trainer``, ``tt forge`` on real servers."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import numpy as np
import onnx
import pika
import psycopg
from onnx import TensorProto, helper, numpy_helper

from tensortrigger_backend.adapters.artifact_file import GRAPH, Manifest, write_artifact
from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.seed import seed_version
from tensortrigger_backend.bootstrap.connections import open_blobs
from tensortrigger_backend.domain.contents import content_key
from tensortrigger_backend.domain.models import ModelVersion, VersionState
from tensortrigger_backend.domain.publishing import ONNX, ForgeVerdict
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.domain.tensors import Signature, TensorSpec
from tensortrigger_backend.settings import Settings

READY_SECONDS = 180.0
ENDED = ("succeeded", "failed", "cancelled")


class Process:
    """One part of a deployment, started as its operator would; of use once it is awaited.

    Attributes:
        name: as its deployment knows it.
        url: of an ``api``, or of what a worker tells of itself.
    """

    def __init__(self, role: str, argv: list[str], environ: dict[str, str], log: Path) -> None:
        self.role, self.log = role, log
        with log.open("ab") as stream:
            self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=stream, env=environ)

    def awaited(self) -> Process:
        """The same, once it is ready."""
        self.ready = self._first_line()
        words = self.ready.split()
        if words[:2] != ["TensorTrigger", self.role] or "ready" not in self.ready:
            self.kill()
            raise AssertionError(f"{self.role} said {self.ready!r}: {self.words()}")
        self.name = words[2]
        self.url = words[-1] if words[-1].startswith("http") else ""
        self.client = httpx.Client(base_url=self.url, timeout=60)
        return self

    def _first_line(self) -> str:
        assert self.process.stdout is not None
        came, _, _ = select.select([self.process.stdout], [], [], READY_SECONDS)
        line = self.process.stdout.readline().decode() if came else ""
        if not line:
            self.kill()
        assert line, f"{self.role} did not become ready: {self.words()}"
        return line

    def words(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-4000:]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self, seconds: float = 40.0) -> int:
        """End it as an operator would; its exit status."""
        self.client.close()
        self.process.terminate()
        return self._reap(seconds)

    def kill(self) -> None:
        """End it as a crash would."""
        if hasattr(self, "client"):
            self.client.close()
        if self.process.poll() is None:
            self.process.kill()
        self._reap(20.0)

    def _reap(self, seconds: float) -> int:
        status = self.process.wait(seconds)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status

    def publish(self, file: Path, title: str, schema: Any = None, **more: Any) -> httpx.Response:
        content = base64.b64encode(file.read_bytes()).decode()
        body = {"model_name": title, "model_description": "", "model_content": content, **more}
        if schema is not None:
            body["model_schema"] = schema
        return self.client.post("/models/new", json=body)

    def job(self, job_id: str) -> dict[str, Any]:
        answer = self.client.get(f"/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()["job"]

    def finished(self, job_id: str, seconds: float = 60.0) -> dict[str, Any]:
        """The job, once it has ended."""
        until = time.monotonic() + seconds
        while (job := self.job(job_id))["state"] not in ENDED:
            assert time.monotonic() < until, job
            time.sleep(0.1)
        return job


class Deployment:
    """Servers, settings, and the processes that were started on them; all are gone when the block ends.

    Args:
        folder: where data folders and logs lie, a data folder of its own for each process.
        database_url: an empty database.
        blob_settings: ``TENSORTRIGGER_BLOB_URL`` and what it needs.
        settings: more, by their names in lower case.
    """

    def __init__(
        self, folder: Path, database_url: str, broker_url: str, blob_settings: dict[str, str], **settings: str
    ) -> None:
        self.folder = folder
        self.database_url, self.broker_url = database_url, broker_url
        self.prefix = f"tt-{secrets.token_hex(6)}"
        self.settings = {
            "database_url": database_url,
            "broker_url": broker_url,
            "broker_prefix": self.prefix,
            "pepper": secrets.token_hex(16),
            "linger": "0",
            **settings,
        }
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TENSORTRIGGER_")},
            **blob_settings,
            **{f"TENSORTRIGGER_{name.upper()}": value for name, value in self.settings.items()},
        }
        self._processes: list[Process] = []
        self._count = 0

    def migrate(self) -> None:
        assert self.run("migrate").returncode == 0

    def command(self, *arguments: str, **settings: str) -> tuple[list[str], dict[str, str]]:
        """Command line and environment of a process with a data folder of its own."""
        self._count += 1
        data = self.folder / f"data-{self._count}"
        more = {f"TENSORTRIGGER_{name.upper()}": value for name, value in settings.items()}
        argv = [sys.executable, "-m", "tensortrigger_backend", *arguments, "--data-dir", str(data)]
        return argv, {**self.environ, **more}

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """A command that ends by itself."""
        argv, environ = self.command(*arguments, **settings)
        return subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60, check=False)

    def start(self, role: str, *arguments: str, **settings: str) -> Process:
        """A process that is ready; an ``api`` listens on a free port."""
        return self.begin(role, *arguments, **settings).awaited()

    def begin(self, role: str, *arguments: str, **settings: str) -> Process:
        """A process that is being started: others may be as well, meanwhile."""
        argv, environ = self.command(
            role, *arguments, *(("--port", "0") if role == "api" else ()), **settings
        )
        process = Process(role, argv, environ, self.folder / f"{role}-{self._count}.log")
        self._processes.append(process)
        return process

    def linear(
        self, name: str, weights: list[list[float]], version: int = 1, layers: int = 0, width: int = 0
    ) -> ModelVersion:
        """A published model y = x · w of named inputs a, b, c, ..., without a forge.

        Args:
            layers, width: of further multiplications that change nothing, for one that takes its time.
        """
        matrix = np.array(weights, np.float32)
        inputs, outputs = matrix.shape
        schema = {
            letter: {"var_type": "FLOAT", "index": place}
            for place, letter in enumerate("abcdefghijklmnop"[:inputs])
        }
        verdict_signature = Signature(
            (TensorSpec("x", "float32", (-1, inputs)),), (TensorSpec("y", "float32", (-1, outputs)),)
        )
        artifact = self.folder / f"{name}-{version}.servable"
        write_artifact(
            artifact, Manifest(ONNX, verdict_signature), {GRAPH: linear_graph(matrix, layers, width)}
        )
        told = {
            name.removeprefix("TENSORTRIGGER_").lower(): value
            for name, value in self.environ.items()
            if name.startswith("TENSORTRIGGER_")
        }
        blobs = open_blobs(Settings(**told), "test")
        database = Database(self.database_url)
        try:
            sha256, _ = blobs.keep("seeding", artifact)
            key = content_key(sha256)
            blobs.keep(key, artifact)
            blobs.delete(["seeding"])
            return seed_version(
                database,
                ModelVersion(
                    model_id=secrets.token_hex(16),
                    owner="local",
                    name=name,
                    title=name,
                    description="",
                    state=VersionState.RECEIVED,
                    source_key=key,
                    source_sha256=sha256,
                    size=artifact.stat().st_size,
                    created=time.time(),
                    schema=VectorSchema.parse(schema),
                    version=version,
                    servable_key=key,
                    servable_sha256=sha256,
                ),
                ForgeVerdict(
                    True, format="onnx", signature=verdict_signature, engine=ONNX, max_deviation=0.0
                ),
            )
        finally:
            database.close()
            blobs.close()

    def close(self) -> None:
        """Kill what still runs, and leave no queue behind."""
        for process in self._processes:
            process.kill()
        with (
            contextlib.suppress(pika.exceptions.AMQPError),
            pika.BlockingConnection(pika.URLParameters(self.broker_url)) as connection,
        ):
            channel = connection.channel()
            for kind in ("score", "train", "dead"):
                channel.queue_delete(f"{self.prefix}.{kind}")
            channel.exchange_delete(f"{self.prefix}.dead")

    def __enter__(self) -> Deployment:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def linear_graph(weights: np.ndarray, layers: int, width: int) -> bytes:
    """ONNX of y = x · w, with x of shape (batch, inputs)."""
    inputs, outputs = weights.shape
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y" if not layers else "y0"])]
    constants = [numpy_helper.from_array(weights, "w")]
    if layers:
        # Out to the width and back again, over and over, without a change.
        wide = np.zeros((outputs, width), np.float32)
        wide[:, :outputs] = np.eye(outputs)
        constants += [numpy_helper.from_array(wide, "out"), numpy_helper.from_array(wide.T.copy(), "back")]
        constants.append(numpy_helper.from_array(np.eye(width, dtype=np.float32), "same"))
        nodes.append(helper.make_node("MatMul", ["y0", "out"], ["w0"]))
        for layer in range(layers):
            nodes.append(helper.make_node("MatMul", [f"w{layer}", "same"], [f"w{layer + 1}"]))
        nodes.append(helper.make_node("MatMul", [f"w{layers}", "back"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", inputs])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", outputs])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


@contextlib.contextmanager
def new_database(server_url: str) -> Iterator[str]:
    """A database of one's own on a server: its URL in SQLAlchemy's form."""
    plain = server_url.replace("postgresql+psycopg://", "postgresql://")
    name = f"tt_{secrets.token_hex(6)}"
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield plain.replace("postgresql://", "postgresql+psycopg://").rsplit("/", 1)[0] + f"/{name}"
    finally:
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def until(holds: Any, seconds: float, every: float = 0.05) -> float:
    """Wait for something to hold; how long it took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(every)
    return time.monotonic() - began


STOP, CONTINUE, TERMINATE = signal.SIGSTOP, signal.SIGCONT, signal.SIGTERM
