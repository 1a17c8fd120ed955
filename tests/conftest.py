"""Which tests start TensorFlow or a whole backend, and which share what they start.

``make quick`` leaves the former out. ``make test`` runs on two processes; the tests of one slow folder stay together,
because they share a server or published models.
"""

from __future__ import annotations

from pathlib import Path

import pytest

SLOW = tuple(
    Path(__file__).parent / folder
    for folder in ("backend/api", "forge", "server_extension", "trainer", "browser")
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = next((folder for folder in SLOW if folder in item.path.parents), None)
        if folder is not None:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.xdist_group(folder.name))
        elif item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.xdist_group(item.path.parent.name))
        else:
            item.add_marker(pytest.mark.xdist_group(item.path.name))
    # The longest folder first, so that the other process takes all the rest meanwhile.
    items.sort(key=lambda item: SLOW[0] not in item.path.parents)
