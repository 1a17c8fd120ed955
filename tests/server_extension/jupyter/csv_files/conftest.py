"""A CSV file in the folder that Jupyter shows, scored to its end."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest


@pytest.fixture
def root(jp_root_dir) -> Path:
    return jp_root_dir


@pytest.fixture
def wait_for(call, run, until):
    """The score once a condition holds, by default that it has ended."""

    def wait(score_id: str, condition=lambda score: score["finished"]):
        def score():
            return json.loads(call("GET", f"csv/scores/{score_id}").body)["score"]

        for _ in range(400):
            if condition(found := score()):
                return found
            run(asyncio.sleep(0.02))
        raise AssertionError(found)

    return wait


@pytest.fixture
def score(call, wait_for):
    """Scores a file to its end."""

    def scored(path: str, **more):
        answer = call("POST", "csv/scores", {"path": path, "model": "adder", **more})
        assert answer.code == 201, answer.body
        return wait_for(json.loads(answer.body)["score"]["score_id"])

    return scored
