"""What this server sets for its kernels goes away again, and nothing else does."""

from __future__ import annotations

import os

import pytest

from tensortrigger_server.environment import KernelEnvironment, checked_url


def test_what_was_there_before_comes_back():
    environ = {"TENSORTRIGGER_API_KEY": "tt_mine", "HOME": "/home/ada"}
    environment = KernelEnvironment(environ)
    environment.export(url="http://127.0.0.1:1", api_key="tt_session")
    environment.export(api_key="tt_rotated")
    assert environ["TENSORTRIGGER_URL"] == "http://127.0.0.1:1"
    assert environ["TENSORTRIGGER_API_KEY"] == "tt_rotated"
    environment.restore()
    assert environ == {"TENSORTRIGGER_API_KEY": "tt_mine", "HOME": "/home/ada"}


def test_what_somebody_else_has_set_since_stays():
    environ: dict[str, str] = {}
    environment = KernelEnvironment(environ)
    environment.export(url="http://127.0.0.1:1", api_key="tt_session")
    environ["TENSORTRIGGER_URL"] = "http://theirs"
    environment.restore()
    assert environ == {"TENSORTRIGGER_URL": "http://theirs"}


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        (" https://models.example.org/tt/ ", "https://models.example.org/tt"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
    ],
)
def test_a_backend_url_loses_its_trailing_slash(text, url):
    assert checked_url(text) == url


@pytest.mark.parametrize(
    "text", ["", "host:80", "file:///etc", "http://:80", "http://h:0", "http://h?a=1", "http://h#a"]
)
def test_what_is_no_plain_http_url_is_refused(text):
    with pytest.raises(ValueError, match="backend URL"):
        checked_url(text)


def test_the_folder_of_the_commands_comes_first_on_the_path_and_goes_again():
    before = f"/usr/bin{os.pathsep}{os.pathsep}/bin"
    environ = {"PATH": before}
    environment = KernelEnvironment(environ)
    for _ in range(2):
        environment.offer_commands("/venv/bin")
        assert environ["PATH"] == f"/venv/bin{os.pathsep}{before}"
    environment.restore()
    assert environ == {"PATH": before}


def test_a_path_that_names_the_folder_already_keeps_its_order():
    environ = {"PATH": f"/usr/bin{os.pathsep}/venv/bin"}
    environment = KernelEnvironment(environ)
    environment.offer_commands("/venv/bin")
    assert environ == {"PATH": f"/usr/bin{os.pathsep}/venv/bin"}


def test_where_there_is_no_path_there_is_none_afterwards():
    environ: dict[str, str] = {}
    environment = KernelEnvironment(environ)
    environment.offer_commands("/venv/bin")
    assert environ == {"PATH": "/venv/bin"}
    environment.restore()
    assert environ == {}
