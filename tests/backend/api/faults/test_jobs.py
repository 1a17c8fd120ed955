"""A CSV that cannot be read is refused as a whole, with what is wrong with it."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from problems import fault


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"tenure,charges\n1,2\n", "Column 'calls' is missing"),
        (b"tenure,charges,Calls\n1,2,3\n", "there is 'Calls'"),
        (b"tenure,charges,calls,calls\n1,2,3,4\n", "stands 2 times"),
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"tenure,charges,calls\n1,\x00,3\n", "NUL"),
        (b'tenure,charges,calls\n1,"2,3\n', "never closed"),
        (b"\xfftenure,charges,calls\n1,2,3\n", "UTF-8"),
    ],
)
def test_a_csv_that_cannot_be_read_is_refused_whole(server: Any, content: bytes, words: str) -> None:
    answer = server.client.post(
        "/jobs", params={"model": "churn"}, content=content, headers={"content-type": "text/csv"}
    )
    assert words in fault(answer)["detail"]
    encoded = "data:text/csv;base64," + base64.b64encode(content).decode()
    answer = server.client.post("/tensor/run/async", json={"model": "churn", "input_data": encoded})
    fault(answer)


def test_a_csv_for_a_model_that_takes_tensors_is_refused(server: Any) -> None:
    answer = server.client.post(
        "/jobs", params={"model": "image"}, content=b"a\n1\n", headers={"content-type": "text/csv"}
    )
    assert "one vector" in fault(answer)["detail"]


def test_a_job_of_another_format_is_a_415(server: Any) -> None:
    answer = server.client.post(
        "/jobs", params={"model": "churn"}, content=b"<a/>", headers={"content-type": "text/xml"}
    )
    fault(answer, 415)


@pytest.mark.parametrize("path", ["", "/metadata", "/content", "/results", "/rejects"])
def test_an_unknown_job_is_a_404(server: Any, path: str) -> None:
    assert "no job" in fault(server.client.get(f"/jobs/{'0' * 32}{path}"), 404)["detail"]
