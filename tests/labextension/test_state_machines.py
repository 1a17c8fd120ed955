"""The lab extension's state machines are TypeScript, and tested there: `jlpm test` in labextension/."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "labextension"


@pytest.mark.slow
def test_the_tests_in_typescript_pass() -> None:
    commands = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    jlpm = shutil.which("jlpm", path=commands)
    if shutil.which("node", path=commands) is None or jlpm is None or not (SOURCE / "node_modules").is_dir():
        reason = "The lab extension was not built here with a Node of this machine."
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    ended = subprocess.run(
        [jlpm, "test", "--ci"],
        cwd=SOURCE,
        env={**os.environ, "PATH": commands},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-4000:]
