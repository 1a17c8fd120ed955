"""Is a process known to be dead when it is, and never while it lives?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tensortrigger_backend.adapters.presence import Presence

LIVE = """
import sys
from pathlib import Path
from tensortrigger_backend.adapters.presence import Presence
presence = Presence(Path(sys.argv[1]))
print(presence.worker, flush=True)
sys.stdin.readline()
"""


def test_a_process_is_alive_until_it_is_killed(tmp_path: Path) -> None:
    with Presence(tmp_path) as here:
        child = subprocess.Popen(
            [sys.executable, "-c", LIVE, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert child.stdout is not None
            other = child.stdout.readline().strip()
            assert here.dead([other, here.worker]) == []
        finally:
            child.kill()
            child.communicate()
        assert here.dead([other, here.worker]) == [other]
        assert here.dead([other]) == [other]


def test_who_has_left_or_never_came_is_dead(tmp_path: Path) -> None:
    with Presence(tmp_path) as here:
        other = Presence(tmp_path)
        assert other.worker != here.worker
        other.close()
        other.close()
        assert here.dead([other.worker, "unknown", "../../etc/passwd"]) == [
            other.worker,
            "unknown",
            "../../etc/passwd",
        ]
    assert list(tmp_path.iterdir()) == []
