"""``%config TensorTrigger``: what it changes, and that no key is among it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from tensortrigger_lab import magics
from tensortrigger_lab.client import Client
from tensortrigger_lab.session import session

OTHER = "http://127.0.0.1:8600"


def test_the_settings_are_listed_without_a_key(
    shapes: Any, api: Any, shell: InteractiveShell, typed: Any
) -> None:
    import httpx

    session().use(Client(shapes.url, "tt_secret", transport=httpx.MockTransport(api)))
    _, printed = typed("%config TensorTrigger")
    assert all(f"TensorTrigger.{name}" in printed for name in ("url", "timeout", "progress", "table"))
    assert shapes.url in printed
    assert "secret" not in printed
    assert api.requests == []


def test_another_url_is_asked_from_now_on_and_never_with_the_key(
    shapes: Any, endpoint: Any, shell: InteractiveShell, typed: Any
) -> None:
    import httpx

    session().use(Client(shapes.url, "tt_secret", transport=httpx.MockTransport(endpoint)))
    typed(f"%config TensorTrigger.url = '{OTHER}'")
    typed("%tt models")
    assert session().client.url == OTHER
    assert endpoint.requests[-1].url.port == 8600
    assert "Authorization" not in endpoint.requests[-1].headers


def test_another_timeout_keeps_the_key(
    shapes: Any, endpoint: Any, shell: InteractiveShell, typed: Any
) -> None:
    import httpx

    session().use(Client(shapes.url, "tt_secret", transport=httpx.MockTransport(endpoint)))
    typed("%config TensorTrigger.timeout = 5")
    typed("%tt models")
    assert endpoint.requests[-1].extensions["timeout"]["read"] == 5.0
    assert endpoint.requests[-1].headers["Authorization"] == "Bearer tt_secret"


def test_lists_become_dataframes(endpoint: Any, shell: InteractiveShell, typed: Any) -> None:
    typed("%config TensorTrigger.table = 'dataframe'")
    assert isinstance(typed("%tt models")[0].result, pd.DataFrame)


@pytest.mark.parametrize(
    "setting", ["url = 'ftp://elsewhere'", "url = 'http://me:secret@h'", "timeout = 0", "table = 'pie'"]
)
def test_what_cannot_be_set_is_refused(
    shell: InteractiveShell, shapes: Any, typed: Any, setting: str
) -> None:
    name = setting.partition(" ")[0]
    before = getattr(shell.configurables[-1], name)
    typed(f"%config TensorTrigger.{setting}")
    assert getattr(shell.configurables[-1], name) == before
    assert session().client.url == shapes.url
    _, printed = typed("%reload_ext tensortrigger_lab\n%tt --help")
    assert "leaves the settings of TensorTrigger aside" in printed
    assert "usage: %tt" in printed


def test_a_login_shows_in_the_settings(
    shell: InteractiveShell, endpoint: Any, monkeypatch: pytest.MonkeyPatch, typed: Any
) -> None:
    import httpx

    def use(url: str | None, key: str | None) -> Client:
        session().use(Client(url, key, transport=httpx.MockTransport(endpoint)))
        return session().client

    monkeypatch.setattr(magics, "getpass", lambda prompt: "tt_secret")
    monkeypatch.setattr(magics, "login", use)
    typed(f"%tt login {OTHER}")
    assert session().client.has_key
    _, printed = typed("%config TensorTrigger")
    assert OTHER in printed
    assert "secret" not in printed


def test_unloading_takes_the_settings_away(shell: InteractiveShell, typed: Any) -> None:
    typed("%unload_ext tensortrigger_lab")
    assert "Invalid config statement: 'TensorTrigger'" in typed("%config TensorTrigger")[1]
