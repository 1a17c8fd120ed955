"""The processes that answer requests are replaced one after another, under load: no request fails."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from chaos.checker import Upload
from chaos.conftest import times
from chaos.deployment import Deployment, Process
from chaos.model import answers

from tensortrigger_backend.api.native_run import RUN, RUN_BATCH

CALLERS = 3
LINGER = 3.0
"""Seconds for which a process that is to leave still answers."""
FRESH = 1.0
"""Seconds for which a process that was ready is taken to be: much less than it lingers."""
PATIENCE = 30.0
HOT = (RUN, RUN_BATCH)
"""They are asked on connections that are kept, as the hot lane is made for; all else each time on a new one."""


@dataclass(frozen=True)
class Request:
    """What is asked.

    Attributes:
        options: of httpx.
        output: what must be answered to a run.
    """

    method: str
    path: str
    options: Mapping[str, Any] = field(default_factory=dict)
    output: object = None

    def told(self, client: httpx.Client, url: str) -> str:
        """The status, and more where that is not all that was to be heard."""
        answer = client.request(self.method, f"{url}{self.path}", **self.options)
        if not answer.is_success:
            return f"{answer.status_code}: {answer.text}"
        if self.output is not None and answer.json()["output"] != self.output:
            return f"wrong: {answer.text}"
        return str(answer.status_code)


def requests_of(number: int, model_id: str) -> list[Request]:
    """Those of one caller; no two get the same answers."""
    small = Upload(rows=40, seed=number)
    vector = small.inputs[number].tolist()
    output = {"y": answers(small.inputs[[number]]).tolist(), "x0_out": [float(number)]}
    rows = {
        "params": {"model_id": model_id},
        "content": small.body,
        "headers": {"Content-Type": "text/csv"},
    }
    return [
        Request("GET", "/health_check"),
        Request("POST", RUN, {"json": {"model_id": model_id, "input_vector": vector}}, output),
        Request("GET", "/jobs"),
        Request(
            "POST", RUN_BATCH, {"json": {"model_id": model_id, "input_vectors": [vector] * 3}}, [output] * 3
        ),
        Request("POST", "/jobs", rows),
    ]


class Balancer:
    """Sends each request to the next process that says it is ready, as any proxy before them does.

    Attributes:
        apis: all that were started; each is asked ten times a second whether it is ready.
        seen: when that was last asked of those that were, by URL.
    """

    def __init__(self, apis: list[Process], model_id: str) -> None:
        self.apis = apis
        self.seen: dict[str, float] = {}
        self.model_id = model_id
        self.over = threading.Event()
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self._lock = threading.Lock()

    def look(self) -> None:
        """Ask who is ready until it is over."""
        with httpx.Client(timeout=5.0, trust_env=False) as client:
            while not self.over.wait(0.1):
                for api in list(self.apis):
                    asked = time.monotonic()
                    if is_ready(client, api.url):
                        self.seen[api.url] = asked
                    else:
                        self.seen.pop(api.url, None)

    @property
    def ready(self) -> list[str]:
        """Those of whom it is known; a machine that is busy with other things may have kept us from asking."""
        since = time.monotonic() - FRESH
        return [url for url, asked in list(self.seen.items()) if asked > since]

    def call(self, number: int) -> None:
        """Ask until it is over."""
        with contextlib.ExitStack() as stack:
            kept = defaultdict[str, httpx.Client](lambda: stack.enter_context(client_of_its_own()))
            requests, turn = requests_of(number, self.model_id), number
            while not self.over.is_set():
                turn += 1
                request = requests[turn % len(requests)]
                told = self._ask(request, turn, kept)
                with self._lock:
                    self.answers[f"{request.path}: {told}"] += 1
                    if not told.startswith("2"):
                        self.failures.append(f"{request.method} {request.path}: {told}")
                time.sleep(0.05)

    def _ask(self, request: Request, turn: int, kept: Mapping[str, httpx.Client]) -> str:
        until = time.monotonic() + PATIENCE
        while not (ready := self.ready) and time.monotonic() < until:
            time.sleep(0.05)
        for place in range(len(ready)):
            url = ready[(turn + place) % len(ready)]
            try:
                if request.path in HOT:
                    return request.told(kept[url], url)
                with client_of_its_own() as client:
                    return request.told(client, url)
            except httpx.ConnectError:
                continue
            except httpx.TransportError as error:
                return f"{type(error).__name__}: {error}"
        return "nobody took the connection"


def client_of_its_own() -> httpx.Client:
    return httpx.Client(timeout=30.0, trust_env=False, verify=False)


def is_ready(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(f"{url}/ready").is_success
    except httpx.TransportError:
        return False


def leave(api: Process, requests: list[Request]) -> None:
    """Let it end; whoever has a connection to it and has not heard of that yet is answered meanwhile."""
    runs = [request for request in requests if request.path in HOT]
    with client_of_its_own() as client:
        told = [run.told(client, api.url) for run in runs]
        api.send(signal.SIGTERM)
        until = time.monotonic() + LINGER / 2
        while time.monotonic() < until:
            told += [run.told(client, api.url) for run in runs]
            time.sleep(0.05)
    assert set(told) == {"200"}
    assert api.child.wait(40.0) == 0


def test_no_request_fails_while_processes_are_replaced(
    deployment: Deployment, tell: Callable[[str], None]
) -> None:
    def started() -> Process:
        return deployment.start("api", "--port", "0", TENSORTRIGGER_LINGER=str(LINGER)).wait_ready()

    apis = [started() for _ in range(2)]
    balancer = Balancer(apis, deployment.model_id)
    threads = [threading.Thread(target=balancer.look)]
    threads += [threading.Thread(target=balancer.call, args=(number,)) for number in range(CALLERS)]
    threads[0].start()
    until = time.monotonic() + PATIENCE
    while len(balancer.ready) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    for caller in threads[1:]:
        caller.start()
    try:
        for turn in range(times(2, 20)):
            apis.append(started())
            leaving = apis[0]
            leave(leaving, requests_of(turn, deployment.model_id))
            apis.remove(leaving)
            tell(f"replaced {turn + 1}: {dict(balancer.answers)}")
    finally:
        balancer.over.set()
        for thread in threads:
            thread.join()
        for api in apis:
            api.stop()
    assert balancer.failures == []
    assert len(balancer.answers) == len(requests_of(0, ""))
    assert min(balancer.answers.values()) > 10
