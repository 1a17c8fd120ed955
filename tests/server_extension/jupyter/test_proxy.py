"""The browser's way to the backend: what passes, what does not, and what nobody ever sees."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from itertools import product

import pytest
from jupyter_server.auth import AllowAllAuthorizer
from tornado import iostream

from tensortrigger_server.allow_list import is_allowed

MODEL = "backend/models/" + "0" * 32
SECRET = "Kq7" * 14 + "x"


def test_a_listed_path_reaches_the_backend_with_its_query_and_the_key(
    with_backend, backend, call, jp_serverapp
):
    token = jp_serverapp.identity_provider.token
    answer = call(
        "GET",
        f"backend/models?limit=2&cursor=a%2Fb&token={token}&_xsrf=jupyters",
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


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "models/new"),
        ("GET", MODEL.removeprefix("backend/") + "/schema"),
        ("DELETE", MODEL.removeprefix("backend/")),
        ("GET", "models/by-name/churn.v2/versions/3"),
        ("PUT", "models/by-name/churn/aliases/production"),
        ("POST", "models/by-name/churn/rollback"),
        ("GET", "models/by-name/churn/history"),
        ("POST", "tensor/run"),
        ("POST", "tensor/run/batch"),
        ("PATCH", "tensor/train"),
        ("GET", "jobs/ab12/results"),
        ("POST", "jobs/ab12/cancel"),
        ("GET", "runs/ab12/metrics"),
        ("DELETE", "runs/ab12"),
        ("GET", "health"),
    ],
)
def test_the_list_names_what_the_pages_need(method, path):
    assert is_allowed(method, path)


NOT_ON_THE_LIST = (
    ("POST", "models/new"),
    ("POST", "tickets"),
    ("POST", "runs"),
    ("POST", "runs/ab12/metrics"),
    ("POST", "jobs"),
    ("GET", "metrics"),
    ("GET", "docs"),
    ("GET", "openapi.json"),
    ("GET", "models/ab12/content"),
    ("GET", "models/ab12/servable"),
    ("GET", "tensor/run"),
    ("PUT", "jobs"),
    ("GET", ""),
    ("GET", "/models"),
    ("GET", "//evil.example/models"),
    ("GET", "http://evil.example/models"),
    ("GET", "http:%2f%2fevil.example/models"),
    ("GET", "models/../metrics"),
    ("GET", "models/%2e%2e/metrics"),
    ("GET", "models/%252e%252e/metrics"),
    ("GET", "models/..%2fmetrics"),
    ("GET", "models/..\\metrics"),
    ("GET", "models/%5c..%5cmetrics"),
    ("GET", "models/by-name/..;/metrics"),
    ("GET", "models/by-name/.."),
    ("GET", "models%2fab12"),
    ("GET", "models/ab12/"),
    ("GET", "models/ab12%00"),
    ("GET", "models/ab12%0d%0aX:1"),
    ("GET", "jobs/ab12/results/"),
    ("GET", "mode%6cs"),
    ("GET", "models/\u0130"),
    ("GET", "models/" + "a" * 65),
    ("GET", "@evil.example/models"),
)


def test_whatever_else_is_asked_is_refused_and_never_sent(with_backend, backend, call):
    let_through = []
    for method, path in NOT_ON_THE_LIST:
        # As it stands on the wire; only what is no ASCII cannot stand there.
        answer = call(method, "backend/" + path.replace("\u0130", "%C4%B0"))
        refusal = (answer.code, json.loads(answer.body)["code"], answer.headers["Content-Type"])
        if is_allowed(method, path) or refusal != (404, "not_on_the_list", "application/problem+json"):
            let_through.append((method, path, refusal))
    assert let_through == []
    assert backend.seen == []


@pytest.mark.parametrize("lenient", [False, True])
def test_without_jupyters_token_nothing_is_sent(backend, jp_server_config, request, call, lenient):
    # Jupyter's own default lets strangers come as far as the handler.
    jp_server_config["ServerApp"]["allow_unauthenticated_access"] = lenient
    request.getfixturevalue("with_backend")
    asked = [("GET", "models"), ("POST", "tensor/run"), ("PATCH", "tensor/train")]
    for (method, path), presented in product(asked, ("", "token wrong")):
        answer = call(method, f"backend/{path}", headers={"Authorization": presented})
        assert (method, presented, answer.code) == (method, presented, 403)
    assert backend.seen == []


def test_not_a_byte_of_a_refused_body_is_passed_on_while_it_still_comes_in(
    backend, jp_server_config, request, call
):
    class Refusing(AllowAllAuthorizer):
        def is_authorized(self, handler, user, action, resource):
            return resource != "tensortrigger"

    jp_server_config["ServerApp"]["authorizer_class"] = Refusing
    request.getfixturevalue("with_backend")
    connections = []
    backend.on_request = connections.append

    async def slowly(write):
        for _ in range(5):
            await write(b"x" * 1000)
            await asyncio.sleep(0.1)

    answer = call("POST", "backend/tensor/run", body_producer=slowly)
    assert answer.code in (403, 599)  # it may be closed before the body has come
    assert connections == []


CHANGES_SOMETHING = (
    ("POST", "backend/tensor/run"),
    ("PUT", "backend/models/by-name/churn/aliases/live"),
    ("PATCH", "backend/tensor/train"),
    ("DELETE", "backend/runs/ab12"),
    ("POST", "tickets"),
    ("POST", "csv/preview"),
    ("POST", "csv/scores"),
    ("DELETE", "csv/scores/" + "0" * 32),
)


def test_a_request_with_the_browsers_cookie_alone_is_refused_as_forged(with_backend, backend, call):
    login = call("GET", "status")
    cookies = "; ".join(cookie.partition(";")[0] for cookie in login.headers.get_list("Set-Cookie"))
    assert "username" in cookies
    cookie = {"Authorization": "", "Cookie": cookies}
    assert call("GET", "status", headers=cookie).code == 200
    token = "2|" + "0" * 8 + "|" + "0" * 32 + "|1"
    own = {**cookie, "Cookie": f"{cookie['Cookie']}; _xsrf={token}", "X-XSRFToken": token}
    for method, path in CHANGES_SOMETHING:
        before = len(backend.seen)
        forged = call(method, path, headers=cookie)
        assert (method, path, forged.code) == (method, path, 403)
        assert b"_xsrf" in forged.body
        assert len(backend.seen) == before
        assert call(method, path, headers=own).code not in (401, 403), (method, path)


@pytest.mark.parametrize("refused", ["read", "write"])
def test_an_authorizer_that_refuses_is_heard_on_every_verb(backend, jp_server_config, request, call, refused):
    class Refusing(AllowAllAuthorizer):
        def is_authorized(self, handler, user, action, resource):
            return (action, resource) != (refused, "tensortrigger")

    jp_server_config["ServerApp"]["authorizer_class"] = Refusing
    request.getfixturevalue("with_backend")
    routes = {
        "read": [("GET", "status"), ("GET", "backend/models"), ("GET", "csv/scores"), ("GET", "nothing")],
        "write": [
            ("POST", "backend/tensor/run"),
            ("PUT", "backend/models/by-name/churn/aliases/live"),
            ("PATCH", "backend/tensor/train"),
            ("DELETE", "backend/runs/ab12"),
            ("POST", "tickets"),
            ("POST", "csv/preview"),
            ("POST", "csv/scores"),
            ("DELETE", "csv/scores/" + "0" * 32),
        ],
    }
    # Twice, and reading before writing: what was allowed first must not decide about what comes after.
    for _ in range(2):
        for action in ("read", "write"):
            codes = {(verb, path): call(verb, path).code for verb, path in routes[action]}
            if action == refused:
                assert set(codes.values()) == {403}, codes
            else:
                assert 403 not in codes.values(), codes
    if refused == "write":
        assert {seen.method for seen in backend.seen} == {"GET"}


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

    call("PATCH", "backend/tensor/train", body_producer=produce, body=None)
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

    backend.replies["PATCH", "/tensor/train"] = created
    answer = call("PATCH", "backend/tensor/train", {"model": "churn"})
    assert answer.code == 201
    assert answer.headers["Location"] == f"{jp_base_url}tensortrigger-lab/api/backend/jobs/ab12"


@pytest.mark.parametrize("foreign", ["//evil.example/x", "https://evil.example/x", "javascript:alert(1)"])
def test_a_location_that_leads_elsewhere_is_dropped(with_backend, backend, call, foreign):
    async def created(route):
        route.set_status(201)
        route.set_header("Location", foreign)

    backend.replies["PATCH", "/tensor/train"] = created
    assert "Location" not in call("PATCH", "backend/tensor/train", {}).headers


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
    answer = call("GET", "backend/health")
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


def test_asking_through_the_proxy_does_not_count_as_activity(with_backend, jp_serverapp, call):
    before = jp_serverapp.web_app.settings.get("api_last_activity")
    assert call("GET", "backend/models").code == 200
    assert call("GET", "csv/scores").code == 200
    assert jp_serverapp.web_app.settings.get("api_last_activity") == before


def test_a_path_that_is_no_route_is_answered_as_data_not_as_a_page(with_backend, call):
    answer = call("GET", "no/such/route")
    assert (answer.code, json.loads(answer.body)["code"]) == (404, "not_found")
