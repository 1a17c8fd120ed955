"""Traps for hostile artifacts: a watched host, a port that nobody should call, and a real backend beside them."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hostile_corpus.artifact import Artifact, Traps
from hostile_corpus.corpus import LIVE, built, plan

HERE = Path(__file__).parent
SERVE = (sys.executable, "-m", "tensortrigger_backend", "serve", "--port", "0")
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "TF_NUM_INTRAOP_THREADS": "1"}


class Telephone:
    """A listening socket that keeps what its callers say."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                return
            with caller, contextlib.suppress(OSError):
                caller.settimeout(5)
                self.heard.append(caller.recv(1000))

    def close(self) -> None:
        # The shutdown wakes the thread that waits in accept.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)

    def called_by(self, name: str) -> bool:
        return any(name.encode() in words for words in self.heard)


@dataclass
class Site:
    """Traps with artifacts that point to them."""

    traps: Traps
    telephone: Telephone
    uploads: Path
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def at(cls, folder: Path) -> Site:
        telephone = Telephone()
        site = cls(Traps(folder / "traps", telephone.port), telephone, folder / "uploads")
        site.traps.plant()
        site.uploads.mkdir()
        return site

    def described(self) -> dict[str, Any]:
        return {
            "folder": str(self.traps.folder),
            "port": self.telephone.port,
            "secret": self.traps.secret,
            "into": str(self.uploads),
        }

    def sprung(self, artifact: Artifact) -> bool:
        """Whether the artifact has left a trace."""
        return (
            self.traps.written(artifact.name)
            or self.telephone.called_by(artifact.name)
            or self.answers.get(artifact.name, {}).get("leaked", False)
        )


@pytest.fixture(scope="session")
def open_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Where nothing protects."""
    site = Site.at(tmp_path_factory.mktemp("open"))
    yield site
    site.telephone.close()


@pytest.fixture(scope="session")
def guarded_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """What the backend and the sandbox are held against."""
    site = Site.at(tmp_path_factory.mktemp("guarded"))
    yield site
    site.telephone.close()


@pytest.fixture(scope="session")
def workshop(open_site: Site, guarded_site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A process that is building the SavedModels meanwhile; later it opens them, unprotected."""
    words = (tmp_path_factory.mktemp("workshop") / "stderr").open("w+")
    process = subprocess.Popen(
        [sys.executable, "-m", "hostile_corpus.workshop"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=words,
        cwd=open_site.uploads,
        env={**os.environ, **QUIET, "PYTHONPATH": str(HERE)},
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps([open_site.described(), guarded_site.described()]).encode() + b"\n")
    process.stdin.flush()
    yield process
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()
    words.close()


@pytest.fixture(scope="session")
def saved_models(workshop: Any) -> None:
    """Waits until every SavedModel is built."""
    assert workshop.stdout.readline() == b"built\n"


@pytest.fixture(scope="session")
def let_loose(open_site: Site, workshop: Any, saved_models: None) -> Site:
    """Every live artifact has been opened by a process that nothing holds."""
    workshop.stdin.write(plan(LIVE, open_site.uploads, open_site.traps))
    workshop.stdin.close()
    for line in workshop.stdout:
        answer = json.loads(line)
        open_site.answers[answer["name"]] = answer
    return open_site


class Host:
    """A running backend in folders of its own, every one of them watched."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.site = site
        self.data_dir = folder / "data"
        self.places = {name: folder / name for name in ("home", "cwd", "tmp")}
        for place in self.places.values():
            place.mkdir()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TENSORTRIGGER_")}
        own = {"HOME": str(self.places["home"]), "TMPDIR": str(self.places["tmp"])}
        # An endless loop ends soon; whatever else is refused, is refused long before.
        own["TENSORTRIGGER_FORGE_TIMEOUT"] = "10"
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*SERVE, "--data-dir", self.data_dir],
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.places["cwd"],
                env=clean | own,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        assert "ready at http://" in line, self.log.read_text()[-2000:]
        self.client = httpx.Client(base_url=line.split()[-1], timeout=100)
        self.resident = self.resident_now()
        self.kept = self.files()

    def resident_now(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def files(self) -> dict[str, tuple[int, int]]:
        """Every file that an attack might leave or change: size and time; not the database, nor the scratch."""
        found = {}
        for root in (*self.places.values(), self.site.traps.folder / "markers", self.data_dir):
            for path in sorted(root.rglob("*")):
                relative = path.relative_to(root.parent)
                if root == self.data_dir and (
                    path.name.startswith("tensortrigger.db") or "scratch" in relative.parts
                ):
                    continue
                state = path.lstat()
                found[str(path)] = (0, 0) if path.is_dir() else (state.st_size, state.st_mtime_ns)
        return found

    def news(self) -> dict[str, tuple[int, int]]:
        """What is there now and was not, or not so, at the start."""
        return {path: state for path, state in self.files().items() if self.kept.get(path) != state}

    def models(self) -> Any:
        answer = self.client.get("/models")
        assert answer.status_code == 200, answer.text
        return answer.json()["models"]

    def publish(self, content: bytes) -> httpx.Response:
        body = {"model_name": "hostile", "model_content": base64.b64encode(content).decode()}
        return self.client.post("/models/new", json=body)

    def close(self) -> None:
        self.client.close()
        self.process.terminate()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process.wait(40)


@pytest.fixture(scope="session")
def host(guarded_site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The backend that every artifact is sent to."""
    host = Host(tmp_path_factory.mktemp("host"), guarded_site)
    yield host
    host.close()


@pytest.fixture
def upload(request: pytest.FixtureRequest, guarded_site: Site, workshop: Any) -> Any:
    """Builds an artifact for the guarded site."""

    def build(artifact: Artifact) -> bytes:
        if artifact.format == "saved_model":
            request.getfixturevalue("saved_models")
        return built(artifact, guarded_site.uploads, guarded_site.traps).read_bytes()

    return build
