"""What tests of ``tt.panel`` do over and over."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

EVIL = '<img src=x onerror="alert(1)">'


def until(holds: Callable[[], Any], seconds: float = 60.0) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.01)


def seen(box: Any, tab: int) -> Any:
    """Bring a tab into view."""
    box.selected_index = tab
    return box.tabs[tab]
