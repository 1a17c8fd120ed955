"""Can whoever has the storage alone put a job's results together from its manifest?"""

from __future__ import annotations

import hashlib
import io
import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from tensortrigger_backend.domain.jobs import JobState, WakeUp

if TYPE_CHECKING:
    from tests.backend.services.conftest import JobLine

LEASE = 10.0
BAD = (12, 15, 44)
"""Rows that cannot be scored."""


def test_the_manifest_names_the_parts_in_order_with_their_rows_sizes_and_sums(line: JobLine) -> None:
    version = line.publish(np.array([[3.0]]), {"v": {"var_type": "FLOAT", "index": 0}})
    job = line.upload(
        version, b"v\n" + b"".join(b"none\n" if row in BAD else b"%d\n" % row for row in range(45))
    )
    worker = line.worker()
    line.recovery(worker).relay()
    # Its worker dies, and so the first part is written last, under a later fence than the others.
    assert line.jobs.claim(WakeUp(job.job_id, 0), "dead", line.clock(), LEASE) is not None
    line.work(worker)
    assert line.state(job).partitions_done == 4
    line.clock.wait(LEASE + 1)
    line.recovery(worker).look_after()
    line.run(worker)
    assert line.state(job).state is JobState.SUCCEEDED

    manifest = json.loads(line.blobs.read(f"jobs/{job.job_id}/manifest"))
    assert manifest["rows"] == 45
    parts = manifest["parts"]
    assert [part["partition"] for part in parts] == [0, 1, 2, 3, 4]
    assert [part["first_row"] for part in parts] == [0, 10, 20, 30, 40]
    assert [(part["rows"], part["scored"], part["rejected"]) for part in parts] == [
        (10, 10, 0),
        (10, 8, 2),
        (10, 10, 0),
        (10, 10, 0),
        (5, 4, 1),
    ]
    scored, rejected = [], []
    for part in parts:
        data = line.blobs.read(part["results"])
        assert (part["size"], part["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        scored += pq.read_table(io.BytesIO(data)).column("row").to_pylist()
        if part["rejects"] is not None:
            rejected += [
                json.loads(reject)["row"] for reject in line.blobs.read(part["rejects"]).splitlines()
            ]
    assert scored == [row for row in range(45) if row not in BAD]
    assert rejected == list(BAD)
    named = {part[kind] for part in parts for kind in ("results", "rejects")} - {None}
    assert set(line.blobs.keys(f"jobs/{job.job_id}/parts")) == named
