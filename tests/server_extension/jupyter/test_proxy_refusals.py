"""What a browser may not ask of the backend is refused here, and not a byte of it is sent."""

from __future__ import annotations

import asyncio
import json
from itertools import product

import pytest
from jupyter_server.auth import AllowAllAuthorizer

from tensortrigger_server.allow_list import ALLOWED, is_allowed

MODEL = "models/" + "0" * 32


# All that labextension/src asks.
ASKED = (
    ("GET", "models"),
    ("GET", MODEL),
    ("GET", MODEL + "/receipt"),
    ("DELETE", MODEL),
    ("GET", "models/by-name/churn.v2/aliases"),
    ("PUT", "models/by-name/churn/aliases/production"),
    ("POST", "models/by-name/churn/aliases/production/rollback"),
    ("GET", "models/by-name/churn/aliases/production/history"),
    ("DELETE", "models/by-name/churn/aliases/production"),
    ("POST", "tensor/run"),
    ("GET", "jobs"),
    ("GET", "jobs/ab12"),
    ("GET", "jobs/ab12/partitions"),
    ("GET", "jobs/ab12/log"),
    ("GET", "jobs/ab12/rejects"),
    ("GET", "jobs/ab12/results"),
    ("POST", "jobs/ab12/cancel"),
    ("POST", "jobs/ab12/retry"),
    ("DELETE", "jobs/ab12"),
    ("GET", "runs"),
    ("GET", "runs/ab12"),
    ("GET", "runs/ab12/metrics"),
    ("DELETE", "runs/ab12"),
)


@pytest.mark.parametrize(("method", "path"), ASKED)
def test_the_list_names_what_the_pages_need(method, path):
    assert is_allowed(method, path)


def test_the_list_names_nothing_else():
    for method, pattern in ALLOWED:
        assert any(method == verb and pattern.fullmatch(path) for verb, path in ASKED), (method, pattern)


NOT_ON_THE_LIST = (
    ("POST", "models/new"),
    ("POST", "tickets"),
    ("POST", "runs"),
    ("POST", "runs/ab12/metrics"),
    ("POST", "jobs"),
    # What the backend has and no page asks for.
    ("GET", "health"),
    ("GET", "models/ab12/schema"),
    ("PATCH", "models/ab12"),
    ("GET", "models/by-name/churn"),
    ("POST", "models/by-name/churn/rollback"),
    ("POST", "tensor/run/batch"),
    ("PATCH", "tensor/train"),
    ("GET", "jobs/ab12/metrics"),
    ("GET", "jobs/ab12/content"),
    ("GET", "jobs/webhook_secret"),
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
    asked = [("GET", "models"), ("POST", "tensor/run"), ("DELETE", "jobs/ab12")]
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
    ("DELETE", "backend/jobs/ab12"),
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
            ("DELETE", "backend/jobs/ab12"),
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
