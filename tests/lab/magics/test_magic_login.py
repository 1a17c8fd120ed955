"""``%tt login`` and ``%tt status``: the key is asked for, and shows nowhere."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from IPython.core.error import StdinNotImplementedError

from tensortrigger_lab import magics
from tensortrigger_lab.client import Client
from tensortrigger_lab.session import session


def test_status_tells_url_and_version(endpoint: Any, shapes: Any, typed: Any) -> None:
    _, printed = typed("%tt status")
    assert shapes.url in printed
    assert "version 0.1.0" in printed


def test_status_says_that_the_key_is_refused(endpoint: Any, shapes: Any, typed: Any) -> None:
    endpoint.on("GET", "/models", shapes.problem(401, "The API key is unknown."))
    session().use(Client(shapes.url, "tt_wrong", transport=httpx.MockTransport(endpoint)))
    result, printed = typed("%tt status")
    assert "the key is refused" in printed
    assert "tt_wrong" not in printed
    assert not result.success


def test_login_asks_for_the_key_and_shows_it_nowhere(
    endpoint: Any, shapes: Any, monkeypatch: pytest.MonkeyPatch, typed: Any
) -> None:
    monkeypatch.setattr(magics, "getpass", lambda prompt: "tt_a_secret")
    used: list[Client] = []

    def use(url: str | None, key: str | None) -> Client:
        import httpx

        client = Client(url, key, transport=httpx.MockTransport(endpoint))
        used.append(client)
        session().use(client)
        return client

    monkeypatch.setattr(magics, "login", use)
    _, printed = typed(f"%tt login {shapes.url}")
    assert "in use" in printed
    assert "secret" not in printed
    assert endpoint.requests[-1].headers["Authorization"] == "Bearer tt_a_secret"


@pytest.mark.parametrize("error", [EOFError(), StdinNotImplementedError("no input requests")])
def test_login_where_nobody_can_be_asked_is_short(
    api: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, typed: Any
) -> None:
    def nobody(prompt: str) -> str:
        raise error

    monkeypatch.setattr(magics, "getpass", nobody)
    _, printed = typed("%tt login")
    assert "nobody can be asked for the key here" in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("line", ["%tt login tt_a_secret", "%tt login http://h tt_a_secret", "%tt login a b"])
def test_a_key_on_the_line_is_refused(
    api: Any, monkeypatch: pytest.MonkeyPatch, line: str, typed: Any
) -> None:
    monkeypatch.setattr(magics, "getpass", lambda prompt: pytest.fail("asked for the key"))
    _, printed = typed(line)
    assert "takes only a URL" in printed
    assert "secret" not in printed
    assert api.requests == []
