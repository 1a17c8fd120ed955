"""A run's metrics in the browser: all of them, each once, in order, through every break."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise

import pytest
from jupyter_server.auth import AllowAllAuthorizer
from tornado.httpclient import HTTPClientError

from tensortrigger_server import sockets
from tensortrigger_server.run_feed import Persistence

RUN = "a" * 32


@pytest.fixture
def connect(request, run):
    """Opens the socket of a run; the server starts with it, so that a test can configure it before."""

    opened = []

    def open_socket(run_id: str = RUN, **options):
        fetch = request.getfixturevalue("jp_ws_fetch")
        opened.append(run(fetch("tensortrigger-lab", "api", "runs", run_id, "socket", **options)))
        return opened[-1]

    yield open_socket
    for socket in opened:
        socket.close()


@pytest.fixture
def read_all(run):
    """Reads frames until the server closes: the frames, and the close code."""

    def read(socket, seconds: float = 10.0):
        async def frames():
            found = []
            while (message := await socket.read_message()) is not None:
                found.append(json.loads(message))
            return found, socket.close_code

        return run(asyncio.wait_for(frames(), seconds))

    return read


def seqs(frames) -> list[int]:
    return [point["seq"] for frame in frames for point in frame["points"]]


def test_a_finished_run_is_told_whole_and_the_socket_closes(with_backend, backend, connect, read_all):
    backend.add_points(12_000)
    backend.run_state = "succeeded"
    frames, code = read_all(connect())
    assert code == 1000
    assert frames[0]["run"]["state"] == "succeeded"
    assert seqs(frames) == list(range(1, 12_001))
    assert frames[-1]["last_seq"] == 12_000
    assert max(len(frame["points"]) for frame in frames) <= sockets.FRAME_POINTS


def test_only_what_is_missing_is_told_again(with_backend, backend, connect, read_all):
    backend.add_points(100)
    backend.run_state = "failed"
    frames, _ = read_all(connect(params={"since": 40}))
    assert seqs(frames) == list(range(41, 101))
    frames, code = read_all(connect(params={"since": 100}))
    assert (seqs(frames), frames[0]["last_seq"], code) == ([], 100, 1000)
    assert frames[0]["run"]["state"] == "failed"


def test_points_that_come_quickly_travel_in_few_frames(with_backend, backend, connect, run):
    socket = connect()

    async def watch():
        frames, times = [], []

        async def produce():
            for _ in range(200):
                backend.add_points(3)
                await asyncio.sleep(0.005)
            backend.run_state = "succeeded"

        producing = asyncio.create_task(produce())
        while (message := await socket.read_message()) is not None:
            frames.append(json.loads(message))
            times.append(asyncio.get_running_loop().time())
        await producing
        return frames, times

    frames, times = run(asyncio.wait_for(watch(), 20))
    assert seqs(frames) == list(range(1, 601))
    assert frames[-1]["run"]["state"] == "succeeded"
    # A frame may arrive a little late and the next one in time, so a single gap says nothing.
    assert len(times) <= 10 * (times[-1] - times[0]) + 2


def test_a_stream_that_breaks_off_goes_on_without_a_gap_or_a_repeat(with_backend, backend, connect, read_all):
    backend.add_points(500)
    backend.run_state = "succeeded"
    backend.break_after = 90
    frames, code = read_all(connect(), 20)
    assert code == 1000
    assert seqs(frames) == list(range(1, 501))
    assert backend.streams == 6
    resumed = [seen.headers.get("Last-Event-Id") for seen in backend.seen if "runs" in seen.path]
    assert resumed == [None, *(str(seq) for seq in (90, 180, 270, 360, 450))]


def test_a_restart_of_the_backend_goes_unnoticed(with_backend, backend, connect, run, read_all):
    backend.add_points(5)
    socket = connect()
    first = json.loads(run(socket.read_message()))
    assert first["run"]["state"] == "running"

    async def restart():
        await backend.stop()
        await asyncio.sleep(0.3)
        backend.add_points(5)
        backend.run_state = "succeeded"
        await backend.start()

    run(restart())
    frames, code = read_all(socket)
    assert code == 1000
    assert seqs([first, *frames]) == list(range(1, 11))


def test_a_backend_that_is_away_closes_the_socket_with_its_own_code(
    with_backend, backend, connect, run, read_all
):
    run(backend.stop())
    assert read_all(connect()) == ([], 4503)


def test_a_backend_that_stays_away_is_given_up(with_backend, backend, connect, run, read_all, monkeypatch):
    brief = Persistence(first=0.01, longest=0.02, in_all=0.2)
    monkeypatch.setattr("tensortrigger_server.run_feed.Persistence", lambda: brief)
    socket = connect()
    run(socket.read_message())
    run(backend.stop())
    assert read_all(socket)[1] == 4503


@pytest.mark.parametrize(("run_id", "key", "code"), [("b" * 32, None, 4404), (RUN, "another", 4401)])
def test_why_there_is_nothing_to_see_is_told_by_the_close_code(
    with_backend, backend, connect, read_all, run_id, key, code
):
    backend.key = key or backend.key
    assert read_all(connect(run_id)) == ([], code)


def test_a_bad_place_to_begin_is_refused_before_the_handshake(with_backend, backend, connect):
    for since in ("-1", "x", "1.5", "9" * 20, "\u0663"):
        with pytest.raises(HTTPClientError) as refused:
            connect(params={"since": since})
        assert (since, refused.value.code) == (since, 400)
    assert backend.seen == []


@pytest.mark.parametrize("lenient", [False, True])
def test_a_stranger_is_refused_before_the_handshake(jp_server_config, backend, request, connect, lenient):
    jp_server_config["ServerApp"]["allow_unauthenticated_access"] = lenient
    request.getfixturevalue("with_backend")
    with pytest.raises(HTTPClientError) as refused:
        connect(headers={"Authorization": "token wrong"})
    assert refused.value.code == 403
    assert backend.seen == []


def test_another_sites_page_is_refused_before_the_handshake(
    with_backend, backend, connect, call, jp_http_port
):
    # A cookie belongs to the name under which it was given.
    host = {"Host": f"localhost:{jp_http_port}"}
    login = call("GET", "csv/scores", headers=host).headers.get_list("Set-Cookie")
    cookie = {"Authorization": "", "Cookie": "; ".join(line.partition(";")[0] for line in login)}
    with pytest.raises(HTTPClientError) as refused:
        connect(headers={**cookie, "Origin": "https://evil.example"})
    assert refused.value.code == 403
    assert backend.seen == []
    connect(headers={**cookie, "Origin": f"http://localhost:{jp_http_port}"})


def test_an_authorizer_that_refuses_is_heard(jp_server_config, backend, request, connect):
    class Refusing(AllowAllAuthorizer):
        def is_authorized(self, handler, user, action, resource):
            return resource != "tensortrigger"

    jp_server_config["ServerApp"]["authorizer_class"] = Refusing
    request.getfixturevalue("with_backend")
    with pytest.raises(HTTPClientError) as refused:
        connect()
    assert refused.value.code == 403
    assert backend.seen == []


def test_a_browser_that_leaves_ends_the_stream(with_backend, backend, connect, run, until):
    socket = connect()
    run(socket.read_message())
    assert len(with_backend._following) == 1
    socket.close()
    run(until(lambda: not with_backend._following))


def test_when_the_extension_stops_its_sockets_close(with_backend, backend, connect, run, read_all):
    socket = connect()
    run(socket.read_message())
    run(with_backend.stop_extension())
    assert read_all(socket)[1] == 1001


def test_frames_come_in_order_even_when_points_arrive_split_anywhere(
    with_backend, backend, connect, read_all
):
    whole = b"".join(
        [
            b'event: run\r\ndata: {"state": "succeeded", "note": "a\xe2\x80\xa8b"}\r\n\r\n',
            b": a comment\n\n",
            b'id: 1\nevent: metric\ndata: {"seq": 1,\ndata:  "metrics": {"loss": null}}\n\n',
            b"event: metric\ndata: no json\n\n",
            b'event: unknown\ndata: {"seq": 9}\n\n',
            b'id: 2\nevent: metric\ndata:{"seq": 2, "metrics": {}}\n\n',
            b'id: 2\nevent: metric\ndata: {"seq": 2, "metrics": {}}\n\n',
        ]
    )

    async def drip(route):
        route.set_header("Content-Type", "text/event-stream")
        for at in range(len(whole)):
            route.write(whole[at : at + 1])
            await route.flush()

    backend.replies["GET", f"/runs/{RUN}/metrics"] = drip
    frames, code = read_all(connect())
    assert (seqs(frames), code) == ([1, 2], 1000)
    assert frames[0]["run"]["note"] == "a\u2028b"
    assert all(a["last_seq"] <= b["last_seq"] for a, b in pairwise(frames))
