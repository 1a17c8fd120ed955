"""The browser's way to the backend: what passes on it, there and back, and what nobody ever sees."""

from __future__ import annotations

import asyncio
import gzip
import json
import os

import pytest

SECRET = "Kq7" * 14 + "x"


def test_a_listed_path_reaches_the_backend_with_its_query_and_the_key(
    with_backend, backend, call, jp_serverapp
):
    token = jp_serverapp.identity_provider.token
    answer = call(
        "GET",
        f"backend/models?limit=2&cursor=a%2Fb&token={token}&_xsrf=jupyters&1700000000000",
        headers={"Authorization": ""},
    )
    assert answer.code == 200
    (seen,) = backend.seen
    assert (seen.method, seen.path, seen.query) == ("GET", "/models", "limit=2&cursor=a%2Fb")
    assert seen.headers["Authorization"] == f"Bearer {backend.key}"
    assert answer.headers["X-TensorTrigger-Version"] == "0.1.0"


def test_what_belongs_to_jupyter_or_to_proxies_stays_here_on_both_ways(with_backend, backend, call):
    sent = {
        "Cookie": "jupyter=1",
        "X-XSRFToken": "1",
        "X-Forwarded-For": "10.0.0.1",
        "Forwarded": "for=10.0.0.1",
        "X-API-Key": "mine",
        "X-Authenticated-Userid": "root",
        "Accept": "text/csv",
    }
    answer = call("GET", "backend/models", headers=sent)
    (seen,) = backend.seen
    assert seen.headers["Accept"] == "text/csv"
    assert not {name.lower() for name in sent if name != "Accept"} & {name.lower() for name in seen.headers}
    assert seen.headers["Host"] == f"127.0.0.1:{backend.port}"
    assert not [cookie for cookie in answer.headers.get_list("Set-Cookie") if cookie.startswith("backend")]
    assert "X-Leak" not in answer.headers
    call("GET", "backend/models")
    assert (
        "Cookie" not in backend.seen[-1].headers
    )  # the backend's own is not kept for the next caller either


@pytest.mark.parametrize("size", [0, 10, 3_000_000])
def test_a_body_of_any_size_arrives_as_it_was(with_backend, backend, call, size):
    body = os.urandom(size)
    answer = call("POST", "backend/tensor/run", body=body, headers={"Content-Type": "text/x"})
    assert answer.code == 200
    assert backend.seen[-1].body == body
    assert backend.seen[-1].headers["Content-Length"] == str(size)
    assert backend.seen[-1].headers["Content-Type"] == "text/x"


def test_a_body_without_a_length_is_streamed_too(with_backend, backend, call):
    async def produce(write):
        for _ in range(50):
            await write(b"x" * 10_000)
            await asyncio.sleep(0)

    call("POST", "backend/tensor/run", body_producer=produce, body=None)
    assert backend.seen[-1].body == b"x" * 500_000


def test_a_large_answer_passes_through_while_it_is_still_being_made(with_backend, backend, call, run):
    block, count = b"0123456789" * 10_000, 300
    arrived: list[int] = []
    ahead: list[int] = []

    async def produce(route):
        route.set_header("Content-Type", "text/csv")
        for number in range(count):
            route.write(block)
            await route.flush()
            ahead.append(number * len(block) - sum(arrived))

    backend.replies["GET", "/jobs/ab12/results"] = produce
    answer = call(
        "GET", "backend/jobs/ab12/results", streaming_callback=lambda data: arrived.append(len(data))
    )
    assert answer.code == 200
    assert answer.headers["Content-Type"] == "text/csv"
    assert sum(arrived) == count * len(block)
    # Never held as a whole on the way: what was sent and has not arrived fits some buffers.
    assert max(ahead) < sum(arrived) / 3


def test_an_answer_that_breaks_off_does_not_pass_for_a_whole_one(with_backend, backend, call, log_text):
    async def half(route):
        route.write(b"x" * 100_000)
        await route.flush()
        route.detach().close()

    backend.replies["GET", "/jobs/ab12/results"] = half
    answer = call("GET", "backend/jobs/ab12/results")
    assert answer.code == 599
    assert "broke off its answer" in log_text()


def test_an_answer_that_comes_compressed_all_the_same_is_unpacked_and_looked_through(
    with_backend, backend, call
):
    async def compressed(route):
        assert route.request.headers["Accept-Encoding"] == "identity"
        body = gzip.compress(f"x,{backend.key}".encode())
        route.set_header("Content-Type", "text/csv")
        route.set_header("Content-Encoding", "gzip")
        route.set_header("Content-Length", str(len(body)))
        route.finish(body)

    backend.replies["GET", "/jobs/ab12/results"] = compressed
    answer = call("GET", "backend/jobs/ab12/results")
    assert answer.body == b"x,tt_0123456789ab_" + b"*" * len(SECRET)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_neither_followed_nor_passed_on(with_backend, backend, call, status):
    async def elsewhere(route):
        route.set_status(status)
        route.set_header("Location", f"{backend.url}/metrics?secret={SECRET}")

    backend.replies["GET", "/models"] = elsewhere
    answer = call("GET", "backend/models")
    assert (answer.code, json.loads(answer.body)["code"]) == (502, "backend_redirects")
    assert "Location" not in answer.headers
    assert len(backend.seen) == 1


@pytest.mark.parametrize("own", ["/jobs/ab12", "URL/jobs/ab12"])
def test_a_location_leads_back_through_this_server(with_backend, backend, call, jp_base_url, own):
    async def created(route):
        route.set_status(201)
        route.set_header("Location", own.replace("URL", backend.url))
        route.finish({"job_id": "ab12"})

    backend.replies["POST", "/tensor/run"] = created
    answer = call("POST", "backend/tensor/run", {"model": "churn"})
    assert answer.code == 201
    assert answer.headers["Location"] == f"{jp_base_url}tensortrigger-lab/api/backend/jobs/ab12"


@pytest.mark.parametrize("foreign", ["//evil.example/x", "https://evil.example/x", "javascript:alert(1)"])
def test_a_location_that_leads_elsewhere_is_dropped(with_backend, backend, call, foreign):
    async def created(route):
        route.set_status(201)
        route.set_header("Location", foreign)

    backend.replies["POST", "/tensor/run"] = created
    assert "Location" not in call("POST", "backend/tensor/run", {}).headers


def test_the_backends_own_errors_and_empty_answers_pass_unchanged(with_backend, backend, call):
    problem = json.dumps({"status": 429, "detail": "Slow down."}).encode()

    async def busy(route):
        route.set_status(429)
        route.set_header("Retry-After", "7")
        route.set_header("Content-Type", "application/problem+json")
        route.finish(problem)

    async def nothing(route):
        route.set_status(204)

    backend.replies |= {("GET", "/models"): busy, ("DELETE", "/runs/ab12"): nothing}
    answer = call("GET", "backend/models")
    assert (answer.code, answer.body) == (429, problem)
    assert answer.headers["Retry-After"] == "7"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert call("DELETE", "backend/runs/ab12").code == 204


def test_asking_through_the_proxy_does_not_count_as_activity(with_backend, jp_serverapp, call):
    before = jp_serverapp.web_app.settings.get("api_last_activity")
    assert call("GET", "backend/models").code == 200
    assert call("GET", "csv/scores").code == 200
    assert jp_serverapp.web_app.settings.get("api_last_activity") == before


def test_a_path_that_is_no_route_is_answered_as_data_not_as_a_page(with_backend, call):
    answer = call("GET", "no/such/route")
    assert (answer.code, json.loads(answer.body)["code"]) == (404, "not_found")
