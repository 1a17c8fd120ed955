"""Is a model the same whose weights wait outside while it is converted, as those of a large one do?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tensortrigger_backend.domain.publishing import ONNX

pytestmark = pytest.mark.slow


def test_weights_that_wait_outside_come_back_where_they_were() -> None:
    script = Path(__file__).with_name("publish_with_weights_outside.py")
    printed = subprocess.run([sys.executable, str(script)], check=True, capture_output=True, text=True).stdout
    rows = [json.loads(line) for line in printed.splitlines() if line.startswith("[")]
    assert len(rows) == 6
    for name, engine, deviation, outside in rows:
        assert outside > 0, name
        assert engine == ONNX, name
        assert deviation < 1e-4, name
