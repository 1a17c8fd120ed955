"""Which backend and which key."""

from __future__ import annotations

import pytest

from tensortrigger_lab.client import Client
from tensortrigger_lab.config import Settings, from_environment
from tensortrigger_lab.errors import BadInput


def test_without_an_environment_the_backend_is_on_this_machine() -> None:
    assert from_environment({}) == Settings("http://127.0.0.1:8500", None)


def test_the_environment_names_backend_and_key() -> None:
    settings = from_environment(
        {"TENSORTRIGGER_URL": "https://m.example/", "TENSORTRIGGER_API_KEY": " tt_a_b\n"}
    )
    assert settings == Settings("https://m.example", "tt_a_b")


@pytest.mark.parametrize(
    "url", ["", "m.example", "ftp://m.example", "http://", "http://h:99999", "file:///etc"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="must look like"):
        Settings(url or " ")


def test_a_password_in_the_url_is_refused_without_being_repeated() -> None:
    with pytest.raises(BadInput) as caught:
        Settings("http://me:hunter2@m.example")
    assert "hunter2" not in str(caught.value)


def test_a_key_that_no_header_can_hold_is_refused_without_being_repeated() -> None:
    with pytest.raises(BadInput) as caught:
        Settings(api_key="tt_ä secret")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:1", True),
        ("http://localhost", True),
        ("http://[::1]:2", True),
        ("http://10.0.0.1", False),
    ],
)
def test_loopback_is_told_from_elsewhere(url: str, here: bool) -> None:
    assert Settings(url).on_this_machine is here


def test_no_repr_shows_the_key() -> None:
    with Client("http://127.0.0.1:1", "tt_a_secret") as client:
        assert "secret" not in repr(client) + repr(Settings(api_key="tt_a_secret"))
        assert repr(client) == "Client('http://127.0.0.1:1', with a key)"


def test_the_environments_key_is_not_sent_to_another_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORTRIGGER_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("TENSORTRIGGER_API_KEY", "tt_a_secret")
    with Client() as own, Client("http://127.0.0.1:2") as other:
        assert (own.has_key, other.has_key) == (True, False)
