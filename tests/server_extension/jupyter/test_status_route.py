"""What the browser is told about the backend, and who may ask."""

from __future__ import annotations

import json
import os
import signal
from importlib import metadata

import pytest
from jupyter_server.auth import AllowAllAuthorizer

from tensortrigger_server.status import skew


class _Deny(AllowAllAuthorizer):
    def is_authorized(self, handler, user, action, resource):
        return (action, resource) != ("read", "tensortrigger")


def test_a_running_backend_is_shown_with_its_process_and_url(extension, status_when):
    status = status_when(lambda status: status["ready"])
    assert status == {
        "embedded": True,
        "running": True,
        "ready": True,
        "url": os.environ["TENSORTRIGGER_URL"],
        "pid": status["pid"],
        "restarts": 0,
        "version": None,
        "extension_version": metadata.version("tensortrigger-lab"),
    }


@pytest.mark.parametrize("header", ["", "token wrong"])
def test_without_the_right_jupyter_token_the_route_is_forbidden(extension, fetch_status, header):
    response = fetch_status(headers={"Authorization": header})
    assert response.code == 403
    assert b"url" not in response.body


@pytest.mark.parametrize("traits", [{}])
def test_a_user_without_permission_is_refused(jp_server_config, request):
    jp_server_config["ServerApp"]["authorizer_class"] = _Deny
    request.getfixturevalue("extension")
    assert request.getfixturevalue("fetch_status")().code == 403


def test_no_byte_of_an_answer_or_of_the_log_holds_the_key(
    extension, fetch_status, status_when, log_text, stand_in
):
    key = os.environ["TENSORTRIGGER_API_KEY"]
    secret = key.split("_", 2)[2]
    assert len(secret) == 43
    status_when(lambda status: status["ready"])
    response = fetch_status()
    seen = (
        response.body.decode()
        + repr(list(response.headers.get_all()))
        + log_text()
        + repr(extension.settings)
    )
    assert "TensorTrigger backend ready at" in seen
    assert secret not in seen


@pytest.mark.parametrize("traits", [{"request_timeout": 0.3}])
def test_a_crash_shows_as_a_restart(extension, status_when):
    pid = status_when(lambda status: status["ready"])["pid"]
    os.kill(pid, signal.SIGKILL)
    status = status_when(lambda status: "error" in status)
    assert "was ended by SIGKILL" in status["error"]
    assert not status["ready"]
    status = status_when(lambda status: status["ready"])
    assert status["restarts"] == 1
    assert status["pid"] != pid
    assert "error" not in status


@pytest.mark.parametrize("traits", [{"request_timeout": 0.2}])
def test_a_backend_that_hangs_is_running_but_not_ready(extension, status_when):
    pid = status_when(lambda status: status["ready"])["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        status = status_when(lambda status: "error" in status)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert status["running"]
    assert not status["ready"]
    assert "does not answer in time" in status["error"]


def test_a_proxy_for_the_world_outside_does_not_hide_the_embedded_backend(monkeypatch, request):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    request.getfixturevalue("extension")
    assert request.getfixturevalue("status_when")(lambda status: status["ready"])["embedded"]


def test_asking_again_and_again_does_not_count_as_activity(extension, jp_serverapp, fetch_status):
    before = jp_serverapp.web_app.settings.get("api_last_activity")
    assert fetch_status().code == 200
    assert jp_serverapp.web_app.settings.get("api_last_activity") == before


def test_before_the_extension_starts_the_answer_says_so(jp_serverapp, fetch_status):
    status = json.loads(fetch_status().body)
    assert not status["running"]
    assert status["url"] is None
    assert "jupyter-server 2.15" in status["error"]


def test_the_backends_version_is_told_beside_our_own(with_backend, call):
    status = json.loads(call("GET", "status").body)
    assert status["version"] == "0.1.0"
    assert status["extension_version"] == metadata.version("tensortrigger-lab")
    assert "skew" not in status


@pytest.mark.parametrize(
    ("backend", "extension", "outdated"),
    [
        ("0.1.0", "0.1.9", None),
        ("0.1.0", "0.2.0", "backend"),
        ("0.2.0", "0.1.0", "JupyterLab extension"),
        ("0.9.0", "1.0.0", "backend"),
        ("1.0.0", "1.7.0", None),
        ("2.0.0", "1.7.0", "JupyterLab extension"),
        (None, "0.1.0", None),
        ("nonsense", "0.1.0", None),
        ("0.1.0", "unknown", None),
    ],
)
def test_versions_that_do_not_fit_together_are_told_with_what_to_update(backend, extension, outdated):
    told = skew(backend, extension)
    assert (told is None) == (outdated is None)
    if told:
        assert told.endswith(f"update the {outdated}.")


def test_a_backend_that_is_older_than_its_version_header_is_asked_for_its_version(
    with_backend, backend, call
):
    backend.version_header = False
    assert json.loads(call("GET", "status").body)["version"] == "0.1.0"
