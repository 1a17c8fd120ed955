"""The promises of ``Queue``, whoever keeps them."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from tensortrigger_backend.adapters.queue_memory import MemoryQueue
from tensortrigger_backend.domain.errors import Unavailable
from tensortrigger_backend.domain.jobs import WakeUp
from tensortrigger_backend.ports.jobs import Queue

ONE, TWO = WakeUp("j", 1), WakeUp("j", 2)


def test_messages_come_in_the_order_they_were_sent(queue: Queue) -> None:
    queue.publish(ONE)
    queue.publish(TWO)
    first, second = queue.receive(1.0), queue.receive(1.0)
    assert first is not None
    assert second is not None
    assert (first.wake_up, second.wake_up) == (ONE, TWO)


def test_an_acknowledged_message_does_not_come_again(queue: Queue) -> None:
    queue.publish(ONE)
    delivery = queue.receive(1.0)
    assert delivery is not None
    delivery.ack()
    assert queue.receive(0.01) is None
    assert queue.depth() == 0


def test_a_message_that_was_not_done_comes_again_and_first(queue: Queue) -> None:
    queue.publish(ONE)
    queue.publish(TWO)
    delivery = queue.receive(1.0)
    assert delivery is not None
    delivery.nack()
    again = queue.receive(1.0)
    assert again is not None
    assert again.wake_up == ONE


def test_the_depth_counts_what_is_in_hand(queue: Queue) -> None:
    queue.publish(ONE)
    queue.publish(TWO)
    assert queue.depth() == 2
    delivery = queue.receive(1.0)
    assert delivery is not None
    assert queue.depth() == 2
    delivery.nack()
    assert queue.depth() == 2
    for _ in range(2):
        delivery = queue.receive(1.0)
        assert delivery is not None
        delivery.ack()
    assert queue.depth() == 0


def test_an_empty_queue_answers_none_after_the_time(queue: Queue) -> None:
    started = time.monotonic()
    assert queue.receive(0.1) is None
    assert 0.09 < time.monotonic() - started < 5.0


def test_closing_wakes_whoever_waits(queue: Queue) -> None:
    answers: list[object] = []
    threads = [threading.Thread(target=lambda: answers.append(queue.receive(60.0))) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    queue.close()
    for thread in threads:
        thread.join(timeout=5.0)
    assert answers == [None] * 4
    with pytest.raises(Unavailable):
        queue.publish(ONE)


def test_every_message_reaches_somebody_though_some_are_given_back(queue: Queue) -> None:
    count = 400
    done: Counter[int] = Counter()
    finished = threading.Event()

    def work(number: int) -> None:
        turn = 0
        while not finished.is_set():
            delivery = queue.receive(0.05)
            if delivery is None:
                continue
            turn += 1
            if turn % 3 == number % 3:
                delivery.nack()
                continue
            done[delivery.wake_up.partition] += 1
            delivery.ack()
            if len(done) == count:
                finished.set()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for partition in range(count):
        queue.publish(WakeUp("j", partition))
    assert finished.wait(20.0)
    for thread in threads:
        thread.join()
    assert done == Counter(range(count))
    assert queue.depth() == 0


def test_a_full_memory_queue_says_so_and_goes_on_when_there_is_room() -> None:
    queue = MemoryQueue(capacity=2)
    queue.publish(ONE)
    queue.publish(TWO)
    with pytest.raises(Unavailable, match="full"):
        queue.publish(ONE)
    delivery = queue.receive(1.0)
    assert delivery is not None
    delivery.ack()
    queue.publish(ONE)
    queue.close()
