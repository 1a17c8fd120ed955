"""Every byte of every route, looked through for the key; the backend does its best to give it away."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from tensortrigger_server.redaction import Blotter, redact


def routes() -> list[tuple[str, str, dict | None]]:
    """One request for each route and verb, and some that fail."""
    file = {"path": "x.csv", "model": "adder"}
    return [
        ("GET", "status", None),
        ("GET", "backend/jobs", None),
        ("GET", "backend/models", None),
        ("GET", "backend/models/ab12/receipt", None),
        ("DELETE", "backend/models/ab12", None),
        ("PUT", "backend/models/by-name/churn/aliases/live", {}),
        ("POST", "backend/tensor/run", {"model": "churn"}),
        ("DELETE", "backend/jobs/ab12", None),
        ("GET", "backend/runs/ab12/metrics", None),
        ("GET", "backend/not/listed", None),
        ("POST", "tickets", {"model": "churn"}),
        ("POST", "tickets", {}),
        ("POST", "csv/preview", {"path": "x.csv"}),
        ("POST", "csv/preview", {"path": "../x.csv"}),
        ("POST", "csv/scores", file),
        ("GET", "csv/scores", None),
        ("GET", "csv/scores/" + "0" * 32, None),
        ("GET", "nothing", None),
    ]


@pytest.fixture
def sweep(call, run, jp_root_dir, jp_ws_fetch):
    """All that a browser can get to see, as one text."""

    def everything() -> str:
        (jp_root_dir / "x.csv").write_text("a,b\n1,2\n")
        seen = []
        for method, path, body in routes():
            answer = call(method, path, body)
            assert answer.code not in (403, 405, 599), (method, path)
            seen.append(f"{answer.code} {answer.reason} {list(answer.headers.get_all())} {answer.body!r}")

        async def frames():
            for run_id in ("a" * 32, "b" * 32):
                socket = await jp_ws_fetch("tensortrigger-lab", "api", "runs", run_id, "socket")
                seen.append(repr(list(socket.headers.get_all())))
                while (message := await socket.read_message()) is not None:
                    seen.append(message)
                seen.append(f"{socket.close_code} {socket.close_reason}")
                socket.close()

        run(asyncio.wait_for(frames(), 10))
        for _ in range(100):
            scores = call("GET", "csv/scores").body
            if all(score["finished"] for score in json.loads(scores)["scores"]):
                break
            run(asyncio.sleep(0.02))
        seen.append(scores.decode())
        seen.extend(path.read_text() for path in jp_root_dir.iterdir() if path.is_file())
        return "\n".join(seen)

    return everything


@pytest.mark.parametrize("state", ["well", "refuses the key", "echoes it in errors", "redirects", "away"])
def test_whatever_happens_the_browser_and_the_log_never_see_the_key(
    with_backend, backend, sweep, caplog, state, run
):
    caplog.set_level(logging.INFO)
    with_backend.log.setLevel(logging.INFO)
    caplog.clear()
    secret = backend.key.split("_", 2)[2]
    backend.points.append({"seq": 1, "kind": "batch", "metrics": {}, "note": f"Bearer {backend.key}"})
    backend.run_state = "failed"

    async def leak(route):
        route.set_status(500 if state == "echoes it in errors" else 307)
        for name in ("Location", "ETag", "Link", "Retry-After", "Content-Type", "Content-Disposition"):
            route.set_header(name, f"{backend.url}/{secret}")
        detail = {"detail": f"Wrong: {backend.key}", "errors": [{"message": backend.key}]}
        route.finish(json.dumps(detail))

    if state in ("echoes it in errors", "redirects"):
        backend.replies = _AllBut("/health_check", leak)
    elif state == "refuses the key":
        backend.key = "another key altogether"
    elif state == "away":
        run(backend.stop())
    seen = sweep()
    logged = "\n".join(record.getMessage() + (record.exc_text or "") for record in caplog.records)
    assert secret not in seen
    assert secret not in logged
    assert secret[:20] not in seen + logged
    if state == "well":
        # It was there to be seen: what came through carries its blots.
        assert seen.count("*" * len(secret)) >= 8
        assert all(f"Bearer tt_0123456789ab_{'*' * len(secret)}" in part for part in [seen])


class _AllBut(dict):
    """One reply for every route but one."""

    def __init__(self, path, reply):
        super().__init__()
        self._path, self._reply = path, reply

    def get(self, key, default=None):
        return default if key[1] == self._path else self._reply


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_key_that_spans_two_blocks_is_found_and_the_length_stays(cut):
    key = "tt_0123456789ab_" + "aab" * 14 + "x"
    text = b"..aabaab" + key.encode() + b"aab.." + key.encode()[:-1]
    blotter = Blotter(key)
    shown = blotter.feed(text[:cut]) + blotter.feed(text[cut:]) + blotter.rest()
    assert len(shown) == len(text)
    assert shown == text.replace(b"aab" * 14 + b"x", b"*" * 43)


def test_what_cannot_be_the_key_is_never_held_back():
    blotter = Blotter("tt_0123456789ab_" + "k" * 43)
    assert blotter.feed(b"any other text") == b"any other text"
    assert blotter.rest() == b""


def test_a_key_of_another_form_is_blotted_out_whole_and_a_trifle_is_left():
    assert redact("Bearer hunter2hunter2!", "hunter2hunter2") == "Bearer **************!"
    assert redact("a b c", "a") == "a b c"
    assert redact("nothing", "") == "nothing"
