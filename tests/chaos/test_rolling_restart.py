"""The processes that answer requests are replaced one after another, under load: no request fails."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable

import httpx
from chaos.checker import Upload
from chaos.conftest import times
from chaos.deployment import Deployment, Process

CALLERS = 3


class Balancer:
    """Sends each request to the next process that says it is ready, as any proxy before them does.

    Attributes:
        apis: all that were started; each is asked ten times a second whether it is ready.
        ready: URLs of those that were when they were asked last.
    """

    def __init__(self, apis: list[Process], model_id: str) -> None:
        self.apis = apis
        self.ready: list[str] = []
        self.model_id = model_id
        self.over = threading.Event()
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self._lock = threading.Lock()

    def look(self) -> None:
        """Ask who is ready until it is over."""
        with httpx.Client(timeout=5.0, trust_env=False) as client:
            while not self.over.wait(0.1):
                self.ready = [url for url in map(url_of, list(self.apis)) if is_ready(client, url)]

    def call(self, number: int) -> None:
        """Ask until it is over; every request on a connection of its own."""
        small = Upload(rows=40, seed=number)
        turn = number
        while not self.over.is_set():
            turn += 1
            method, path, options = [
                ("GET", "/health_check", {}),
                ("GET", "/jobs", {}),
                (
                    "POST",
                    "/jobs",
                    {
                        "params": {"model_id": self.model_id},
                        "content": small.body,
                        "headers": {"Content-Type": "text/csv"},
                    },
                ),
            ][turn % 3]
            told = self._ask(method, path, turn, options)
            with self._lock:
                self.answers[told] += 1
                if not told.startswith("2"):
                    self.failures.append(f"{method} {path}: {told}")
            time.sleep(0.05)

    def _ask(self, method: str, path: str, turn: int, options: dict[str, object]) -> str:
        ready = self.ready
        for place in range(len(ready)):
            url = ready[(turn + place) % len(ready)]
            try:
                with httpx.Client(timeout=30.0, trust_env=False, verify=False) as client:
                    answer = client.request(method, f"{url}{path}", **options)  # type: ignore[arg-type]
            except httpx.ConnectError:
                continue
            except httpx.TransportError as error:
                return f"{type(error).__name__}: {error}"
            return f"{answer.status_code}" if answer.is_success else f"{answer.status_code}: {answer.text}"
        return "nobody took the connection"


def url_of(api: Process) -> str:
    return api.ready.split()[-1]


def is_ready(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(f"{url}/ready").is_success
    except httpx.TransportError:
        return False


def test_no_request_fails_while_processes_are_replaced(
    deployment: Deployment, tell: Callable[[str], None]
) -> None:
    def started() -> Process:
        return deployment.start("api", "--port", "0", TENSORTRIGGER_LINGER="3").wait_ready()

    apis = [started() for _ in range(2)]
    balancer = Balancer(apis, deployment.model_id)
    threads = [threading.Thread(target=balancer.look)]
    threads += [threading.Thread(target=balancer.call, args=(number,)) for number in range(CALLERS)]
    threads[0].start()
    until = time.monotonic() + 30
    while len(balancer.ready) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    for caller in threads[1:]:
        caller.start()
    try:
        for turn in range(times(2, 20)):
            apis.append(started())
            leaving = apis[0]
            leaving.send(signal.SIGTERM)
            assert leaving.child.wait(40.0) == 0
            apis.remove(leaving)
            tell(f"replaced {turn + 1}: {dict(balancer.answers)}")
    finally:
        balancer.over.set()
        for thread in threads:
            thread.join()
        for api in apis:
            api.stop()
    assert balancer.failures == []
    assert sum(balancer.answers.values()) > 50
