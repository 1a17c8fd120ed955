"""Wake-ups through RabbitMQ, for processes on many machines."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import asdict
from typing import Any, Final

import structlog
from pika import BasicProperties
from pika.channel import Channel
from pika.frame import Method
from pika.spec import Basic

from tensortrigger_backend.adapters.rabbitmq_confirms import Confirms, Publication
from tensortrigger_backend.adapters.rabbitmq_link import RabbitLink
from tensortrigger_backend.domain.errors import Unavailable
from tensortrigger_backend.domain.jobs import JobKind, WakeUp

log = structlog.get_logger(__name__)

FORMAT: Final = 1
"""Of the message. Another one is a dead letter; the sweeper sends what it was about again."""
DELIVERIES: Final = 20
"""A message that came back so often is a dead letter."""
DEAD_LETTERS: Final = 10_000
"""So many are kept, the newest."""
DEPTH_WAIT: Final = 2.0
IDLE: Final = 10.0
"""Seconds after which a consumer to whom nothing comes subscribes anew."""
CALM: Final = 0.3
"""Seconds until a queue that was deleted is made again: its consumers must have heard of its end."""


class RabbitQueue:
    """A durable quorum queue with dead letters.

    One thread owns the connection; any number of others publish, receive and settle. The first ``receive`` makes
    this process a consumer, so a process that only publishes takes nothing off the queue. After a lost connection
    all is declared again; what was received before may come a second time, and its late ack is dropped.

    Args:
        url: ``amqp://user:password@host:port/vhost``.
        name: of the queue, below ``prefix``.
        prefetch: messages in hand at once: as many as threads receive.
        patience: seconds until ``publish`` gives up.
    """

    def __init__(
        self,
        url: str,
        name: str,
        prefix: str = "tensortrigger",
        prefetch: int = 1,
        patience: float = 10.0,
        deliveries: int = DELIVERIES,
        idle: float = IDLE,
    ) -> None:
        self._queue, self._dead = f"{prefix}.{name}", f"{prefix}.dead"
        self._prefetch = prefetch
        self._patience = patience
        self._idle = idle
        self._arguments: dict[str, Any] = {
            "x-queue-type": "quorum",
            "x-delivery-limit": deliveries,
            "x-dead-letter-exchange": self._dead,
        }
        # Under this: what has come and nobody has taken yet, and whether it is all over.
        self._changed = threading.Condition()
        self._arrived: deque[_RabbitDelivery] = deque()
        self._closed = False
        # The link's thread alone writes these.
        self._channel: Channel | None = None
        self._unacked: set[int] = set()
        self._consuming = False
        self._wanted = False
        self._events = 0
        self._depth = 0
        self._trouble = "it was not reached yet"

        self._confirms = Confirms(self._queue, self._declare_again)
        self._link = RabbitLink(url, self._queue, self)
        self._link.start()

    def publish(self, wake_up: WakeUp) -> None:
        """See ``Queue.publish``: returns when the broker has it on its disk, and waits for a broker that is away."""
        if self._closed:
            raise Unavailable("The queue is closing.")
        publication = Publication(_written(wake_up))
        self._link.soon(lambda: self._confirms.publish(publication))
        try:
            publication.taken.result(self._patience)
        except TimeoutError:
            if publication.taken.cancel():
                raise Unavailable(
                    f"The broker did not take a message in {self._patience:g} s: {self._trouble}.", 2.0
                ) from None
            publication.taken.result()

    def receive(self, timeout: float) -> _RabbitDelivery | None:
        """See ``Queue.receive``."""
        if not self._wanted:
            self._link.soon(self._consume)
        with self._changed:
            self._changed.wait_for(lambda: self._arrived or self._closed, timeout)
            if self._closed or not self._arrived:
                return None
            return self._arrived.popleft()

    def depth(self) -> int:
        """See ``Queue.depth``: what waits at the broker, and what this process has in hand.

        What other processes have in hand the broker does not tell here. While it is away, the last known number.
        """
        answer: Future[int] = Future()

        def ask() -> None:
            if self._channel is None:
                answer.cancel()
                return
            self._declare(
                self._channel,
                lambda frame: answer.set_result(frame.method.message_count + len(self._unacked)),
            )

        self._link.soon(ask)
        try:
            self._depth = answer.result(DEPTH_WAIT)
        except (TimeoutError, CancelledError):
            log.debug("broker.depth_unknown", queue=self._queue)
        return self._depth

    def close(self) -> None:
        """See ``Queue.close``: whoever waits returns at once; what is in hand goes back to the broker."""
        with self._changed:
            self._closed = True
            self._arrived.clear()
            self._changed.notify_all()
        self._link.soon(lambda: self._confirms.refuse_all("The queue is closing."))
        self._link.close()

    def settle(self, delivery: _RabbitDelivery, again: bool) -> None:
        """Acknowledge a delivery or give it back, from any thread; after its channel is lost, neither is needed."""

        def tell() -> None:
            channel = self._channel
            if channel is None or channel is not delivery.channel or delivery.tag not in self._unacked:
                return
            self._unacked.discard(delivery.tag)
            self._events += 1
            if again:
                channel.basic_nack(delivery.tag, requeue=True)
            else:
                channel.basic_ack(delivery.tag)

        self._link.soon(tell)

    # What the link tells, on its thread.

    def moved_in(self, channel: Channel) -> None:
        """See ``Tenant.moved_in``."""
        channel.add_on_cancel_callback(self._cancelled)
        self._confirms.listen(channel)
        channel.exchange_declare(self._dead, "fanout", durable=True)
        channel.queue_declare(
            self._dead,
            durable=True,
            arguments={"x-queue-type": "quorum", "x-max-length": DEAD_LETTERS},
        )
        channel.queue_bind(self._dead, self._dead)
        self._declare(channel, lambda _frame: self._at_home(channel))

    def lost(self, reason: str) -> None:
        """See ``Tenant.lost``."""
        self._trouble = reason
        self._channel = None
        self._consuming = False
        self._unacked.clear()
        with self._changed:
            self._arrived.clear()
        self._confirms.lost()

    def _at_home(self, channel: Channel) -> None:
        self._channel = channel
        self._link.settled()
        self._confirms.begin(channel)
        if self._wanted:
            self._consume()
        self._look()

    def _declare(self, channel: Channel, then: Callable[[Method], None]) -> None:
        # Declaring what is there already tells how many wait in it.
        channel.queue_declare(self._queue, durable=True, arguments=self._arguments, callback=then)

    def _declare_again(self, then: Callable[[], None]) -> None:
        if self._channel is None:
            then()
            return
        log.warning("broker.queue_gone", queue=self._queue)
        channel = self._channel
        self._link.later(CALM, lambda: self._declare(channel, lambda _frame: then()))

    def _consume(self) -> None:
        self._wanted = True
        if self._channel is None or self._consuming:
            return
        self._consuming = True
        self._channel.basic_qos(prefetch_count=self._prefetch)
        self._channel.basic_consume(self._queue, self._came)

    def _cancelled(self, _frame: Method) -> None:
        """The broker has ended the consumer, as its queue was deleted or has moved."""
        self._consuming = False
        self._declare_again(self._consume)

    def _look(self) -> None:
        """Subscribe anew when there is nothing in hand, and has not been for a while.

        A quorum queue that is deleted and made again at once takes its consumers along without a word to them, and
        then RabbitMQ holds the first messages for ones that they have had. On a new channel they come.
        """
        channel, events = self._channel, self._events

        def judge() -> None:
            if self._channel is not channel:
                return
            if self._consuming and not self._unacked and events == self._events:
                self._link.renew()
            else:
                self._look()

        self._link.later(self._idle, judge)

    def _came(self, channel: Channel, how: Basic.Deliver, _properties: BasicProperties, body: bytes) -> None:
        if self._channel is None or channel is not self._channel or not channel.is_open:
            # It comes again on the next one.
            return
        self._events += 1
        wake_up = _read(body)
        if wake_up is None:
            log.warning("broker.strange_message", queue=self._queue, size=len(body), begins=repr(body[:80]))
            channel.basic_reject(how.delivery_tag, requeue=False)
            return
        self._unacked.add(how.delivery_tag)
        with self._changed:
            self._arrived.append(_RabbitDelivery(self, wake_up, channel, how.delivery_tag))
            self._changed.notify()


class _RabbitDelivery:
    def __init__(self, queue: RabbitQueue, wake_up: WakeUp, channel: Channel, tag: int) -> None:
        self._queue = queue
        self.wake_up = wake_up
        self.channel = channel
        self.tag = tag

    def ack(self) -> None:
        self._queue.settle(self, again=False)

    def nack(self) -> None:
        self._queue.settle(self, again=True)


def _written(wake_up: WakeUp) -> bytes:
    return json.dumps({"format": FORMAT, **asdict(wake_up)}).encode()


def _read(body: bytes) -> WakeUp | None:
    """The message, or None for one that is not ours."""
    try:
        told = json.loads(body)
        if told["format"] != FORMAT:
            return None
        job_id, partition, kind = told["job_id"], told["partition"], JobKind(told["kind"])
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    if not isinstance(job_id, str) or type(partition) is not int:
        return None
    return WakeUp(job_id, partition, kind)
