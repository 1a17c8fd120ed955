"""Has the broker taken a message? Publishes with confirms, again where it was returned or the connection was lost."""

from __future__ import annotations

import contextlib
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError

from pika import BasicProperties, DeliveryMode
from pika.channel import Channel
from pika.frame import Method
from pika.spec import Basic

from tensortrigger_backend.domain.errors import Unavailable

RETURNS = 5
"""So often a message is published again to a queue that was deleted meanwhile."""


class Publication:
    """One message on its way; ``taken`` is done when the broker has it, or cancelled by whoever waited too long."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.message_id = secrets.token_hex(8)
        self.taken: Future[None] = Future()
        self.returns = 0
        self.returned = False

    def refuse(self, why: str) -> None:
        """Tell whoever waits that the broker does not have it."""
        with contextlib.suppress(InvalidStateError):
            self.taken.set_exception(Unavailable(why, retry_after=2.0))

    def accept(self) -> None:
        """Tell whoever waits that the broker has it, on its disk."""
        with contextlib.suppress(InvalidStateError):
            self.taken.set_result(None)


class Confirms:
    """Every publication is waiting for a channel, on its way, or settled. Only the link's thread calls it.

    Args:
        queue: the broker's queue, to which the default exchange routes by name.
        declare: makes the queue, unless it is there, and calls back.
    """

    def __init__(self, queue: str, declare: Callable[[Callable[[], None]], None]) -> None:
        self._queue = queue
        self._declare = declare
        self._channel: Channel | None = None
        self._waiting: deque[Publication] = deque()
        self._on_its_way: OrderedDict[int, Publication] = OrderedDict()
        self._number = 0

    def listen(self, channel: Channel) -> None:
        """Have a new channel confirm what is published on it."""
        self._number = 0
        channel.confirm_delivery(self._confirmed, callback=lambda _frame: None)
        channel.add_on_return_callback(self._returned)

    def begin(self, channel: Channel) -> None:
        """The queue is there: publish what waits."""
        self._channel = channel
        waiting, self._waiting = self._waiting, deque()
        for publication in waiting:
            self.publish(publication)

    def publish(self, publication: Publication) -> None:
        """Send it now, or as soon as there is a channel."""
        if publication.taken.cancelled():
            return
        if self._channel is None or not self._channel.is_open:
            self._waiting.append(publication)
            return
        self._number += 1
        self._on_its_way[self._number] = publication
        self._channel.basic_publish(
            "",
            self._queue,
            publication.body,
            BasicProperties(
                content_type="application/json",
                delivery_mode=DeliveryMode.Persistent.value,
                message_id=publication.message_id,
            ),
            mandatory=True,
        )

    def lost(self) -> None:
        """What was on its way may have arrived or not: it is sent again, as once too often is harmless."""
        self._channel = None
        self._waiting.extendleft(reversed(self._on_its_way.values()))
        self._on_its_way.clear()
        for publication in self._waiting:
            publication.returned = False

    def refuse_all(self, why: str) -> None:
        """Nothing will be published any more."""
        for publication in (*self._on_its_way.values(), *self._waiting):
            publication.refuse(why)
        self._on_its_way.clear()
        self._waiting.clear()

    def _returned(
        self, _channel: Channel, _how: Basic.Return, properties: BasicProperties, _body: bytes
    ) -> None:
        # The confirm follows and says that the broker is done with it, not that anybody has it.
        for publication in self._on_its_way.values():
            if publication.message_id == properties.message_id:
                publication.returned = True

    def _confirmed(self, frame: Method) -> None:
        answer = frame.method
        last = answer.delivery_tag
        settled = [last] if not answer.multiple else [tag for tag in self._on_its_way if tag <= last]
        for tag in settled:
            publication = self._on_its_way.pop(tag, None)
            if publication is not None:
                self._settle(publication, isinstance(answer, Basic.Ack))

    def _settle(self, publication: Publication, acknowledged: bool) -> None:
        if not acknowledged:
            publication.refuse("The broker could not store a message.")
        elif not publication.returned:
            publication.accept()
        elif publication.returns >= RETURNS:
            publication.refuse("The broker has no queue for a message.")
        else:
            publication.returned = False
            publication.returns += 1
            self._declare(lambda: self.publish(publication))
