"""What RabbitMQ adds: consumers that die, queues that are deleted, messages of others."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from wake_ups import ONE, TWO, received

from tensortrigger_backend.domain.errors import Unavailable
from tensortrigger_backend.domain.jobs import WakeUp

if TYPE_CHECKING:
    from tests.backend.adapters.conftest import Broker

CONSUMER = """
import sys, time
from tensortrigger_backend.adapters.queue_rabbitmq import RabbitQueue
queue = RabbitQueue(sys.argv[1], "score", sys.argv[2])
delivery = queue.receive(20)
print("partition", delivery.wake_up.partition, flush=True)
time.sleep(60)
"""


def test_what_a_killed_consumer_held_comes_to_the_next_one(broker: Broker) -> None:
    queue = broker.queue()
    queue.publish(ONE)
    with subprocess.Popen(
        [sys.executable, "-c", CONSUMER, broker.url, broker.prefix], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        try:
            assert "partition 1\n" in child.stdout
            assert queue.receive(0.2) is None
        finally:
            child.kill()
    delivery = received(queue)
    assert delivery.wake_up == ONE
    delivery.ack()


def test_two_processes_share_a_queue(broker: Broker) -> None:
    queues = [broker.queue(prefetch=2), broker.queue(prefetch=2)]
    took: Counter[int] = Counter()
    everything: Counter[int] = Counter()

    def work(number: int) -> None:
        while (delivery := queues[number].receive(1.0)) is not None:
            took[number] += 1
            everything[delivery.wake_up.partition] += 1
            time.sleep(0.005)
            delivery.ack()

    for partition in range(60):
        queues[0].publish(WakeUp("j", partition))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))
    assert everything == Counter(range(60))
    assert min(took.values()) > 10


def test_a_process_that_only_publishes_takes_nothing(broker: Broker) -> None:
    publisher, consumer = broker.queue(), broker.queue()
    for wake_up in (ONE, TWO):
        publisher.publish(wake_up)
    assert publisher.depth() == 2
    assert {received(consumer).wake_up for _ in range(2)} == {ONE, TWO}


def test_no_more_is_in_hand_than_there_are_hands(broker: Broker) -> None:
    narrow, other = broker.queue(prefetch=1), broker.queue()
    narrow.publish(ONE)
    narrow.publish(TWO)
    first = received(narrow)
    assert narrow.receive(0.2) is None
    second = received(other)
    assert {first.wake_up, second.wake_up} == {ONE, TWO}


def test_closing_gives_back_what_was_not_done_and_keeps_what_was(broker: Broker) -> None:
    leaving, staying = broker.queue(), broker.queue()
    for wake_up in (ONE, TWO):
        leaving.publish(wake_up)
    done, _held = received(leaving), received(leaving)
    done.ack()
    started = time.monotonic()
    leaving.close()
    assert time.monotonic() - started < 2.0
    again = received(staying)
    assert again.wake_up == ({ONE, TWO} - {done.wake_up}).pop()
    assert staying.receive(0.2) is None


def test_a_deleted_queue_is_made_again_by_whoever_publishes(broker: Broker) -> None:
    publisher = broker.queue()
    publisher.publish(ONE)
    with broker.channel() as channel:
        channel.queue_delete(broker.name)
    publisher.publish(TWO)
    assert received(broker.queue()).wake_up == TWO


def test_a_consumer_goes_on_when_its_queue_was_deleted(broker: Broker) -> None:
    consumer = broker.queue(idle=0.5)
    consumer.publish(ONE)
    received(consumer).ack()
    for turn in range(3):
        with broker.channel() as channel:
            channel.queue_delete(broker.name)
        broker.queue().publish(WakeUp("again", turn))
        delivery = received(consumer)
        assert delivery.wake_up == WakeUp("again", turn)
        delivery.ack()


def test_what_was_received_before_its_queue_was_deleted_may_be_settled_after(broker: Broker) -> None:
    consumer = broker.queue()
    for wake_up in (ONE, TWO):
        consumer.publish(wake_up)
    first, second = received(consumer), received(consumer)
    with broker.channel() as channel:
        channel.queue_delete(broker.name)
    consumer.publish(WakeUp("later", 1))
    first.ack()
    second.nack()
    assert received(consumer).wake_up == WakeUp("later", 1)


def test_an_idle_consumer_subscribes_anew_and_misses_nothing(broker: Broker) -> None:
    consumer = broker.queue(idle=0.05)
    assert consumer.receive(0.01) is None
    for partition in range(30):
        consumer.publish(WakeUp("j", partition))
        time.sleep(0.05)
        delivery = received(consumer)
        assert delivery.wake_up.partition == partition
        delivery.ack()


def test_many_threads_publish_at_once_though_the_queue_is_deleted_meanwhile(broker: Broker) -> None:
    queue = broker.queue()
    deleted = threading.Event()
    afterwards: set[int] = set()

    def publish(partition: int) -> None:
        if partition == 100:
            with broker.channel() as channel:
                channel.queue_delete(broker.name)
            deleted.set()
        if deleted.is_set():
            afterwards.add(partition)
        queue.publish(WakeUp("j", partition))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(publish, range(200)))
    assert len(afterwards) > 20
    consumer = broker.queue()
    found = set()
    while (delivery := consumer.receive(1.0)) is not None:
        found.add(delivery.wake_up.partition)
        delivery.ack()
    # What was in the queue is gone with it.
    assert found >= afterwards


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[" * 50_000,
        b"null",
        b'{"format": 2, "job_id": "j", "partition": 1, "kind": "score"}',
        b'{"format": 1, "job_id": "j", "partition": "1", "kind": "score"}',
        b'{"format": 1, "job_id": 7, "partition": 1, "kind": "score"}',
        b'{"format": 1, "job_id": "j", "partition": 1, "kind": "dance"}',
        b'{"format": 1, "job_id": "j", "partition": true, "kind": "score"}',
        b'{"format": 1, "job_id": "j", "kind": "score"}',
    ],
    ids=["empty", "bytes", "deep", "null", "newer", "text", "number", "kind", "truth", "less"],
)
def test_a_strange_message_goes_to_the_dead_letters_and_stops_nobody(broker: Broker, body: bytes) -> None:
    queue = broker.queue()
    queue.publish(ONE)
    received(queue).ack()
    with broker.channel() as channel:
        channel.basic_publish("", broker.name, body)
    queue.publish(TWO)
    assert received(queue).wake_up == TWO
    assert broker.dead_letters(1) == [body]


def test_a_message_that_comes_back_too_often_is_a_dead_letter(broker: Broker) -> None:
    queue = broker.queue(deliveries=3)
    queue.publish(ONE)
    deliveries = 0
    while (delivery := queue.receive(1.0)) is not None:
        deliveries += 1
        delivery.nack()
    assert deliveries == 4
    (letter,) = broker.dead_letters(1)
    assert json.loads(letter) == {"format": 1, "job_id": "j", "partition": 1, "kind": "score"}


def test_messages_outlive_the_process_that_sent_them(broker: Broker) -> None:
    sender = broker.queue()
    sender.publish(ONE)
    sender.close()
    with broker.channel() as channel:
        _method, properties, _body = channel.basic_get(broker.name)
    assert properties.delivery_mode == 2


def test_heartbeats_go_on_while_a_partition_is_worked_on_for_long(broker: Broker) -> None:
    queue = broker.queue(f"{broker.url}?heartbeat=1")
    queue.publish(ONE)
    delivery = received(queue)
    # The broker drops whoever is silent for two heartbeats.
    time.sleep(3.5)
    delivery.ack()
    assert queue.receive(0.3) is None
    assert queue.depth() == 0


def test_a_queue_that_was_made_otherwise_is_told_as_the_reason(broker: Broker) -> None:
    with broker.channel() as channel:
        channel.queue_declare(broker.name, durable=True)
    with pytest.raises(Unavailable, match="inequivalent arg"):
        broker.queue(patience=1.5).publish(ONE)
