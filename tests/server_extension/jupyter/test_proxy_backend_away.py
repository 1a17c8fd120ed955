"""Where no backend answers, or not as it should, the browser is told so."""

from __future__ import annotations

import asyncio
import json

import pytest
from tornado import iostream

SECRET = "Kq7" * 14 + "x"


def test_while_the_backend_is_away_the_answer_says_so_and_it_works_again_once_it_is_back(
    with_backend, backend, call, run
):
    assert call("GET", "backend/models").code == 200
    run(backend.stop())
    for method, path, body in (
        ("GET", "backend/models", None),
        ("POST", "backend/tensor/run", "x" * 500_000),
        ("POST", "tickets", {"model": "churn"}),
    ):
        answer = call(method, path, body)
        problem = json.loads(answer.body)
        assert (answer.code, problem["code"]) == (503, "backend_away")
        assert problem["title"] == "Backend away"
        assert int(answer.headers["Retry-After"]) > 0
        assert backend.url in problem["message"]
    run(backend.start())
    assert call("GET", "backend/models").code == 200


def test_a_gateway_that_answers_in_the_backends_place_counts_as_away(with_backend, backend, call):
    async def gateway(route):
        route.set_status(502)
        route.finish("<html>Bad gateway</html>")

    backend.replies["GET", "/models"] = gateway
    answer = call("GET", "backend/models")
    assert (answer.code, json.loads(answer.body)["code"]) == (503, "backend_away")


@pytest.mark.parametrize("traits", [{"answer_timeout": 0.3}])
def test_a_backend_that_never_answers_is_given_up(with_backend, backend, call):
    async def never(route):
        await asyncio.sleep(30)

    backend.replies["GET", "/models"] = never
    answer = call("GET", "backend/models")
    assert answer.code == 503
    assert "in time" in json.loads(answer.body)["detail"]


def test_a_key_that_the_backend_refuses_does_not_look_like_the_browsers_own_login_ending(
    with_backend, backend, call
):
    backend.key = "another"
    answer = call("GET", "backend/models")
    problem = json.loads(answer.body)
    assert (answer.code, problem["code"]) == (502, "backend_refused_key")
    assert SECRET.encode() not in answer.body
    assert "unknown" in problem["detail"]


def test_a_browser_that_goes_away_ends_the_question_to_the_backend(with_backend, backend, call, run, until):
    ended = []

    async def endless(route):
        try:
            while True:
                route.write(b"x" * 10_000)
                await route.flush()
                await asyncio.sleep(0.01)
        except iostream.StreamClosedError:
            ended.append(True)

    backend.replies["GET", "/jobs/ab12/results"] = endless
    assert call("GET", "backend/jobs/ab12/results", request_timeout=0.5).code == 599
    run(until(lambda: ended))


@pytest.mark.parametrize("token", ["tt_0123_with space", "tt_0123_with\nbreak", "tt_0123_nön-ascii-key"])
def test_a_key_that_no_header_can_hold_is_told_without_showing_it(
    backend, jp_server_config, request, call, token, log_text
):
    jp_server_config["TensorTriggerApp"] |= {"backend_url": backend.url, "token": token}
    request.getfixturevalue("extension")
    answer = call("GET", "backend/models")
    assert json.loads(answer.body)["code"] == "backend_refused_key"
    written = [line for line in log_text().splitlines() if not line.startswith("Config changed")]
    assert "_0123_" not in answer.body.decode() + "\n".join(written)


@pytest.mark.parametrize("traits", [{"embedded_backend": False}])
def test_with_no_backend_at_all_every_route_says_what_to_set(extension, call):
    for method, path in (("GET", "backend/models"), ("POST", "tickets")):
        answer = call(method, path, {"model": "churn"} if method == "POST" else None)
        assert answer.code == 503
        assert "TensorTriggerApp.backend_url" in json.loads(answer.body)["detail"]


def test_the_first_question_waits_for_an_embedded_backend_that_is_still_starting(
    jp_server_config, stand_in, request, call
):
    jp_server_config["TensorTriggerApp"]["backend_command"] = [*stand_in, "--slow-start", "0.7"]
    request.getfixturevalue("extension")
    answer = call("GET", "backend/models")
    assert (answer.code, json.loads(answer.body)["message"]) == (200, "Service running")


def test_an_embedded_backend_that_cannot_start_is_told_at_once_with_its_reason(
    jp_server_config, request, call, run, until
):
    jp_server_config["TensorTriggerApp"]["backend_command"] = ["/no/such/python"]
    extension = request.getfixturevalue("extension")
    run(until(lambda: extension._embedded.gave_up))
    answer = call("GET", "backend/models")
    assert answer.code == 503
    assert "/no/such/python" in json.loads(answer.body)["detail"]
