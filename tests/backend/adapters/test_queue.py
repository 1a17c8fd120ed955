"""The promises of ``Queue``, whoever keeps them."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest
from wake_ups import ONE, TWO, received

from tensortrigger_backend.adapters.queue_memory import MemoryQueue
from tensortrigger_backend.domain.errors import Unavailable
from tensortrigger_backend.domain.jobs import JobKind, WakeUp
from tensortrigger_backend.ports.jobs import Queue


def settles(queue: Queue, depth: int) -> bool:
    """Whether the depth becomes this; acknowledgements and deliveries travel."""
    until = time.monotonic() + 10.0
    while queue.depth() != depth:
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def test_what_was_sent_comes_with_all_that_it_said(queue: Queue) -> None:
    sent = {WakeUp("j", 1), WakeUp("k", -1, JobKind.TRAIN), WakeUp("ü" * 30, 2**40)}
    for wake_up in sent:
        queue.publish(wake_up)
    assert {received(queue).wake_up for _ in sent} == sent


def test_an_acknowledged_message_does_not_come_again(queue: Queue) -> None:
    queue.publish(ONE)
    received(queue).ack()
    assert queue.receive(0.2) is None
    assert settles(queue, 0)


def test_a_message_that_was_not_done_comes_again(queue: Queue) -> None:
    queue.publish(ONE)
    received(queue).nack()
    assert received(queue).wake_up == ONE


def test_the_depth_counts_what_is_in_hand(queue: Queue) -> None:
    queue.publish(ONE)
    queue.publish(TWO)
    assert settles(queue, 2)
    delivery = received(queue)
    assert settles(queue, 2)
    delivery.nack()
    assert settles(queue, 2)
    for _ in range(2):
        received(queue).ack()
    assert settles(queue, 0)


def test_an_empty_queue_answers_none_after_the_time(queue: Queue) -> None:
    started = time.monotonic()
    assert queue.receive(0.1) is None
    assert 0.09 < time.monotonic() - started < 5.0


def test_closing_is_quick_and_wakes_whoever_waits(queue: Queue) -> None:
    answers: list[object] = []
    threads = [threading.Thread(target=lambda: answers.append(queue.receive(60.0))) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    started = time.monotonic()
    queue.close()
    for thread in threads:
        thread.join(timeout=5.0)
    assert time.monotonic() - started < 2.0
    assert answers == [None] * 4
    with pytest.raises(Unavailable):
        queue.publish(ONE)
    queue.close()


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
    assert settles(queue, 0)


def test_the_memory_queue_keeps_order_and_puts_first_what_was_given_back() -> None:
    queue = MemoryQueue()
    queue.publish(ONE)
    queue.publish(TWO)
    received(queue).nack()
    assert [received(queue).wake_up for _ in range(2)] == [ONE, TWO]
    queue.close()


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
