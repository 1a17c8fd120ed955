"""Models that are loaded and unloaded over and over leave nothing behind in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from chaos.checker import INPUTS
from chaos.conftest import times
from chaos.deployment import Deployment
from chaos.model import publish

from tensortrigger_backend.adapters.blobs_local import LocalBlobs
from tensortrigger_backend.adapters.sql.database import Database

WARM_UP = 50
GROWTH = 0.05
WIDTH = 256
"""What malloc keeps of a model for the next one differs from one moment to the next: the models are small beside it."""


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[tuple[Deployment, list[str]]]:
    """``tt serve`` with two models and room for one."""
    data = tmp_path / "data"
    data.mkdir()
    database = Database(f"sqlite:///{data / 'tensortrigger.db'}")
    database.migrate()
    models = [publish(database, LocalBlobs(data, "test"), tmp_path, WIDTH) for _ in range(2)]
    database.close()
    with Deployment(tmp_path, {}, "", models[0]) as deployment:
        deployment.api = deployment.start(
            *("serve", "--port", "0"),
            TENSORTRIGGER_DATA_DIR=str(data),
            TENSORTRIGGER_RESIDENT_MODELS="1",
        )
        deployment.api.wait_ready()
        yield deployment, models


def test_memory_does_not_grow_with_models_that_are_loaded_and_unloaded(
    crowded: tuple[Deployment, list[str]], tell: Callable[[str], None]
) -> None:
    deployment, models = crowded
    assert deployment.api is not None
    process, cycles = psutil.Process(deployment.api.child.pid), times(50, 1000)

    def run(count: int) -> int:
        """Load one model after the other; the resident memory afterwards, in bytes."""
        for turn in range(count):
            answer = deployment.client.post(
                f"{deployment.url}/tensor/run",
                json={"model_id": models[turn % 2], "inputs": {"x": [[turn] * INPUTS]}},
            )
            assert answer.status_code == 200, answer.text
        return int(process.memory_info().rss)

    before = run(WARM_UP)
    for done in range(0, cycles, 50):
        now = run(50)
        tell(f"{done + 50} of {cycles} models loaded: {now >> 20} MiB, {before >> 20} MiB at first")
    assert now < before * (1 + GROWTH)
