"""Whatever is wrong with a request, nothing of it is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _nothing_is_stored(server: Any, churn: Any, softmax: Any, tensors: Any) -> Iterator[None]:
    """No test here may leave a model, a job or a blob behind."""

    def stored() -> tuple[Any, ...]:
        blobs = sorted(path for path in (server.data_dir / "blobs").rglob("*") if path.is_file())
        models = server.client.get("/models", params={"limit": 200}).json()["models"]
        refused = server.client.get("/models", params={"state": "refused"}).json()["models"]
        jobs = server.client.get("/jobs", params={"limit": 200}).json()["jobs"]
        incoming = list((server.data_dir / "incoming").iterdir())
        return (
            blobs,
            [model["model_id"] for model in models],
            refused,
            [job["job_id"] for job in jobs],
            incoming,
        )

    before = stored()
    yield
    assert stored() == before
