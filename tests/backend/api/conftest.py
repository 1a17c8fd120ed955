"""A real backend in a process of its own, and real models: Keras files to publish, and one that is there already."""

from __future__ import annotations

import base64
import contextlib
import json
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
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tensortrigger_backend.adapters.artifact_file import GRAPH, Manifest, write_artifact
from tensortrigger_backend.adapters.blobs_local import LocalBlobs
from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.model_store import SqlModelStore
from tensortrigger_backend.domain.models import ModelVersion, VersionState
from tensortrigger_backend.domain.publishing import ONNX, ForgeVerdict
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.domain.tensors import Signature, TensorSpec

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


LINEAR = {
    "a": {"var_type": "FLOAT", "index": 0},
    "b": {"var_type": "INT", "index": 1},
    "city": {
        "var_type": "STRING",
        "index": 2,
        "categories": ["Rome", "Oslo"],
        "nullable": True,
        "fill": "Rome",
    },
}
WEIGHTS = np.array([[1.0], [10.0], [100.0]], np.float32)


def seed(data_dir: Path, owner: str = "local") -> None:
    """Put a ready model into a data folder, as the forge would leave it, without TensorFlow."""
    data_dir.mkdir(exist_ok=True)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(WEIGHTS, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    signature = Signature((TensorSpec("x", "float32", (-1, 3)),), (TensorSpec("y", "float32", (-1, 1)),))
    artifact = data_dir / "made"
    write_artifact(artifact, Manifest(ONNX, signature), {GRAPH: model.SerializeToString()})
    blobs = LocalBlobs(data_dir, "seed")
    blobs.put("models/m0/source", b"what was uploaded")
    blobs.put("models/m0/servable", artifact.read_bytes())
    artifact.unlink()
    database = Database(f"sqlite:///{data_dir / 'tensortrigger.db'}")
    database.migrate()
    store = SqlModelStore(database)
    version = ModelVersion(
        model_id="m0",
        owner=owner,
        name="linear",
        title="Linear",
        description="",
        state=VersionState.RECEIVED,
        source_key="models/m0/source",
        source_sha256="0" * 64,
        size=1,
        created=time.time(),
        schema=VectorSchema.parse(LINEAR),
    )
    store.add(version)
    verdict = ForgeVerdict(True, format="keras", signature=signature, engine=ONNX, max_deviation=0.0)
    store.make_ready("m0", verdict, "models/m0/servable", "1" * 64, time.time())
    database.close()


@pytest.fixture
def seeded(tmp_path: Path) -> Path:
    """A data folder with the model ``linear``."""
    seed(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that is the source of ``here``."""
    return tmp_path_factory.mktemp("lake")


@pytest.fixture(scope="session")
def here(
    start_server: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory, lake: Path
) -> Iterator[Server]:
    """A server with the model ``linear``, slices of 40 rows, and a source."""
    data_dir = tmp_path_factory.mktemp("formats") / "data"
    seed(data_dir)
    settings = {
        "slice_rows": "40",
        "max_upload": str(1 << 24),
        "sources": json.dumps({"lake": f"file://{lake}"}),
    }
    server = start_server(data_dir=data_dir, log_level="warning", trainers="0", **settings)
    yield server
    assert server.stop() == 0
