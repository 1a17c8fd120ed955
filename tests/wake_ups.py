"""Messages that tests send through a queue, and how they await one."""

from __future__ import annotations

from tensortrigger_backend.domain.jobs import WakeUp
from tensortrigger_backend.ports.jobs import Delivery, Queue

ONE, TWO = WakeUp("j", 1), WakeUp("j", 2)


def received(queue: Queue) -> Delivery:
    """The next message, which is on its way."""
    delivery = queue.receive(10.0)
    assert delivery is not None
    return delivery
