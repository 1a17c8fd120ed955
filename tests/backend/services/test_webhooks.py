"""Messages about jobs that have ended, delivered to a real receiver."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.job_store import SqlJobStore
from tensortrigger_backend.adapters.sql.tables import webhooks
from tensortrigger_backend.adapters.sql.webhook_store import SqlWebhookStore
from tensortrigger_backend.adapters.webhook_http import HttpCourier
from tensortrigger_backend.domain.access import EVERYTHING, Principal, Scope
from tensortrigger_backend.domain.errors import Forbidden
from tensortrigger_backend.domain.jobs import Job, JobState
from tensortrigger_backend.domain.public_addresses import networks_of
from tensortrigger_backend.domain.webhooks import RETRY_AFTER, body_of
from tensortrigger_backend.ports.webhooks import Courier, Webhook
from tensortrigger_backend.services.webhooks import Webhooks

ANN = Principal("ann", EVERYTHING)
PEPPER = b"p" * 32
ENDED = Job(
    job_id="j1",
    owner="ann",
    model_id="m1",
    state=JobState.SUCCEEDED,
    upload_key="jobs/j1/upload",
    upload_size=10,
    columns=("a",),
    rows_total=3,
    created=1.0,
    last_updated=9.0,
    finished=9.0,
    rows_done=3,
    rows_rejected=1,
)


@pytest.fixture
def owe(database: Database, clock: Any) -> Callable[..., None]:
    jobs = SqlJobStore(database)

    def owe(url: str, job_id: str = "j1", owner: str = "ann") -> None:
        jobs.add(Job(job_id, owner, "m1", JobState.QUEUED, "u", 1, (), 0, 1.0, 1.0), [])
        with database.write() as connection:
            connection.execute(
                insert(webhooks).values(
                    job_id=job_id,
                    owner=owner,
                    message_id=f"of-{job_id}",
                    url=url,
                    body=body_of(ENDED),
                    attempts=0,
                    due=clock(),
                )
            )

    return owe


@pytest.fixture
def service(database: Database, clock: Any) -> Callable[..., Webhooks]:
    def service(courier: Courier | None = None) -> Webhooks:
        courier = courier or HttpCourier(networks_of(["127.0.0.0/8"]))
        return Webhooks(SqlWebhookStore(database), courier, PEPPER, clock, lambda: 0.0)

    return service


def tried(service: Webhooks) -> bool:
    """One attempt at what is due; whether anything was."""
    webhook = service.take()
    if webhook is not None:
        service.deliver(webhook)
    return webhook is not None


def verified(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """As the specification of Standard Webhooks tells receivers to do it."""
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), content, hashlib.sha256).digest()
    given = [one.split(",", 1) for one in headers["webhook-signature"].split(" ")]
    return any(
        version == "v1" and hmac.compare_digest(base64.b64decode(signature), digest)
        for version, signature in given
    )


def test_a_receiver_can_tell_who_sent_the_message(
    service: Callable[..., Webhooks], owe: Callable[..., None], receiver: Any, clock: Any
) -> None:
    owe(receiver.url)
    sender = service()
    assert tried(sender)
    ((_, headers, body),) = receiver.got
    assert headers["webhook-timestamp"] == str(int(clock()))
    assert headers["content-type"] == "application/json"
    assert verified(sender.secret(ANN), headers, body)
    assert not verified(sender.secret(Principal("bob", EVERYTHING)), headers, body)
    assert not verified(sender.secret(ANN), headers, body.replace(b"succeeded", b"cancelled"))
    assert json.loads(body) == {
        "type": "job.succeeded",
        "timestamp": "1970-01-01T00:00:09.000Z",
        "data": {
            "job_id": "j1",
            "kind": "score",
            "model_id": "m1",
            "model_name": None,
            "model_version": None,
            "state": "succeeded",
            "rows_total": 3,
            "rows_done": 3,
            "rows_rejected": 1,
            "error": None,
        },
    }


def test_the_check_in_the_documentation_tells_the_same(
    service: Callable[..., Webhooks], owe: Callable[..., None], receiver: Any
) -> None:
    told = Path(__file__).parents[3].joinpath("docs", "webhooks.md").read_text()
    names: dict[str, Any] = {}
    exec(told.partition("```python\n")[2].partition("```")[0], names)
    owe(receiver.url)
    sender = service()
    assert tried(sender)
    ((_, headers, body),) = receiver.got
    assert names["is_genuine"](sender.secret(ANN), headers, body)
    assert not names["is_genuine"](sender.secret(ANN), headers, body + b" ")


def test_what_failed_is_tried_again_under_the_same_id(
    service: Callable[..., Webhooks], owe: Callable[..., None], receiver: Any, clock: Any, database: Database
) -> None:
    receiver.answers = [500, 503, 200]
    owe(receiver.url)
    sender = service()
    assert tried(sender)
    assert not tried(sender)
    clock.wait(5.0)
    assert tried(sender)
    clock.wait(29.9)
    assert not tried(sender)
    clock.wait(0.1)
    assert tried(sender)
    clock.wait(1e6)
    assert not tried(sender)
    assert {headers["webhook-id"] for _, headers, _ in receiver.got} == {"of-j1"}
    assert len({headers["webhook-timestamp"] for _, headers, _ in receiver.got}) == 3
    assert all(verified(sender.secret(ANN), headers, body) for _, headers, body in receiver.got)
    log = SqlJobStore(database).log("j1", 0, 10)
    told = [entry.level for entry in log if "webhook" in entry.message]
    assert told == ["warning", "warning", "info"]


def test_a_message_is_given_up_in_the_end_and_the_log_says_so(
    service: Callable[..., Webhooks], owe: Callable[..., None], receiver: Any, clock: Any, database: Database
) -> None:
    receiver.answers = [500]
    owe(receiver.url)
    sender = service()
    for seconds in (*RETRY_AFTER, 1e6):
        assert tried(sender)
        clock.wait(seconds)
    assert not tried(sender)
    assert len(receiver.got) == 6
    last = SqlJobStore(database).log("j1", 0, 10)[-1]
    assert (last.level, last.message) == (
        "error",
        "The webhook was given up after 6 attempts: it answered 500.",
    )


def test_a_message_in_the_hands_of_a_process_that_died_is_delivered_by_another(
    service: Callable[..., Webhooks], owe: Callable[..., None], receiver: Any, clock: Any
) -> None:
    owe(receiver.url)
    assert service().take() is not None
    assert not tried(service())
    clock.wait(60.0)
    assert tried(service())
    assert len(receiver.got) == 1


class Hanging:
    """A courier one of whose receivers hangs until the test lets go."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.brought: list[str] = []

    def check(self, url: str) -> None:
        pass

    def bring(self, webhook: Webhook, headers: Mapping[str, str]) -> str | None:
        if "dead" in webhook.url:
            self.release.wait(30.0)
            return "it took too long"
        self.brought.append(webhook.job_id)
        return None


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    courier = Hanging()
    yield courier
    courier.release.set()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_receiver_that_hangs_holds_up_nobody_else(
    service: Callable[..., Webhooks], owe: Callable[..., None], hanging: Hanging
) -> None:
    for number in range(20):
        owe("https://dead.example/", f"dead{number:02d}")
    owe("https://alive.example/", "of-ann")
    owe("https://alive.example/", "of-bob", "bob")
    sender = service(hanging)
    sender.start()
    try:
        until(lambda: sorted(hanging.brought) == ["of-ann", "of-bob"])
    finally:
        hanging.release.set()
        sender.close()


def test_many_dead_receivers_of_one_owner_hold_up_no_other_owner(
    service: Callable[..., Webhooks], owe: Callable[..., None], hanging: Hanging
) -> None:
    for number in range(20):
        owe(f"https://dead.example/{number}", f"dead{number:02d}")
    owe("https://alive.example/", "of-bob", "bob")
    sender = service(hanging)
    sender.start()
    try:
        until(lambda: hanging.brought == ["of-bob"])
    finally:
        hanging.release.set()
        sender.close()


def test_a_receiver_that_failed_waits_until_nobody_else_does(
    service: Callable[..., Webhooks], owe: Callable[..., None], receiver: Any
) -> None:
    receiver.answers = [500, 200]
    owe(receiver.url + "&first", "j1")
    sender = service()
    assert tried(sender)
    owe(receiver.url + "&first", "j2")
    owe(receiver.url + "&second", "j3")
    assert tried(sender)
    assert tried(sender)
    paths = [path.partition("&")[2] for path, _, _ in receiver.got]
    assert paths == ["first", "second", "first"]


def test_each_owner_has_a_secret_that_needs_the_scope_of_jobs(service: Callable[..., Webhooks]) -> None:
    sender = service()
    secret = sender.secret(ANN)
    assert secret == sender.secret(ANN)
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    with pytest.raises(Forbidden):
        sender.secret(Principal("ann", frozenset({Scope.READ})))
