"""Run a part of a deployment that answers no requests of callers, until it is told to stop."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import Protocol

import structlog

from tensortrigger_backend.bootstrap.roles import Role
from tensortrigger_backend.settings import Settings
from tensortrigger_backend.telemetry import Metrics
from tensortrigger_backend.telemetry_server import TelemetryServer

log = structlog.get_logger(__name__)

HURRIED = 130
"""Exit status of a process that was told twice to stop."""


class Process(Protocol):
    """A worker, a trainer or a forge.

    Attributes:
        name: unique to this start.
    """

    role: Role
    name: str
    metrics: Metrics

    def start(self) -> None: ...

    def close(self) -> None: ...


def run(process: Process, settings: Settings, metrics_port: int | None) -> None:
    """Work until SIGINT or SIGTERM, then drain; the second signal ends it at once.

    Raises:
        OSError: the metrics' port is taken.
    """
    told = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        if told.is_set():
            # What it had in hand is as safe as if it had crashed: others take it up when its lease is over.
            os._exit(HURRIED)
        told.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    telemetry: TelemetryServer | None = None
    try:
        if metrics_port is not None:
            telemetry = TelemetryServer(settings.host, metrics_port, process.metrics)
        if telemetry is not None:
            telemetry.start()
        process.start()
        measured = f", metrics at {telemetry.url}" if telemetry is not None else ""
        sys.stdout.write(f"TensorTrigger {process.role} {process.name} ready{measured}\n")
        sys.stdout.flush()
        # A signal that comes to another thread, as it may just after SIGCONT, does not wake this one.
        while not told.wait(1.0):
            pass
        log.info("process.draining", role=str(process.role), name=process.name, grace=settings.grace)
    finally:
        process.close()
        if telemetry is not None:
            telemetry.close()
