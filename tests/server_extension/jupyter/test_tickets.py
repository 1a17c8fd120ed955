"""Tickets: what a kernel gets instead of a key."""

from __future__ import annotations

import json


def test_a_ticket_comes_with_the_url_that_kernels_use(with_backend, backend, call):
    answer = call("POST", "tickets", {"model": "churn"})
    assert answer.code == 201
    assert json.loads(answer.body) == {"ticket": "tk_a_b", "url": backend.url, "expires_in": 300}
    assert answer.headers["Cache-Control"] == "no-store"
    (seen,) = backend.seen
    assert (seen.method, seen.path) == ("POST", "/tickets")
    assert json.loads(seen.body) == {"model": "churn", "expires_in": 300}


def test_a_body_that_is_no_order_for_a_ticket_is_refused(with_backend, backend, call):
    members = ['{"model": 3}', '{"model": ""}', '{"model": "a", "expires_in": 9e9}']
    for body in ["", "[]", "{", "null", *members, "[" * 9999]:
        answer = call("POST", "tickets", body)
        assert (body, answer.code, json.loads(answer.body)["code"]) == (body, 400, "bad_body")
    assert backend.seen == []


def test_what_the_backend_finds_wrong_is_passed_on(with_backend, backend, call):
    async def refuse(route):
        route.set_status(400)
        route.finish({"detail": "'Churn!' is no name.", "errors": [{"loc": ["model"]}]})

    backend.replies["POST", "/tickets"] = refuse
    answer = call("POST", "tickets", {"model": "Churn!"})
    problem = json.loads(answer.body)
    assert (answer.code, problem["message"]) == (400, "'Churn!' is no name.")
    assert problem["errors"] == [{"loc": ["model"]}]
