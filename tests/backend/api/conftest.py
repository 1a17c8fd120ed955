"""A real backend in a process of its own, and real Keras models to publish to it."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

HERE = Path(__file__).parent
PATIENCE = "120"
"""Seconds that publishing may take where nothing is tested but what comes after it, on a machine however busy."""


class Server:
    """``tt serve`` as its user starts it."""

    def __init__(self, data_dir: Path, *arguments: str, home: Path | None = None, **settings: str) -> None:
        self.data_dir = data_dir
        self.log = data_dir.with_suffix(".log")
        self._arguments = arguments
        self._home = {"HOME": str(home)} if home else {}
        self._settings = {f"TENSORTRIGGER_{name.upper()}": value for name, value in settings.items()}
        self.start()

    def start(self) -> None:
        argv = [sys.executable, "-m", "tensortrigger_backend", "serve", "--data-dir", str(self.data_dir)]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TENSORTRIGGER_")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*argv, "--port", "0", *self._arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                env={**clean, **self._home, **self._settings},
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        assert line.startswith("TensorTrigger backend ready at http://"), self.log.read_text()[-2000:]
        self.url = line.split()[-1]
        self.client = httpx.Client(base_url=self.url, timeout=150)

    def kill(self) -> None:
        """End it as a crash would, with no chance to tidy up."""
        self.client.close()
        self.process.send_signal(signal.SIGKILL)
        self._reap()

    def stop(self) -> int:
        """End it as an operator would; its exit status."""
        self.client.close()
        self.process.terminate()
        return self._reap()

    def _reap(self) -> int:
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(40)

    def publish(self, file: Path, title: str, schema: Any = None, **more: Any) -> httpx.Response:
        content = base64.b64encode(file.read_bytes()).decode()
        body = {"model_name": title, "model_description": "", "model_content": content, **more}
        if schema is not None:
            body["model_schema"] = schema
        return self.client.post("/models/new", json=body)

    def finished(self, job_id: str, seconds: float = 60) -> dict[str, Any]:
        """The job, once it has ended."""
        until = time.monotonic() + seconds
        while True:
            job: dict[str, Any] = self.client.get(f"/jobs/{job_id}").json()["job"]
            if job["state"] in ("succeeded", "failed", "cancelled"):
                return job
            assert time.monotonic() < until, job
            time.sleep(0.05)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of model files, with inputs and the originals' answers in .npz files beside them."""
    folder = tmp_path_factory.mktemp("models")
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    subprocess.run([sys.executable, HERE / "build_models.py", folder], check=True, env=quiet)
    return folder


@pytest.fixture(scope="session")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Starts servers, each on an empty data folder unless one is given, and ends them all."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str, data_dir: Path | None = None, **settings: Any) -> Server:
            server = Server(data_dir or tmp_path_factory.mktemp("data"), *arguments, **settings)

            def end() -> None:
                if server.process.poll() is None:
                    server.kill()

            stack.callback(end)
            return server

        yield start


@pytest.fixture(scope="session")
def published_data(
    start_server: Callable[..., Server], models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Path]:
    """Gives data folders in which ``churn``, of three inputs and no schema, is published already.

    They are copies of one that a server left, so that a server of a test's own need not start TensorFlow.
    """
    template = start_server(publish_wait=PATIENCE)
    answer = template.publish(models / "churn.h5", "churn")
    assert answer.status_code == 201, answer.text
    assert template.stop() == 0

    def copy() -> Path:
        return shutil.copytree(template.data_dir, tmp_path_factory.mktemp("published"), dirs_exist_ok=True)

    return copy


@pytest.fixture(scope="session")
def server(start_server: Callable[..., Server]) -> Server:
    """The one that most tests share; its slices are small, so that small files make several partitions."""
    return start_server(slice_rows="100", log_level="warning", publish_wait=PATIENCE)


def columns(*names: str, **var_types: str) -> dict[str, Any]:
    """A flat schema of FLOAT fields in this order."""
    return {
        name: {"var_type": var_types.get(name, "FLOAT"), "index": place} for place, name in enumerate(names)
    }


CHURN = columns("tenure", "charges", "calls")


@pytest.fixture(scope="session")
def churn(server: Server, models: Path) -> dict[str, Any]:
    """A published model of three named inputs and one output: the answer to its publishing."""
    answer = server.publish(models / "churn.h5", "Churn", CHURN)
    assert answer.status_code == 201, answer.text
    published: dict[str, Any] = answer.json()
    return published


@pytest.fixture(scope="session")
def softmax(server: Server, models: Path) -> dict[str, Any]:
    """A published model of two inputs, one of them INT, and three named outputs."""
    schema = {
        "input_schema": columns("age", "income", age="int"),
        "output_schema": columns("low", "mid", "high"),
    }
    answer = server.publish(models / "softmax.keras", "Risk", schema)
    assert answer.status_code == 201, answer.text
    published: dict[str, Any] = answer.json()
    return published


@pytest.fixture(scope="session")
def tensors(server: Server, models: Path) -> dict[str, dict[str, Any]]:
    """Published models that take tensors, by name."""
    found = {}
    for name in ("image", "pair", "logarithm"):
        answer = server.publish(models / f"{name}.keras", name)
        assert answer.status_code == 201, answer.text
        found[name] = answer.json()
    return found


@pytest.fixture
def expected(models: Path) -> Callable[[str], Any]:
    """Inputs x0, x1 and answers y0, y1 of an original, by the file's name."""
    return lambda name: np.load(models / f"{name}.npz")
