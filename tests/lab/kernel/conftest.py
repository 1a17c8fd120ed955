"""Real kernels, asked as a front end asks them: one silent request with a user expression."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager

MIME = "application/vnd.tensortrigger.rpc+json"
PATIENCE = 180.0
"""Seconds for a step that takes one or two on an idle machine, ten where it imports TensorFlow."""

STAND_IN = """
import sys, time, types
class Model:
    built, compiled, name, inputs, outputs, input_shape = True, True, "sequential", [], [], (None, 2)
    def count_params(self): return 3
    def predict(self, x, verbose="auto"): return x.sum(axis=1, keepdims=True)
    def save(self, path): path.write_bytes(b"PK\\x03\\x04 weights")
sys.modules["keras"] = types.SimpleNamespace(Model=Model)
"""
"""Stands for Keras where importing it would take seconds; the tests marked slow use the real one."""


@dataclass
class Answer:
    """What came back for one request: the reply, and everything that was published because of it."""

    expression: dict[str, Any]
    reply: dict[str, Any]
    published: list[dict[str, Any]]
    seconds: float

    @property
    def members(self) -> dict[str, Any]:
        assert self.expression["status"] == "ok", self.expression
        members: dict[str, Any] = self.expression["data"][MIME]
        return members

    @property
    def result(self) -> dict[str, Any]:
        assert self.members["ok"], self.members
        result: dict[str, Any] = self.members["result"]
        return result

    @property
    def error(self) -> dict[str, Any]:
        assert not self.members["ok"], self.members
        error: dict[str, Any] = self.members["error"]
        return error


class Notebook:
    """A kernel and the client of a front end."""

    def __init__(self, manager: KernelManager) -> None:
        self.manager = manager
        self._replies: dict[str | None, dict[str, Any]] = {}
        self.written: list[str] = []
        """What the kernel wrote in whosever name: that of a thread may be any cell's."""
        self.client: BlockingKernelClient = manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)

    def run(self, code: str) -> int:
        """Run a cell to its end; its execution count."""
        reply = self.client.execute(code, reply=True, timeout=PATIENCE)
        assert reply["content"]["status"] == "ok", reply["content"]
        self._published(reply["parent_header"]["msg_id"])
        return int(reply["content"]["execution_count"])

    def begin(self, code: str) -> str:
        """Start a cell, and go on while it runs."""
        begun: str = self.client.execute(code, stop_on_error=False)
        return begun

    def end(self, begun: str) -> dict[str, Any]:
        """Wait for a cell that was started."""
        return dict(self._reply(begun)["content"])

    def _reply(self, request: str) -> dict[str, Any]:
        """The reply to a request; one to another, such as a cell that ends meanwhile, is kept for its turn."""
        while request not in self._replies:
            reply = self.client.get_shell_msg(timeout=PATIENCE)
            self._replies[reply["parent_header"].get("msg_id")] = reply
        return self._replies.pop(request)

    def once(self, variable: str, subshell: str) -> None:
        """Wait until the cell that was started has assigned a model to ``variable``."""
        until = time.monotonic() + PATIENCE
        while variable not in {
            entry["variable"] for entry in self.ask("models", subshell=subshell).result["models"]
        }:
            assert time.monotonic() < until
            time.sleep(0.02)

    def interrupt(self, begun: str) -> None:
        """Press the stop button while a cell runs."""
        self.manager.interrupt_kernel()
        assert self.end(begun)["ename"] == "KeyboardInterrupt"

    def once_training(self, subshell: str) -> None:
        """Wait until the cell that was started is inside of its fit."""
        until = time.monotonic() + PATIENCE
        while not self.ask("hello", subshell=subshell).result["training"]:
            assert time.monotonic() < until
            time.sleep(0.02)

    def subshell(self) -> str:
        """A second shell, which answers while a cell is running."""
        message = self.client.session.msg("create_subshell_request", {})
        self.client.control_channel.send(message)
        reply = self.client.get_control_msg(timeout=PATIENCE)
        return str(reply["content"]["subshell_id"])

    def ask(self, method: str, *, subshell: str | None = None, **params: Any) -> Answer:
        """Ask the bridge, as the front end does."""
        text = json.dumps(json.dumps(params))
        expression = (
            f"__import__('tensortrigger_lab.kernel.bridge', fromlist=['call']).call('{method}', {text})"
        )
        content = {
            "code": "",
            "silent": True,
            "store_history": False,
            "user_expressions": {"tt": expression},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        message = self.client.session.msg("execute_request", content)
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        began = time.perf_counter()
        self.client.shell_channel.send(message)
        reply = self._reply(message["header"]["msg_id"])
        seconds = time.perf_counter() - began
        published = self._published(message["header"]["msg_id"])
        return Answer(reply["content"]["user_expressions"]["tt"], reply["content"], published, seconds)

    def ask_quickly(self, method: str, *, seconds: float = 1.0, **params: Any) -> Answer:
        """Ask, and up to twice more where that took longer: a machine that does something else gets further chances."""
        answer = self.ask(method, **params)
        for _ in range(2):
            if answer.seconds < seconds:
                break
            answer = self.ask(method, **params)
        return answer

    def published(self, variable: str, name: str, **params: Any) -> Answer:
        """Ask to publish the model in ``variable``."""
        listed = self.ask("models").result
        (chosen,) = [entry for entry in listed["models"] if entry["variable"] == variable]
        given = {"session": listed["session"], "identity": chosen["identity"], "when": "now", **params}
        return self.ask("publish", variable=variable, name=name, **given)

    def progress(self, publish_id: str, *states: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """Ask until a publication is in one of ``states``."""
        until = time.monotonic() + seconds
        while True:
            found = self.ask("progress", publish_id=publish_id).result
            if found["state"] in states:
                return found
            assert time.monotonic() < until, found
            time.sleep(0.05)

    def _published(self, request: str) -> list[dict[str, Any]]:
        """Everything on the public channel about a request, up to the word that the kernel is idle again."""
        found: list[dict[str, Any]] = []
        while True:
            message = self.client.get_iopub_msg(timeout=PATIENCE)
            if message["msg_type"] == "stream":
                self.written.append(message["content"]["text"])
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["msg_type"] != "status":
                found.append(message)
            elif message["content"]["execution_state"] == "idle":
                return found

    def restart(self) -> None:
        self.manager.restart_kernel(now=True)
        self.client.wait_for_ready(timeout=PATIENCE)

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


@pytest.fixture(scope="session")
def new_notebook() -> Iterator[Callable[..., Notebook]]:
    """Starts kernels, and ends them with the session."""
    begun: list[Notebook] = []

    def start(**environment: str) -> Notebook:
        manager = KernelManager(kernel_name="python3")
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("TENSORTRIGGER_")}
        paths = os.pathsep.join(path for path in sys.path if path)
        manager.start_kernel(
            env={**inherited, "PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
        )
        begun.append(Notebook(manager))
        return begun[-1]

    yield start
    for notebook in begun:
        notebook.close()


@pytest.fixture(scope="module")
def notebook(new_notebook: Callable[..., Notebook]) -> Notebook:
    """A notebook with a model that stands for one of Keras', and tables for examples."""
    started = new_notebook()
    started.run(STAND_IN)
    started.run("import numpy as np, pandas as pd")
    return started


@pytest.fixture(scope="session")
def stand_in() -> str:
    return STAND_IN


class Backend:
    """The API of the folder above, on a port, so that another process can ask it."""

    def __init__(self, api: Any) -> None:
        handler = type("Handler", (_Handler,), {"api": api})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.api = api
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    api: Any

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = f"http://{self.headers['Host']}{self.path}"
        answer = self.api(httpx.Request(self.command, url, headers=dict(self.headers), content=body))
        self.send_response(answer.status_code)
        self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
        for name in answer.headers.keys() & {"x-tensortrigger-version"}:
            self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_DELETE = answer  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def backend(api: Any) -> Iterator[Backend]:
    served = Backend(api)
    yield served
    served.close()


@pytest.fixture
def accepting(backend: Backend, shapes: Any) -> Backend:
    """Accepts ``churn`` as ready at once, and answers age + income as the stand-in predicts."""
    model = shapes.model()
    backend.api.on("POST", "/models/new", {"model_id": shapes.model_id, "state": "ready", "model": model})
    backend.api.on("GET", f"/models/{shapes.model_id}", {"model": model})

    def run(request: httpx.Request) -> httpx.Response:
        rows = json.loads(request.content)["input_vectors"]
        return httpx.Response(200, json={"output": [[row["age"] + row["income"]] for row in rows]})

    backend.api.on("POST", "/tensor/run/batch", run)
    return backend
