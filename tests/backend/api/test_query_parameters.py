"""Through the HTTP face: a parameter that a route does not have is refused by name, and never passed over."""

from __future__ import annotations

from typing import Any

import pytest

CSV = {"accept": "text/csv"}
TRAIN = {"json": {"model": "churn", "input_vectors": [[1, 2, 3]], "output_vectors": [1]}}
ROWS = {"json": {"model": "churn", "source": {"name": "lake", "key": "rows.csv"}}}


@pytest.mark.parametrize(
    ("method", "path", "asked", "named", "known"),
    [
        ("GET", "/jobs?stat=failed", {}, "stat", "limit, cursor, kind, state"),
        ("GET", "/v1/tensor-trigger/jobs?stat=failed", {}, "stat", "limit, cursor, kind, state"),
        ("GET", "/jobs/j0?limit=3", {}, "limit", "none"),
        ("GET", "/jobs/j0/results?row=5", {}, "row", "first_row, rows, limit, cursor, escape_formulas"),
        ("GET", "/jobs/j0/rejects?row=5", {}, "row", "limit, cursor"),
        ("GET", "/jobs/j0/rejects?limit=5", {"headers": CSV}, "limit", "none"),
        ("GET", "/jobs/j0/log?level=error", {}, "level", "after, limit"),
        ("GET", "/models?owner=ann", {}, "owner", "name, state, alias, tag, author, format, engine, q, limit, cursor"),
        ("GET", "/runs?name=x", {}, "name", "limit, cursor, model, state"),
        ("POST", "/jobs?model=churn&keeep=id", {"headers": {"content-type": "text/csv"}}, "keeep", None),
        ("POST", "/jobs?priority=9", ROWS, "priority", "none"),
        ("POST", "/tensor/run/async?model=churn", {"json": {"input_data": ""}}, "model", "none"),
        ("POST", "/tensor/run?model=churn", {"json": {"input_vector": [1, 2, 3]}}, "model", "none"),
        ("POST", "/tensor/train?epochs=5", TRAIN, "epochs", "none"),
        ("PATCH", "/tensor/train?epochs=5", TRAIN, "epochs", "none"),
    ],
)  # fmt: skip
def test_a_parameter_that_is_not_there_is_refused_with_those_that_are(
    server: Any, method: str, path: str, asked: dict[str, Any], named: str, known: str | None
) -> None:
    answer = server.client.request(method, path, **asked)
    assert answer.status_code == 400, answer.text
    (error,) = answer.json()["errors"]
    assert (error["loc"], error["code"]) == ([named], "unknown_parameter")
    assert known is None or error["expected"] == known


def test_beside_a_json_body_it_is_said_where_the_option_goes(server: Any) -> None:
    message = server.client.post("/jobs?keep=id", **ROWS).json()["message"]
    assert message == "There is no parameter 'keep' beside a JSON body: make it a member of that."


@pytest.mark.parametrize(
    ("method", "path", "named"),
    [
        ("POST", "/jobs?model=churn/1&model=churn", "model"),
        ("POST", "/tensor/train?model=churn&epochs=5&epochs=6", "epochs"),
        ("GET", "/jobs?state=failed&state=queued", "state"),
        ("GET", "/models?tag=a:b&tag=c:d&limit=1&limit=2", "limit"),
    ],
)
def test_a_parameter_that_is_said_twice_is_refused_where_only_one_would_count(
    server: Any, method: str, path: str, named: str
) -> None:
    answer = server.client.request(method, path, headers={"content-type": "text/csv"})
    assert answer.status_code == 400, answer.text
    (error,) = answer.json()["errors"]
    assert (error["loc"], error["code"]) == ([named], "repeated_parameter")
    assert answer.json()["message"] == f"Parameter {named!r} is there 2 times: say it once."


def test_a_list_may_be_said_one_by_one(server: Any) -> None:
    assert server.client.get("/models?tag=a:b&tag=c:d&_=1&_=2").status_code == 200
    csv = {"headers": {"content-type": "text/csv"}, "content": b"a\n1\n"}
    for path in (
        "/jobs?model=absent&keep=id&keep=note",
        "/tensor/train?model=absent&labels=a&labels=b",
    ):
        assert server.client.post(path, **csv).status_code == 404, path
    assert server.client.get("/jobs/absent/partitions?state=claimed&state=failed").status_code == 404


def test_pages_of_rejects_are_told_to_be_of_json_alone(server: Any) -> None:
    message = server.client.get("/jobs/j0/rejects?limit=5", headers=CSV).json()["message"]
    assert message == "There is no parameter 'limit' where all rejects come as one file: pages are JSON."


def test_a_probe_may_ask_as_it_likes(server: Any) -> None:
    assert server.client.get("/health_check?from=balancer").status_code == 200
    assert server.client.get("/ready?1700000000").status_code == 200


@pytest.mark.parametrize("unique", ["1700000000123", "_=1700000000123"])
def test_what_clients_add_so_that_nothing_is_cached_is_no_misspelt_parameter(
    server: Any, unique: str
) -> None:
    assert server.client.get(f"/models?{unique}").status_code == 200
    assert server.client.get(f"/models?limit=3&{unique}").status_code == 200
    assert server.client.post(f"/jobs?{unique}", **ROWS).status_code == 404
    (error,) = server.client.get(f"/models?limitt=3&{unique}").json()["errors"]
    assert error["loc"] == ["limitt"]
