"""Does what scores a job stay as small for a large job as for a small one?"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensortrigger_backend.domain.jobs import Job
from tensortrigger_backend.ports.rows import CutSize

MIB = 1 << 20
WIDTH = 32


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="this system does not tell a process's peak"
)
def test_a_workers_memory_does_not_grow_with_the_job(line: Any) -> None:
    line.limits = CutSize(50_000, 2 * MIB, 1 << 30)
    version = line.publish(np.ones((WIDTH, 1)))
    header = b",".join(b"x%d" % place for place in range(WIDTH)) + b"\n"
    rows = "".join(
        ",".join(map(str, row)) + "\n" for row in np.random.default_rng(1).normal(size=(1000, WIDTH)).round(7)
    ).encode()
    peaks = []
    for thousands in (100, 300):
        job = line.upload(version, header + rows * thousands, block=MIB)
        peaks.append(peak_while_scored(line, job))
    assert peaks[1] < 350 * MIB
    assert peaks[1] < 1.1 * peaks[0]


def peak_while_scored(line: Any, job: Job) -> int:
    """Most bytes that a process of its own has held when it has scored this job."""
    environment = {
        **os.environ,
        "TENSORTRIGGER_DATABASE_URL": line.database.engine.url.render_as_string(hide_password=False),
        "TENSORTRIGGER_WORKERS": "1",
    }
    argv = [
        sys.executable,
        "-m",
        "tensortrigger_backend",
        "serve",
        "--port",
        "0",
        "--data-dir",
        str(line.root),
    ]
    log = line.root / f"serve-{job.job_id}.log"
    with log.open("w") as out, subprocess.Popen(argv, env=environment, stdout=out, stderr=out) as process:
        try:
            until = time.monotonic() + 120
            while not line.state(job).state.final:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.05)
            done = line.state(job)
            assert (done.rows_done, done.error) == (job.rows_total, None)
            found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
            assert found is not None
            return int(found[1]) << 10
        finally:
            process.terminate()
