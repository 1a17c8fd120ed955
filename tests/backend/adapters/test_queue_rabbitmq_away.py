"""What RabbitMQ adds: brokers that go away, stay away or are not there yet."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from services import RabbitNode, had
from structlog.testing import capture_logs
from wake_ups import ONE, TWO, received

from tensortrigger_backend.adapters.queue_rabbitmq import RabbitQueue
from tensortrigger_backend.domain.errors import Unavailable

if TYPE_CHECKING:
    from tests.backend.adapters.conftest import Broker

SHORT_OF_FILES = """
import resource, sys
from tensortrigger_backend.adapters.queue_rabbitmq import RabbitQueue
from tensortrigger_backend.domain.jobs import WakeUp
from tensortrigger_backend.telemetry import configure_logging
configure_logging("info", "json")
queue = RabbitQueue(sys.argv[1], "score", sys.argv[2])
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
def step(name):
    print(name, flush=True)
    sys.stdin.readline()
queue.publish(WakeUp("j", 1))
step("connected")
resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
step("short")
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
queue.publish(WakeUp("j", 2))
step("sent")
"""


class Wire:
    """A port that leads to the broker, until it is cut."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._ends: list[socket.socket] = []
        self._whole = threading.Event()
        self._whole.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if not self._whole.is_set():
                near.close()
                continue
            far = socket.create_connection(self._target)
            self._ends += [near, far]
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        self._shut(source)
        self._shut(target)

    def _shut(self, end: socket.socket) -> None:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Nothing gets through any more, and nobody gets in."""
        self._whole.clear()
        for end in self._ends:
            self._shut(end)

    def mend(self) -> None:
        self._whole.set()

    def close(self) -> None:
        self.cut()
        self._listener.close()
        for end in self._ends:
            end.close()


@pytest.fixture
def wire(broker: Broker) -> Iterator[Wire]:
    host, _, port = broker.url.rpartition("@")[2].partition("/")[0].partition(":")
    wire = Wire(host, int(port or 5672))
    yield wire
    wire.close()


@pytest.fixture
def far(broker: Broker, wire: Wire) -> RabbitQueue:
    """The queue as a process sees it whose wire may be cut."""
    user, _, rest = broker.url.rpartition("@")
    return broker.queue(f"{user}@127.0.0.1:{wire.port}/{rest.partition('/')[2]}", patience=2.0)


def test_after_a_lost_connection_all_goes_on_and_late_answers_are_dropped(
    far: RabbitQueue, wire: Wire
) -> None:
    far.publish(ONE)
    before = received(far)
    wire.cut()
    time.sleep(0.3)
    wire.mend()
    again = received(far)
    assert again.wake_up == ONE
    # Its channel is gone; on the new one the same number is another message's.
    before.ack()
    assert far.depth() == 1
    before.nack()
    again.ack()
    far.publish(TWO)
    assert received(far).wake_up == TWO


def test_a_message_sent_while_the_broker_is_away_is_taken_when_it_comes_back(
    far: RabbitQueue, wire: Wire
) -> None:
    far.publish(ONE)
    wire.cut()
    timer = threading.Timer(0.5, wire.mend)
    timer.start()
    far.publish(TWO)
    timer.join()
    assert {received(far).wake_up for _ in range(2)} == {ONE, TWO}


def test_a_broker_that_stays_away_is_told_in_time_and_is_no_reason_to_hang(
    far: RabbitQueue, broker: Broker, wire: Wire
) -> None:
    far.publish(ONE)
    assert far.depth() == 1
    wire.cut()
    started = time.monotonic()
    with pytest.raises(Unavailable, match="did not take a message"):
        far.publish(TWO)
    assert 1.5 < time.monotonic() - started < 6.0
    started = time.monotonic()
    assert far.depth() == 1
    assert far.receive(0.05) is None
    far.close()
    assert time.monotonic() - started < 5.0
    # What was given up is not sent after all.
    other = broker.queue()
    assert received(other).wake_up == ONE
    assert other.receive(0.2) is None


class HastyNode(RabbitNode):
    """A broker that gives a consumer a second, where others give it half an hour."""

    def environ(self) -> dict[str, str]:
        hasty = "-rabbit consumer_timeout 1000 -rabbit channel_tick_interval 300"
        return {**super().environ(), "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": hasty}


@pytest.fixture
def hasty() -> Iterator[RabbitQueue]:
    with had(HastyNode) as node, contextlib.closing(RabbitQueue(node.url, "score", prefetch=2)) as queue:
        yield queue


def test_a_broker_that_closes_the_channel_of_a_slow_consumer_gives_out_again_what_it_had_in_hand(
    hasty: RabbitQueue,
) -> None:
    for wake_up in (ONE, TWO):
        hasty.publish(wake_up)
    with capture_logs() as told:
        slow, other = received(hasty), received(hasty)
        again = [received(hasty), received(hasty)]
    assert {delivery.wake_up for delivery in again} == {slow.wake_up, other.wake_up} == {ONE, TWO}
    reasons = [line["reason"] for line in told if line["event"] == "broker.channel_closed"]
    assert len(reasons) == 1, told
    assert "timed out" in reasons[0]
    # They were of the closed channel; on the new one the same numbers are those that came again.
    slow.ack()
    other.nack()
    assert hasty.depth() == 2
    for delivery in again:
        delivery.ack()
    assert hasty.receive(0.3) is None
    assert hasty.depth() == 0
    hasty.publish(ONE)
    assert received(hasty).wake_up == ONE


def test_a_broker_that_is_not_there_yet_is_waited_for(broker: Broker, wire: Wire) -> None:
    wire.cut()
    user, _, rest = broker.url.rpartition("@")
    early = broker.queue(f"{user}@127.0.0.1:{wire.port}/{rest.partition('/')[2]}")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(early.receive, 20.0)
        time.sleep(0.3)
        wire.mend()
        broker.queue().publish(ONE)
        delivery = waiting.result()
    assert delivery is not None
    assert delivery.wake_up == ONE


def test_a_process_that_has_no_file_descriptor_left_connects_again_when_it_has(
    broker: Broker, wire: Wire
) -> None:
    user, _, rest = broker.url.rpartition("@")
    url = f"{user}@127.0.0.1:{wire.port}/{rest.partition('/')[2]}"
    with subprocess.Popen(
        [sys.executable, "-c", SHORT_OF_FILES, url, broker.prefix],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "connected\n"
            child.stdin.write("\n")
            assert child.stdout.readline() == "short\n"
            wire.cut()
            time.sleep(1.0)
            wire.mend()
            child.stdin.write("\n")
            assert child.stdout.readline() == "sent\n"
        finally:
            child.kill()
    other = broker.queue()
    assert {received(other).wake_up for _ in range(2)} == {ONE, TWO}
