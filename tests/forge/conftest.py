"""The forge's fixtures: models built and published by helper processes, so that this one stays free of TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import tensortrigger_backend
from tensortrigger_backend.adapters.forge_process import ForgeProcess
from tensortrigger_backend.adapters.sandbox import SandboxedLauncher

HELPERS = 2
PATIENCE = 1200
"""Seconds for a test that may be the first to ask for models; two minutes are enough on an idle machine."""
# What the tests and the helper processes build from lies beside them.
sys.path.append(str(Path(__file__).parent))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if {"zoo", "formats"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.timeout(PATIENCE))


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every model of the zoo: the upload, fresh inputs with answers, the servable, the verdict."""
    return _made_by("publish_zoo.py", tmp_path_factory.mktemp("zoo"))


@pytest.fixture(scope="session")
def formats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for SavedModels: NAME.upload, NAME.npz, NAME.servable, NAME.json."""
    return _made_by("publish_formats.py", tmp_path_factory.mktemp("formats"))


def _made_by(script: str, folder: Path) -> Path:
    source_root = str(Path(tensortrigger_backend.__file__).parent.parent)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": source_root,
        "PYTHONHASHSEED": "0",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTRAOP_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    helpers = [
        subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).with_name(script)),
                str(folder),
                str(part),
                str(HELPERS),
            ],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for part in range(HELPERS)
    ]
    words: list[bytes] = []
    readers = [
        threading.Thread(target=lambda helper=helper: words.append(helper.communicate()[1]))
        for helper in helpers
    ]
    for reader in readers:
        reader.start()
    try:
        for reader in readers:
            reader.join()
    finally:
        for helper in helpers:
            helper.kill()
    assert all(helper.returncode == 0 for helper in helpers), b"\n".join(words)[-4000:].decode()
    return folder


@pytest.fixture(scope="session")
def launcher() -> Iterator[SandboxedLauncher]:
    launcher = SandboxedLauncher()
    yield launcher
    launcher.close()


@pytest.fixture
def forge(launcher: SandboxedLauncher, tmp_path: Path) -> Iterator[ForgeProcess]:
    """A forge of the test's own, with no warm process yet."""
    scratch = tmp_path / "forge"
    scratch.mkdir()
    forge = ForgeProcess(launcher, scratch)
    yield forge
    forge.close()
    assert list(scratch.iterdir()) == [], "a forge leaves nothing behind"
