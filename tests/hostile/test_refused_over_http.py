"""Is every artifact refused by name through the real API, and is nothing left, called or swollen afterwards?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hostile_corpus.artifact import Artifact
from hostile_corpus.corpus import ALL

GROWTH = 200 << 20

# What is built meanwhile comes last.
IN_ORDER = sorted(ALL, key=lambda artifact: artifact.format == "saved_model")


@pytest.fixture(scope="module", autouse=True)
def nothing_has_happened(host: Any) -> Iterator[None]:
    """After the last one: no file is new or changed, and nobody has called."""
    yield
    deadline = time.monotonic() + 10
    while host.news() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert host.news() == {}
    assert host.site.telephone.heard == []


@pytest.mark.parametrize("artifact", IN_ORDER, ids=lambda artifact: artifact.name)
def test_it_is_refused_and_nothing_happens(
    artifact: Artifact, host: Any, upload: Callable[[Artifact], bytes]
) -> None:
    models = host.models()
    answer = host.publish(upload(artifact))
    assert 400 <= answer.status_code < 500, answer.text
    problem = answer.json()
    fault = problem["errors"][0]
    assert fault["code"] in artifact.codes, problem
    assert fault["loc"][0] == "model_content", problem
    assert fault.get("remedy"), problem
    assert host.models() == models
    assert not host.site.sprung(artifact)
    assert host.resident_now() - host.resident < GROWTH
