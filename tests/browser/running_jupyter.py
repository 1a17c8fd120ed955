"""``jupyter lab`` with its embedded backend, and its kernels, spoken to beside the page."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil
from jupyter_client.blocking.client import BlockingKernelClient

TOKEN = "a-token-of-the-tests"
BASE_URL = "/user/ann/"
"""As behind JupyterHub: nothing may assume that Jupyter lives at the root."""


class Kernel:
    """A kernel that the Jupyter server runs, spoken to beside the page."""

    def __init__(self, kernel_id: str, connection_file: Path) -> None:
        self.kernel_id = kernel_id
        self._connection_file = connection_file

    def run(self, code: str) -> str:
        """Run code as a cell would; what it printed."""
        until = time.monotonic() + 90
        while not self._connection_file.exists():
            assert time.monotonic() < until, "The kernel has no connection file."
            time.sleep(0.05)
        client = BlockingKernelClient(connection_file=str(self._connection_file))
        client.load_connection_file()
        # Without the heartbeat: a kernel that imports something large misses a beat, and is alive.
        client.start_channels(hb=False)
        printed: list[str] = []

        def listen(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        try:
            client.wait_for_ready(timeout=180)
            reply = client.execute_interactive(code, timeout=300, allow_stdin=False, output_hook=listen)
            assert reply["content"]["status"] == "ok", reply["content"]
        finally:
            client.stop_channels()
        return "".join(printed)


class Jupyter:
    """``jupyter lab`` as its user starts it, on folders of its own."""

    def __init__(self, home: Path, *options: str, environment: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.environment = environment or {}
        self.files = home / "files"
        self.files.mkdir(parents=True)
        self.log = home / "jupyter.log"
        self.options = options
        # Without its question about news, which would stand above what the tests look at.
        news = home / "config" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
        news.mkdir(parents=True)
        (news / "notification.jupyterlab-settings").write_text(
            '{"fetchNews": "false", "checkForUpdates": false}'
        )
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}{BASE_URL}"
        self.client = httpx.Client(
            base_url=self.url, headers={"Authorization": f"token {TOKEN}"}, timeout=30, trust_env=False
        )
        self.start()

    def start(self) -> None:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TENSORTRIGGER_")},
            "JUPYTER_DATA_DIR": str(self.home / "data"),
            "JUPYTER_CONFIG_DIR": str(self.home / "config"),
            "JUPYTER_RUNTIME_DIR": str(self.home / "runtime"),
            "IPYTHONDIR": str(self.home / "ipython"),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            **self.environment,
        }
        argv = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"]
        argv += [
            f"--ServerApp.port={self.port}",
            "--ServerApp.port_retries=0",
            f"--ServerApp.base_url={BASE_URL}",
        ]
        argv += [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={self.files}"]
        argv += ["--LabApp.news_url=", *self.options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                argv, stdout=log, stderr=log, env=environment, cwd=self.files, start_new_session=True
            )
        until = time.monotonic() + 180
        while True:
            try:
                if self.client.get("api/status").status_code == httpx.codes.OK:
                    return
            except httpx.HTTPError:
                pass
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < until, self.log.read_text()[-3000:]
            time.sleep(0.1)

    def stop(self) -> None:
        self.client.close()
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    def backend(self, method: str, path: str, body: Any = None) -> Any:
        """What the backend answers, asked through the server extension."""
        answer = self.client.request(method, f"tensortrigger-lab/api/backend/{path}", json=body)
        answer.raise_for_status()
        return answer.json()

    def wait_for_backend(self) -> dict[str, Any]:
        until = time.monotonic() + 180
        while True:
            status: dict[str, Any] = self.client.get("tensortrigger-lab/api/status").json()
            if status["ready"]:
                return status
            assert time.monotonic() < until, status
            time.sleep(0.1)

    def wait_for_warm_forge(self) -> None:
        """Until the process that is kept for the next model has imported TensorFlow and waits."""
        until = time.monotonic() + 180
        spent = -1.0
        while True:
            backend = psutil.Process(self.wait_for_backend()["pid"])
            forges = [
                child
                for child in backend.children(True)
                if "tensortrigger_backend.forge.__main__" in child.cmdline()
            ]
            now = sum(sum(forge.cpu_times()[:2]) for forge in forges)
            if forges and now == spent and now > 1:
                return
            assert time.monotonic() < until, "No forge is warm."
            spent = now
            time.sleep(0.5)

    def kernel(self, path: str, name: str = "python3") -> Kernel:
        """The kernel of a notebook; it is started where it does not run yet, and the page finds it running."""
        answer = self.client.post(
            "api/sessions", json={"path": path, "name": path, "type": "notebook", "kernel": {"name": name}}
        )
        answer.raise_for_status()
        kernel_id = answer.json()["kernel"]["id"]
        return Kernel(kernel_id, self.home / "runtime" / f"kernel-{kernel_id}.json")

    def end_kernel(self, path: str) -> None:
        """Shut down the kernel of a notebook, where one runs."""
        for session in self.client.get("api/sessions").json():
            if session["path"] == path:
                self.client.delete(f"api/sessions/{session['id']}")

    def kernel_client(self, path: str) -> httpx.Client:
        """A client with the key that this Jupyter gives its kernels."""
        said = self.kernel(path).run(
            "import json, os\nprint(json.dumps([os.environ[f'TENSORTRIGGER_{name}'] for name in ('URL', 'API_KEY')]))"
        )
        url, key = json.loads(said)
        return httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=30
        )

    def notebook(self, name: str, *cells: str, kernel: str = "python3", language: str = "python") -> str:
        """Write a notebook with these code cells; its path."""
        document = {
            "cells": [
                {
                    "cell_type": "code",
                    "id": f"cell-{number}",
                    "metadata": {},
                    "source": source,
                    "outputs": [],
                    "execution_count": None,
                }
                for number, source in enumerate(cells)
            ],
            "metadata": {
                "kernelspec": {"name": kernel, "display_name": kernel, "language": language},
                "language_info": {"name": language},
            },
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        (self.files / name).write_text(json.dumps(document))
        return name
