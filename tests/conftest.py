"""Which tests start TensorFlow or a whole backend: ``make quick`` leaves them out."""

from __future__ import annotations

from pathlib import Path

import pytest

SLOW = tuple(Path(__file__).parent / folder for folder in ("backend/api", "forge", "server_extension"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(folder in item.path.parents for folder in SLOW):
            item.add_marker(pytest.mark.slow)
