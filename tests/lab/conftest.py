"""An answering end of the wire for the client's tests: routes and shapes of the REST API, no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tensortrigger_lab.client import Client
from tensortrigger_lab.session import session

URL = "http://127.0.0.1:8500"
MODEL_ID = "0197c2f0a1b24c3d8e5f60718293a4b5"
JOB_ID = "0197c2f0ffff4c3d8e5f60718293a4b5"
RUN_ID = "0197c2f0eeee4c3d8e5f60718293a4b5"

Reply = Callable[[httpx.Request], httpx.Response]


def model_members(**changes: Any) -> dict[str, Any]:
    """A Model object of the API: two inputs, one output."""
    return {
        "model_id": MODEL_ID,
        "model_name": "churn",
        "name": "churn",
        "version": 1,
        "state": "ready",
        "model_description": "",
        "model_schema": {
            "input_schema": {
                "age": {"var_type": "INT", "index": 0},
                "income": {"var_type": "FLOAT", "index": 1},
            }
        },
        "size": 18_000,
        "created": "2026-01-02T03:04:05.678Z",
        "sha256": "0" * 64,
        "format": "keras",
        "engine": "onnxruntime",
        "engine_reason": None,
        "max_deviation": 1.2e-7,
        "signature": {
            "inputs": [{"name": "vector", "dtype": "float32", "shape": [-1, 2]}],
            "outputs": [{"name": "score", "dtype": "float32", "shape": [-1, 1]}],
        },
        "input_shape": [None, 2],
        "output_shape": [None, 1],
        "versions": {},
        **changes,
    }


def tensor_model_members(inputs: int = 1, outputs: int = 1) -> dict[str, Any]:
    """A Model object without a vector schema: inputs of shape (-1, 3, 2)."""
    specs = [{"name": f"in_{n}", "dtype": "float32", "shape": [-1, 3, 2]} for n in range(inputs)]
    return model_members(
        model_schema=None,
        signature={
            "inputs": specs,
            "outputs": [{"name": f"out_{n}", "dtype": "float32", "shape": [-1, 1]} for n in range(outputs)],
        },
    )


def alias_members(alias: str = "production", version: int = 1, **changes: Any) -> dict[str, Any]:
    """An Alias object of the API."""
    return {
        "alias": alias,
        "name": "churn",
        "version": version,
        "model_id": MODEL_ID,
        "moved": "2026-01-02T03:04:05.678Z",
        "moved_by": "ada",
        **changes,
    }


def receipt_members(**changes: Any) -> dict[str, Any]:
    """A Receipt object of the API: proven by the notebook's outputs, and looked at once more since."""
    look = {"checked": "2026-01-02T03:04:05.678Z", "max_deviation": 1.2e-7, "passed": True}
    return {
        "model_id": MODEL_ID,
        "sha256": "a" * 64,
        "source": "client",
        "rows": 32,
        "inputs_sha256": "b" * 64,
        "outputs_sha256": "c" * 64,
        "max_deviation": 1.2e-7,
        "atol": 1e-5,
        "rtol": 1e-4,
        "engine": "onnxruntime",
        "engine_version": "1.23.0",
        "versions": {"keras": "3.15.1"},
        "client_versions": {"keras": "3.14.0"},
        "repairs": [{"path": "config.layers[0]", "message": "'batch_input_shape' became 'batch_shape'"}],
        "created": "2026-01-02T03:04:05.678Z",
        "checks": [{**look, "engine_version": "1.23.0"}, {**look, "engine_version": "1.24.0"}],
        **changes,
    }


def job_members(state: str = "succeeded", **progress: Any) -> dict[str, Any]:
    """A Job object of the API."""
    return {
        "job_id": JOB_ID,
        "model_id": MODEL_ID,
        "upload_size": 100,
        "created": "2026-01-02T03:04:05.678Z",
        "last_updated": "2026-01-02T03:04:06.678Z",
        "job_state": {"queued": 0, "running": 1, "succeeded": 2}.get(state, 3),
        "state": state,
        "error": None,
        "progress": {
            "rows_done": 3,
            "rows_total": 3,
            "rows_rejected": 0,
            "rows_per_second": 1000.0,
            "seconds_left": 0.0,
            "partitions_done": 1,
            "partitions_total": 1,
            **progress,
        },
    }


def training_members(state: str = "running", **changes: Any) -> dict[str, Any]:
    """A Job object of a training: two epochs of ten steps."""
    done = {"queued": 0, "running": 1}.get(state, 2)
    return {
        **job_members(state, rows_total=320, rows_done=160 * done, epochs_done=done, epochs_total=2),
        "kind": "train",
        "model_name": "churn",
        "model_version": 1,
        "run_id": JOB_ID,
        "training": {
            "loss": "mean_squared_error",
            "optimizer": "adam",
            "metrics": [],
            "learning_rate": 0.001,
            "source": "file",
            "epochs": 2,
            "batch_size": 32,
            "points": 320,
            "resumed_at": None,
        },
        "result": {"model_id": MODEL_ID, "name": "churn", "version": 2} if state == "succeeded" else None,
        **changes,
    }


def run_members(state: str = "running", **changes: Any) -> dict[str, Any]:
    """A Run object of the API, in the second of three epochs."""
    return {
        "run_id": RUN_ID,
        "name": "first try",
        "model": "churn",
        "model_id": None,
        "job_id": None,
        "source": "notebook",
        "state": state,
        "error": None,
        "epochs": 3,
        "steps_per_epoch": 2,
        "params": {},
        "epoch": 2,
        "step": 4,
        "metrics": {"loss": 0.5, "val_loss": None},
        "metric_names": ["loss", "val_loss"],
        "points": 6,
        "last_seq": 6,
        "created": "2026-01-02T03:04:05.678Z",
        "last_updated": "2026-01-02T03:04:06.678Z",
        "finished": None,
        **changes,
    }


def point_members(seq: int, **changes: Any) -> dict[str, Any]:
    """Point ``seq`` of a run that has two batches and then the epoch, again and again."""
    epoch, place = divmod(seq - 1, 3)
    kind, step = ("epoch", epoch * 2 + 2) if place == 2 else ("batch", epoch * 2 + place + 1)
    metrics = {"loss": 1.0 / seq} | ({"val_loss": 2.0 / seq} if kind == "epoch" else {})
    at = 1_700_000_000.0 + seq
    return {
        "seq": seq,
        "kind": kind,
        "step": step,
        "epoch": epoch + 1,
        "t": at,
        "metrics": metrics,
        **changes,
    }


def problem(
    status: int, detail: str, errors: list[dict[str, Any]] | None = None, **headers: str
) -> httpx.Response:
    """An RFC 9457 answer as the backend writes it."""
    return httpx.Response(
        status,
        headers={"Content-Type": "application/problem+json", **headers},
        content=json.dumps(
            {
                "type": "about:blank",
                "title": "Problem",
                "status": status,
                "detail": detail,
                "instance": "/somewhere",
                "errors": errors or [],
                "http_code": status,
                "message": detail,
            }
        ),
    )


class Api:
    """Answers by route and remembers what was asked."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._replies: dict[tuple[str, str], list[Reply]] = {}

    def on(self, method: str, path: str, *replies: Reply | httpx.Response | dict[str, Any]) -> None:
        """Answer this route with each reply in turn, then with the last one for ever."""
        self._replies[method, path] = [_reply(reply) for reply in replies]

    def asked(self, path: str) -> list[httpx.Request]:
        return [request for request in self.requests if request.url.path == path]

    def body(self, path: str, number: int = -1) -> Any:
        return json.loads(self.asked(path)[number].content)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        replies = self._replies.get((request.method, request.url.path))
        if not replies:
            return problem(404, f"There is nothing at {request.url.path}.")
        return (replies.pop(0) if len(replies) > 1 else replies[0])(request)


def _reply(reply: Reply | httpx.Response | dict[str, Any]) -> Reply:
    if isinstance(reply, dict):
        return lambda request: httpx.Response(200, json={"http_code": 200, **reply})
    if isinstance(reply, httpx.Response):
        content, status, headers = reply.content, reply.status_code, reply.headers
        return lambda request: httpx.Response(status, headers=headers, content=content)
    return reply


class Shapes:
    """The builders above, for tests that cannot import a conftest."""

    url, model_id, job_id, run_id = URL, MODEL_ID, JOB_ID, RUN_ID
    model = staticmethod(model_members)
    tensor_model = staticmethod(tensor_model_members)
    alias = staticmethod(alias_members)
    receipt = staticmethod(receipt_members)
    job = staticmethod(job_members)
    training = staticmethod(training_members)
    run = staticmethod(run_members)
    point = staticmethod(point_members)
    problem = staticmethod(problem)


READY = "TensorTrigger backend ready at "


@pytest.fixture(scope="session")
def source_roots() -> str:
    """``PYTHONPATH`` for children that shall see what this process sees."""
    return os.pathsep.join(path for path in sys.path if path)


@pytest.fixture(scope="session")
def backend_url(tmp_path_factory: pytest.TempPathFactory, source_roots: str) -> Iterator[str]:
    """One real backend for all end-to-end tests of the session."""
    folder = tmp_path_factory.mktemp("backend")
    command = [
        sys.executable,
        "-m",
        "tensortrigger_backend",
        "serve",
        "--port",
        "0",
        "--data-dir",
        str(folder),
    ]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TENSORTRIGGER_")}
    environment |= {"PYTHONPATH": source_roots, "TENSORTRIGGER_SLICE_ROWS": "20000"}
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
        assert child.stdout is not None
        try:
            line = child.stdout.readline()
            assert line.startswith(READY), (folder / "log").read_text()
            yield line.removeprefix(READY).strip()
        finally:
            child.terminate()
            child.wait(timeout=30)
            child.stdout.close()


@pytest.fixture
def shapes() -> type[Shapes]:
    return Shapes


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def client(api: Api) -> Iterator[Client]:
    with Client(URL, transport=httpx.MockTransport(api), patience=0.0) as client:
        yield client


@pytest.fixture
def shared_client(client: Client) -> Iterator[Client]:
    """The client that calls without ``client=`` share in this test."""
    session().use(client)
    yield client
    session().close()
