"""How requests reach the backend, and how failures come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tensortrigger_lab import errors
from tensortrigger_lab.client import Client
from tensortrigger_lab.config import Settings
from tensortrigger_lab.connection import Connection
from tensortrigger_lab.request import Request
from tensortrigger_lab.terms import Terms

GET = Request("GET", "/health")
KEY = {"Idempotency-Key": "k"}


class Time:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def connect(time: Time) -> Iterator[Callable[..., Connection]]:
    opened: list[Connection] = []

    def open_one(handler: Any, key: str | None = None) -> Connection:
        connection = Connection(
            Terms(Settings("http://127.0.0.1:8500", key), timeout=1.0, patience=10.0),
            transport=httpx.MockTransport(handler),
            clock=time.clock,
            sleep=time.sleep,
        )
        opened.append(connection)
        return connection

    yield open_one
    for connection in opened:
        connection.close()


def in_turn(*steps: httpx.Response | Exception) -> Callable[[httpx.Request], httpx.Response]:
    left = list(steps)

    def handler(request: httpx.Request) -> httpx.Response:
        request.read()
        step = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(step, Exception):
            raise step
        return httpx.Response(step.status_code, headers=step.headers, content=step.content)

    return handler


def test_the_key_travels_as_a_bearer_token(connect: Callable[..., Connection]) -> None:
    seen: list[str | None] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("Authorization"))
        return httpx.Response(200, json={})

    connect(handler, "tt_a_b").json(GET)
    connect(handler).json(GET)
    assert seen == ["Bearer tt_a_b", None]


def test_a_backend_that_is_still_starting_is_waited_for(
    connect: Callable[..., Connection], time: Time
) -> None:
    refused = httpx.ConnectError("refused")
    steps = [refused] * 20 + [httpx.Response(200, json={"status": "ok"})]
    assert connect(in_turn(*steps)).json(Request("POST", "/jobs")) == {"status": "ok"}
    assert 3.0 < time.now < 10.0


def test_patience_ends_after_ten_seconds_and_says_what_to_do(
    connect: Callable[..., Connection], time: Time
) -> None:
    with pytest.raises(errors.NotReachable, match="tt serve") as caught:
        connect(in_turn(httpx.ConnectError("refused"))).json(GET)
    assert 10.0 <= time.now < 11.0
    assert isinstance(caught.value, ConnectionError)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_backend_is_asked_again_when_it_says(
    connect: Callable[..., Connection], time: Time, status: int
) -> None:
    busy = httpx.Response(status, headers={"Retry-After": "3"}, json={})
    assert connect(in_turn(busy, busy, httpx.Response(200, json={"a": 1}))).json(GET) == {"a": 1}
    assert time.slept == [3.0, 3.0]


def test_a_request_that_must_not_be_repeated_is_not(
    connect: Callable[..., Connection], time: Time, shapes: Any
) -> None:
    busy = shapes.problem(503, "Starting.", **{"Retry-After": "3"})
    with pytest.raises(errors.Unavailable) as caught:
        connect(in_turn(busy, httpx.Response(200, json={}))).json(Request("POST", "/x"))
    assert (caught.value.retry_after, time.slept) == (3.0, [])


def test_a_backend_that_wants_minutes_is_not_slept_for(
    connect: Callable[..., Connection], time: Time, shapes: Any
) -> None:
    with pytest.raises(errors.Unavailable) as caught:
        connect(in_turn(shapes.problem(429, "Slow down.", **{"Retry-After": "300"}))).json(GET)
    assert (caught.value.retry_after, time.slept) == (300.0, [])


def test_a_busy_backend_is_not_asked_for_ever(
    connect: Callable[..., Connection], time: Time, shapes: Any
) -> None:
    with pytest.raises(errors.Unavailable, match="Busy"):
        connect(in_turn(shapes.problem(503, "Busy."))).json(GET)
    assert len(time.slept) > 3
    assert time.now <= 10.0


def test_a_date_to_come_back_at_is_kept(
    connect: Callable[..., Connection], time: Time, shapes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 1_000_000_000.0)
    busy = shapes.problem(429, "Slow down.", **{"Retry-After": "Sun, 09 Sep 2001 01:46:47 GMT"})
    assert connect(in_turn(busy, httpx.Response(200, json={}))).json(GET) == {}
    assert time.slept == [7.0]


def test_pauses_differ_from_client_to_client(connect: Callable[..., Connection], time: Time) -> None:
    for _ in range(2):
        time.now = 0.0
        connect(in_turn(*[httpx.Response(503, json={})] * 3, httpx.Response(200, json={}))).json(GET)
    assert len(set(time.slept)) == 6


@pytest.mark.parametrize(
    ("request_", "repeated"),
    [
        (Request("GET", "/models"), True),
        (Request("POST", "/models/new", {}, headers=KEY), True),
        (Request("POST", "/tensor/run", {}, idempotent=True), True),
        (Request("POST", "/runs/1/metrics", {}), False),
        (Request("DELETE", "/models/1"), False),
    ],
)
def test_only_what_is_safe_to_repeat_is_repeated(
    connect: Callable[..., Connection], request_: Request, repeated: bool
) -> None:
    handler = in_turn(httpx.ReadError("reset"), httpx.Response(200, json={"a": 1}))
    if repeated:
        assert connect(handler).json(request_) == {"a": 1}
    else:
        with pytest.raises(errors.NotReachable, match="broke"):
            connect(handler).json(request_)


def test_a_connection_that_the_server_closed_meanwhile_is_opened_anew(
    connect: Callable[..., Connection],
) -> None:
    dropped = httpx.RemoteProtocolError("Server disconnected")
    assert connect(in_turn(dropped, httpx.Response(200, json={"a": 1}))).json(GET) == {"a": 1}


def test_a_body_is_opened_anew_for_each_attempt(connect: Callable[..., Connection]) -> None:
    bodies: list[bytes] = []

    def handler(request: httpx.Request) -> httpx.Response:
        bodies.append(request.read())
        return httpx.Response(503 if len(bodies) == 1 else 200, json={})

    request = Request("POST", "/jobs", headers=KEY, body=lambda: iter([b"a,b\n", b"1,2\n"]))
    connect(handler).json(request)
    assert bodies == [b"a,b\n1,2\n"] * 2


def test_a_slow_backend_is_a_timeout_error(connect: Callable[..., Connection]) -> None:
    with pytest.raises(TimeoutError, match="longer than 1 s over GET /health"):
        connect(in_turn(httpx.ReadTimeout("slow"))).json(GET)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 502, 503, 504])
def test_every_status_becomes_its_error_with_the_servers_words(
    connect: Callable[..., Connection], shapes: Any, status: int
) -> None:
    fault = {
        "loc": ["age"],
        "code": "null",
        "message": "Field 'age' is null.",
        "expected": "INT",
        "got": "null",
    }
    with pytest.raises(errors.error_of(status)) as caught:
        connect(in_turn(shapes.problem(status, "It does not fit.", [fault]))).json(GET)
    error = caught.value
    assert error.status == status
    assert error.problem is not None
    assert error.problem.detail == "It does not fit."
    assert error.faults[0].loc == ("age",)
    assert "Field 'age' is null. (expected INT" in str(error)


def test_every_error_of_the_server_has_a_status() -> None:
    mapped = {*errors.ERROR_OF_STATUS.values(), errors.error_of(500)}
    family = {
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ApiError)
    }
    assert family - mapped == {errors.ApiError, errors.ModelRefused}


def test_the_error_tree_in_the_docstring_names_every_error() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert errors.__doc__ is not None
    assert all(kind.__name__ in errors.__doc__ for kind in kinds)


def test_a_missing_key_is_told_how_to_be_given(connect: Callable[..., Connection], shapes: Any) -> None:
    with pytest.raises(errors.Unauthenticated, match=r"tt.login"):
        connect(in_turn(shapes.problem(401, "No key."))).json(GET)


def test_a_web_page_is_not_taken_for_a_backend(connect: Callable[..., Connection]) -> None:
    with pytest.raises(errors.UnexpectedAnswer, match="check the URL"):
        connect(in_turn(httpx.Response(200, html="<h1>JupyterLab</h1>"))).json(GET)


def test_an_error_page_of_a_proxy_is_not_printed(connect: Callable[..., Connection]) -> None:
    with pytest.raises(errors.Unavailable) as caught:
        connect(in_turn(httpx.Response(502, html="<html>nginx</html>"))).json(GET)
    assert "nginx" not in str(caught.value)


def test_a_redirect_is_not_followed(connect: Callable[..., Connection]) -> None:
    with pytest.raises(errors.UnexpectedAnswer, match="redirects"):
        connect(in_turn(httpx.Response(302, headers={"Location": "http://elsewhere/"}))).json(GET)


@pytest.mark.parametrize("body", ['{"output": NaN}', '{"output": Infinity}', '{"a":', "[1]", "[" * 100_000])
def test_an_answer_that_is_not_strict_json_is_refused(connect: Callable[..., Connection], body: str) -> None:
    with pytest.raises(errors.UnexpectedAnswer):
        connect(in_turn(httpx.Response(200, content=body))).json(GET)


def test_nothing_that_json_cannot_say_is_sent(connect: Callable[..., Connection]) -> None:
    sent: list[httpx.Request] = []
    handler = lambda request: sent.append(request) or httpx.Response(200, json={})  # noqa: E731
    with pytest.raises(errors.BadInput):
        connect(handler).json(Request("POST", "/tensor/run", {"input_vector": [float("nan")]}))
    assert sent == []


def test_a_body_that_breaks_off_is_an_error_of_ours(connect: Callable[..., Connection]) -> None:
    def broken() -> Iterator[bytes]:
        yield b"row,output\n"
        raise httpx.ReadError("reset")

    connection = connect(lambda request: httpx.Response(200, content=broken()))
    with pytest.raises(errors.NotReachable, match="broke"), connection.stream(GET) as chunks:
        list(chunks)


def test_a_real_port_where_nothing_listens_is_not_reachable() -> None:
    with Client("http://127.0.0.1:9", patience=0.0) as client, pytest.raises(errors.NotReachable):
        client.health()
