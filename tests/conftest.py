"""Which tests start TensorFlow, a whole backend or other servers, and which of them stay together in one process.

``make quick`` leaves the former out. ``make test`` runs two processes: a file stays whole, and so do the files that
share a server or published models, so that these are made once. What takes longest comes first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["services"]

HERE = Path(__file__).parent
SLOW = tuple(
    HERE / folder
    for folder in (
        *("backend/api", "forge", "hostile", "server_extension", "trainer", "browser"),
        *("distributed", "chaos"),
    )
)

SERVERS = {"postgresql_server", "rabbitmq_server", "s3_server", "broker", "postgresql", "rabbitmq", "s3"}
"""Fixtures that start one, and parameters that stand for it."""

TOGETHER = {
    "backend/api/": "one server with models",
    "forge/test_benign_models.py": "the zoo",
    "forge/test_doctor_servables.py": "the zoo",
    "forge/test_forge_processes.py": "the zoo",
    "forge/test_refusals.py": "the zoo",
    "forge/test_servables_answer_like_the_original.py": "the zoo",
    "chaos/": "the deployment that is broken",
    "distributed/": "a deployment",
    "packaging/": "the wheel",
    "hostile/": "the hostile host",
    "lab/kernel/test_bridge_keras.py": "one server for notebooks",
    "lab/test_end_to_end": "one server for notebooks",
    "lab/test_notebooks.py": "one server for notebooks",
    "sandbox/": "the attacks",
}
"""Folders and files, by how their paths begin, and what their tests share; what takes longest comes first."""


def shared_by(path: str) -> str:
    """What the tests of a file share with those of others, or the file itself."""
    inside = path.removeprefix(f"{HERE.name}/")
    return next((shared for beginning, shared in TOGETHER.items() if inside.startswith(beginning)), path)


def needs_server(item: pytest.Item) -> bool:
    """Whether a test talks to PostgreSQL, RabbitMQ or S3."""
    chosen = item.callspec.params.values() if hasattr(item, "callspec") else ()
    named = {*getattr(item, "fixturenames", ()), *(value for value in chosen if isinstance(value, str))}
    return bool(SERVERS & named)


# First, because the runner leaves tests out in a hook of the same name.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if needs_server(item) or any(folder in item.path.parents for folder in SLOW):
            item.add_marker(pytest.mark.slow)
    first = list(dict.fromkeys(TOGETHER.values()))

    def place(item: pytest.Item) -> int:
        shared = shared_by(item.nodeid.partition("::")[0])
        if shared in first:
            return first.index(shared)
        return len(first) + (item.get_closest_marker("slow") is None)

    items.sort(key=place)


# The marks of `--dist loadgroup` do nothing in pytest 9.2 (pytest-xdist, issue 1386), so the groups are told this way.
@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    # In the order above, not by how many tests there are.
    config.option.loadscopereorder = False
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = lambda nodeid: shared_by(nodeid.partition("::")[0])
    return scheduler
