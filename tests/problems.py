"""What all problem details of the backend share."""

from __future__ import annotations

from typing import Any

import httpx


def fault(answer: httpx.Response, status: int = 400) -> dict[str, Any]:
    """The problem details, after checking what all of them share."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == problem["http_code"] == status
    assert problem["message"] == problem["detail"]
    assert {"type", "title", "instance"} <= set(problem)
    assert "Traceback" not in answer.text
    return problem
