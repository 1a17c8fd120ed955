"""Webhooks brought to real receivers, and to none that this server must not call."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tensortrigger_backend.adapters.webhook_http import CHECKS, HttpCourier
from tensortrigger_backend.domain.errors import InvalidInput
from tensortrigger_backend.domain.public_addresses import networks_of
from tensortrigger_backend.ports.webhooks import Webhook

LOOPBACK = networks_of(["127.0.0.0/8"])


@pytest.fixture
def drip() -> Iterator[Callable[[bytes, float], str]]:
    """The URL of a server that answers with these bytes, one every so often."""
    stop = threading.Event()
    listeners, threads = [], []

    def start(answer: bytes, every: float) -> str:
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                for byte in answer:
                    if stop.wait(every):
                        return
                    try:
                        connection.sendall(bytes([byte]))
                    except OSError:
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        listeners.append(listener)
        threads.append(thread)
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"

    yield start
    stop.set()
    for thread in threads:
        thread.join()
    for listener in listeners:
        listener.close()


@pytest.fixture(scope="module")
def strict() -> HttpCourier:
    """One that is let through to no private network."""
    return HttpCourier()


def message(url: str, body: str = '{"type":"job.succeeded"}') -> Webhook:
    return Webhook("j1", "ann", "m1", url, body, 0)


def names(**addresses: Sequence[str]) -> Callable[[str, int], Sequence[str]]:
    """A resolver that knows these names only."""

    def resolve(host: str, _port: int) -> Sequence[str]:
        found = addresses.get(host.split(".", maxsplit=1)[0])
        if found is None:
            raise OSError("no such name")
        return found

    return resolve


def test_names_that_resolve_slowly_hold_up_few_of_those_who_wait() -> None:
    asked, answered = threading.Semaphore(0), threading.Event()

    def slow(_host: str, _port: int) -> list[str]:
        asked.release()
        answered.wait(10.0)
        return ["8.8.8.8"]

    courier = HttpCourier(resolver=slow)
    held = [threading.Thread(target=courier.check, args=("http://slow.example/",)) for _ in range(CHECKS)]
    for thread in held:
        thread.start()
        assert asked.acquire(timeout=5.0)
    begun = time.monotonic()
    courier.check("http://another.example/")
    # What stands in the address itself needs nobody's answer.
    with pytest.raises(InvalidInput):
        courier.check("http://127.0.0.1/")
    assert time.monotonic() - begun < 2.0
    answered.set()
    for thread in held:
        thread.join()
    courier.check("http://slow.example/")
    assert asked.acquire(timeout=5.0), "it is asked again once there is room"


def test_a_message_arrives_with_its_headers(receiver: Any) -> None:
    assert HttpCourier(LOOPBACK).bring(message(receiver.url), {"webhook-id": "m1"}) is None
    ((path, headers, body),) = receiver.got
    assert (path, body) == ("/hook?job=1", b'{"type":"job.succeeded"}')
    assert headers["webhook-id"] == "m1"
    assert headers["host"] == f"127.0.0.1:{receiver.port}"
    assert headers["content-length"] == str(len(body))


def test_the_name_goes_along_with_the_call_and_the_call_goes_to_the_address(receiver: Any) -> None:
    courier = HttpCourier(LOOPBACK, names(hooks=["127.0.0.1"]))
    assert courier.bring(message(f"http://hooks.example:{receiver.port}/"), {}) is None
    assert receiver.got[0][1]["host"] == f"hooks.example:{receiver.port}"


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 410, 500, 503])
def test_only_an_answer_of_success_counts_as_delivered(receiver: Any, status: int) -> None:
    receiver.answers, receiver.headers = [status], {"Location": receiver.url}
    error = HttpCourier(LOOPBACK).bring(message(receiver.url), {})
    assert error is not None
    assert str(status) in error
    # A redirect might lead anywhere.
    assert len(receiver.got) == 1


def test_no_proxy_of_the_environment_is_asked(receiver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert HttpCourier(LOOPBACK).bring(message(receiver.url), {}) is None


def test_an_answer_without_end_is_not_read_to_its_end(receiver: Any) -> None:
    receiver.body = bytes(8 << 20)
    assert HttpCourier(LOOPBACK).bring(message(receiver.url), {}) is None


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 500, b"nonsense" * 100],
    ids=["silence", "head", "junk"],
)
def test_a_receiver_that_drips_is_left_at_the_deadline(
    drip: Callable[[bytes, float], str], answer: bytes
) -> None:
    courier = HttpCourier(LOOPBACK, seconds=0.5)
    begun = time.monotonic()
    assert courier.bring(message(drip(answer, 0.1) if answer else drip(b"x", 30.0)), {}) is not None
    assert time.monotonic() - begun < 3.0


def test_a_delivered_message_stays_delivered_when_the_answer_drips(
    drip: Callable[[bytes, float], str],
) -> None:
    url = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 1000, 0.005)
    assert HttpCourier(LOOPBACK, seconds=1.5).bring(message(url), {}) is None


def test_nobody_there_is_said_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = HttpCourier(LOOPBACK).bring(message(f"http://127.0.0.1:{port}/"), {})
    assert error is not None
    assert "no connection" in error


NEVER = [
    "http://127.0.0.1/",
    "http://127.0.0.1:8500/jobs",
    "http://127.1.2.3/",
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://127.0.0.1./",
    "http://127.000.000.001/",
    "http://134744072/",  # 8.8.8.8: public, and still not how it is written
    "http://127\u30020\u30020\u30021/",
    "http://localhost/",
    "http://LOCALHOST:80/",
    "http://localhost./",
    "http://a.localhost/",
    "http://0.0.0.0/",
    "http://0/",
    "http://10.0.0.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.0.0.8/",
    "http://192.88.99.1/",
    "http://192.168.1.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://[::1]/",
    "http://[::]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:8.8.8.8]/",
    "http://[::127.0.0.1]/",
    "http://[2002:7f00:1::]/",
    "http://[64:ff9b::127.0.0.1]/",
    "http://[64:ff9b:1::7f00:1]/",
    "http://[2001:0:7f00:1::]/",
    "http://[fc00::1]/",
    "http://[fd12:3456::1]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25lo]/",
    "http://[2606:4700::1111%25lo]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[2001:db8::1]/",
    "http://user:secret@8.8.8.8/",
    "http://8.8.8.8\\@127.0.0.1/",
    "ftp://8.8.8.8/",
    "file:///etc/passwd",
    "gopher://8.8.8.8/",
    "//8.8.8.8/",
    "8.8.8.8/hook",
    "http://",
    "http:///hook",
    "http://8.8.8.8:0/",
    "http://8.8.8.8:99999/",
    "http://exa mple.com/",
    "http://%31%32%37.0.0.1/",
    "http://a\r\nb/",
    "",
    "https://example.com/" + "x" * 3000,
]


@pytest.mark.parametrize("url", NEVER, ids=lambda url: url[:40])
def test_what_is_not_public_is_refused_in_every_notation(strict: HttpCourier, url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        strict.check(url)
    assert caught.value.faults[0].loc == ("webhook",)
    assert "secret" not in str(caught.value.faults)
    assert "never called" in (strict.bring(message(url), {}) or "")


@pytest.mark.parametrize(
    "url", ["https://8.8.8.8/", "http://1.1.1.1:8080/x?y=z", "https://[2606:4700:4700::1111]/hook"]
)
def test_public_addresses_are_taken(url: str) -> None:
    HttpCourier().check(url)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "::1",
        "::ffff:127.0.0.1",
        "fe80::1%eth0",
        "64:ff9b::7f00:1",
    ],
)
def test_a_public_name_for_a_private_address_is_refused(address: str) -> None:
    courier = HttpCourier(resolver=names(inside=[address]))
    with pytest.raises(InvalidInput, match="public"):
        courier.check("https://inside.example/")
    assert "never called" in (courier.bring(message("https://inside.example/"), {}) or "")


def test_a_name_that_is_not_known_yet_is_taken_and_its_failure_told_later() -> None:
    courier = HttpCourier(resolver=names())
    courier.check("https://soon.example/")
    assert courier.bring(message("https://soon.example/"), {}) == "its name could not be resolved"


def test_a_resolver_that_answers_otherwise_the_second_time_is_not_asked_a_second_time(
    receiver: Any,
) -> None:
    asked: list[str] = []

    def rebinding(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["192.0.2.1"] if len(asked) == 1 else ["127.0.0.1"]

    # The first answer is let through, but nothing listens there; the second leads to the receiver.
    courier = HttpCourier(networks_of(["192.0.2.0/24"]), rebinding, seconds=0.5)
    assert courier.bring(message(f"http://rebind.example:{receiver.port}/"), {}) is not None
    assert asked == ["rebind.example"]
    assert "never called" in (courier.bring(message(f"http://rebind.example:{receiver.port}/"), {}) or "")
    assert receiver.got == []


def test_of_several_addresses_only_public_ones_are_called(receiver: Any) -> None:
    both = names(both=["127.0.0.1", "192.0.2.1"])
    courier = HttpCourier(networks_of(["192.0.2.0/24"]), both, seconds=0.5)
    assert courier.bring(message(f"http://both.example:{receiver.port}/"), {}) is not None
    assert receiver.got == []


def test_a_resolver_that_hangs_holds_nothing_up() -> None:
    release = threading.Event()

    def hanging(_host: str, _port: int) -> Sequence[str]:
        release.wait(30.0)
        return ["8.8.8.8"]

    begun = time.monotonic()
    error = HttpCourier(resolver=hanging, seconds=0.3).bring(message("https://slow.example/"), {})
    release.set()
    assert error == "its name was not resolved in time"
    assert time.monotonic() - begun < 3.0


def test_a_network_that_is_let_through_lets_nothing_else_through() -> None:
    courier = HttpCourier(networks_of(["10.1.0.0/16", "fd00::/8"]))
    courier.check("http://10.1.2.3/")
    courier.check("http://[fd00::1]/")
    for url in ("http://10.2.0.1/", "http://127.0.0.1/", "http://[::ffff:10.1.2.3]/", "http://[fc00::1]/"):
        with pytest.raises(InvalidInput):
            courier.check(url)


def test_the_name_of_this_machine_is_let_through_with_its_address(receiver: Any) -> None:
    courier = HttpCourier(LOOPBACK, names(localhost=["8.8.8.8"]))
    url = f"http://localhost:{receiver.port}/"
    courier.check(url)
    assert courier.bring(message(url), {}) is None
    assert receiver.got[0][1]["host"] == f"localhost:{receiver.port}"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "app.localhost."])
def test_who_is_refused_for_its_address_is_told_where_an_operator_lets_it_through(
    strict: HttpCourier, host: str
) -> None:
    with pytest.raises(InvalidInput, match="TENSORTRIGGER_WEBHOOK_NETWORKS"):
        strict.check(f"http://{host}/")


def test_a_certificate_of_another_name_is_refused(receiver: Any) -> None:
    # Plain HTTP stands there: whatever it answers, it cannot prove to be this name.
    courier = HttpCourier(LOOPBACK, names(bank=["127.0.0.1"]), seconds=2.0)
    error = courier.bring(message(f"https://bank.example:{receiver.port}/"), {})
    assert error is not None
    assert "no connection" in error


def test_a_network_is_written_as_a_network() -> None:
    assert networks_of(["10.0.0.0/8"]) == (ipaddress.ip_network("10.0.0.0/8"),)
    with pytest.raises(ValueError, match=r"10\.0\.0\.1/8"):
        networks_of(["10.0.0.1/8"])
