"""The promises of ``WebhookStore``, whoever keeps them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.job_store import SqlJobStore
from tensortrigger_backend.adapters.sql.tables import webhooks
from tensortrigger_backend.adapters.sql.webhook_store import SqlWebhookStore
from tensortrigger_backend.domain.jobs import Job, JobState, LogEntry
from tensortrigger_backend.ports.webhooks import Webhook, WebhookStore

AtOnce = Callable[[Callable[[int], Any]], Sequence[Any]]


@pytest.fixture
def store(database: Database) -> WebhookStore:
    return SqlWebhookStore(database)


@pytest.fixture
def owe(database: Database) -> Callable[..., None]:
    """Owe a message about a job that has ended."""
    jobs = SqlJobStore(database)

    def owe(
        job_id: str = "j1", owner: str = "ann", url: str = "https://a.example/", due: float = 10.0
    ) -> None:
        ended = Job(job_id, owner, "m1", JobState.QUEUED, "u", 1, (), 0, 1.0, 1.0)
        jobs.add(ended, [])
        with database.write() as connection:
            connection.execute(
                insert(webhooks).values(
                    job_id=job_id,
                    owner=owner,
                    message_id=f"of-{job_id}",
                    url=url,
                    body="{}",
                    attempts=0,
                    due=due,
                )
            )

    return owe


def told(database: Database) -> list[LogEntry]:
    """What the job's log says of webhooks."""
    return [entry for entry in SqlJobStore(database).log("j1", 0, 100) if "webhook" in entry.message]


def test_what_is_due_is_given_to_one_taker_at_a_time(store: WebhookStore, owe: Callable[..., None]) -> None:
    owe(due=10.0)
    assert store.take(9.9, 30.0) is None
    assert store.take(10.0, 30.0) == Webhook("j1", "ann", "of-j1", "https://a.example/", "{}", 0)
    assert store.take(39.9, 30.0) is None
    # Whoever took it has died.
    again = store.take(40.0, 30.0)
    assert again is not None
    assert (again.message_id, again.attempts) == ("of-j1", 0)


def test_eight_takers_get_eight_different_messages(
    store: WebhookStore, owe: Callable[..., None], at_once: AtOnce
) -> None:
    for number in range(8):
        owe(f"j{number}")
    taken = at_once(lambda _: store.take(10.0, 30.0))
    assert sorted(webhook.job_id for webhook in taken if webhook) == [f"j{number}" for number in range(8)]


def test_what_waits_longest_goes_first(store: WebhookStore, owe: Callable[..., None]) -> None:
    owe("late", due=9.0)
    owe("early", due=3.0)
    assert [found.job_id for _ in range(2) if (found := store.take(10.0, 30.0))] == ["early", "late"]


def test_receivers_and_owners_can_be_left_out(store: WebhookStore, owe: Callable[..., None]) -> None:
    owe("j1", "ann", "https://a.example/")
    owe("j2", "ann", "https://b.example/")
    owe("j3", "bob", "https://c.example/")
    assert store.take(10.0, 30.0, ["https://a.example/", "https://b.example/", "https://c.example/"]) is None
    assert store.take(10.0, 30.0, [], ["ann", "bob"]) is None
    found = store.take(10.0, 30.0, ["https://a.example/"], ["bob"])
    assert found is not None
    assert found.job_id == "j2"


def test_what_was_delivered_is_not_due_again_and_the_log_says_so(
    store: WebhookStore, owe: Callable[..., None], database: Database
) -> None:
    owe()
    taken = store.take(10.0, 30.0)
    assert taken is not None
    store.settle(taken, None, None, 11.0)
    assert store.take(1e9, 30.0) is None
    (entry,) = told(database)
    assert (entry.level, entry.at, entry.message) == (
        "info",
        11.0,
        "The webhook was delivered after 1 attempt.",
    )


def test_what_failed_is_due_again_later_and_given_up_in_the_end(
    store: WebhookStore, owe: Callable[..., None], database: Database
) -> None:
    owe()
    taken = store.take(10.0, 30.0)
    assert taken is not None
    store.settle(taken, "it answered 500", 16.0, 11.0)
    assert store.take(15.9, 30.0) is None
    again = store.take(16.0, 30.0)
    assert again is not None
    assert again == replace(taken, attempts=1)
    store.settle(again, "it answered 500", None, 17.0)
    assert store.take(1e9, 30.0) is None
    assert [(entry.level, entry.message) for entry in told(database)] == [
        ("warning", "The webhook did not arrive, attempt 1: it answered 500; again in 5 seconds."),
        ("error", "The webhook was given up after 2 attempts: it answered 500."),
    ]


def test_what_another_process_has_settled_meanwhile_stays_as_it_is(
    store: WebhookStore, owe: Callable[..., None], database: Database
) -> None:
    owe()
    slow = store.take(10.0, 30.0)
    quick = store.take(50.0, 30.0)
    assert slow is not None
    assert quick is not None
    store.settle(quick, None, None, 51.0)
    store.settle(slow, "it took too long", 60.0, 52.0)
    assert store.take(1e9, 30.0) is None
    assert len(told(database)) == 1


def test_a_job_that_was_deleted_meanwhile_is_no_fault(
    store: WebhookStore, owe: Callable[..., None], database: Database
) -> None:
    owe()
    taken = store.take(10.0, 30.0)
    assert taken is not None
    SqlJobStore(database).remove("j1", "ann")
    store.settle(taken, None, None, 11.0)
    assert store.take(1e9, 30.0) is None
