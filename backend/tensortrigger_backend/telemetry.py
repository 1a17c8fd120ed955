"""What operators see: structured logs on stderr and Prometheus metrics."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator, Mapping
from typing import Literal

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from tensortrigger_backend.domain.jobs import JobKind


def configure_logging(level: str, style: Literal["console", "json"]) -> None:
    """Send every log line to stderr, those of the web server included; stdout stays for the ready line."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Their everyday lines say nothing that ours do not.
    for library in ("alembic", "uvicorn", "asyncio"):
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.basicConfig(
        stream=sys.stderr, level=level.upper(), format="%(asctime)s [%(levelname)s] %(name)s: %(message)s"
    )


class Metrics:
    """Counters of one process. Their names begin with ``tensortrigger_``."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        # Looking labels up takes longer than counting does.
        self._bound: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._requests = Counter(
            "tensortrigger_requests_total",
            "HTTP requests answered.",
            ["route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "tensortrigger_request_seconds",
            "Time from request to answer.",
            ["route"],
            registry=self._registry,
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
        )
        self._rows = Counter(
            "tensortrigger_job_rows_total",
            "Rows of CSV jobs that this process committed, by what became of them.",
            ["outcome"],
            registry=self._registry,
        )
        self._waiting = Gauge(
            "tensortrigger_partitions_waiting",
            "Partitions of open jobs that are queued or in work in the whole deployment, by what they need.",
            ["kind"],
            registry=self._registry,
        )
        self._partitions = Counter(
            "tensortrigger_partitions_total",
            "Partitions and trainings that this process claimed, and what became of them.",
            ["outcome"],
            registry=self._registry,
        )
        self._in_work = Gauge(
            "tensortrigger_partitions_in_work",
            "Partitions and trainings that this process has in hand.",
            registry=self._registry,
        )
        self._models = Counter(
            "tensortrigger_models_checked_total",
            "Models, uploaded or trained, that this process checked, by what it found.",
            ["outcome"],
            registry=self._registry,
        )
        for outcome in ("scored", "rejected"):
            self._rows.labels(outcome)
        for outcome in ("claimed", "committed", "failed", "late", "handed_back"):
            self._partitions.labels(outcome)
        for outcome in ("ready", "refused"):
            self._models.labels(outcome)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """One request was answered."""
        bound = self._bound.get((route, status))
        if bound is None:
            bound = self._bound[route, status] = (
                self._requests.labels(route, str(status)),
                self._seconds.labels(route),
            )
        bound[0].inc()
        bound[1].observe(seconds)

    def rows(self, scored: int, rejected: int) -> None:
        """A partition was committed."""
        self._rows.labels("scored").inc(scored)
        self._rows.labels("rejected").inc(rejected)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """A thread has something in hand while the block runs."""
        with self._in_work.track_inprogress():
            yield

    def partition(self, outcome: str) -> None:
        """What became of a partition or training that was claimed."""
        self._partitions.labels(outcome).inc()

    def checked(self, outcome: str) -> None:
        """What a model that came in was found to be."""
        self._models.labels(outcome).inc()

    def waiting(self, partitions: Mapping[JobKind, int]) -> None:
        """How much work there is."""
        for kind in JobKind:
            self._waiting.labels(str(kind)).set(partitions.get(kind, 0))

    def waiting_unknown(self) -> None:
        """The database is away: a number of before would be taken for one of now."""
        self._waiting.clear()

    def exposed(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)
