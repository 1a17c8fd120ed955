"""What kernels find in their environment, whichever way the backend is configured."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import sys
import threading
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import psutil
import pytest

PRINT_ENVIRONMENT = """
import json, os, urllib.request
url, key = os.environ["TENSORTRIGGER_URL"], os.environ["TENSORTRIGGER_API_KEY"]
ask = urllib.request.Request(url + "/facts", headers={"Authorization": "Bearer " + key})
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print(json.dumps({"url": url, "facts": json.load(opener.open(ask, timeout=10))}))
"""


class _Elsewhere(http.server.BaseHTTPRequestHandler):
    answer = (200, b"")

    def do_GET(self):
        code, body = self.answer
        self.send_response(code)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A web server that is no TensorTrigger backend, and answers whatever a test tells it to."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


async def _printed_by_a_kernel(manager, code: str) -> str:
    kernel_id = await manager.start_kernel(kernel_name="python3")
    client = manager.get_kernel(kernel_id).client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=30)
        printed: list[str] = []

        def keep(message):
            if message["msg_type"] in ("stream", "error"):
                printed.append(message["content"].get("text") or str(message["content"]))

        await client.execute_interactive(code, output_hook=keep, timeout=30)
        return "".join(printed)
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(kernel_id, now=True)


def test_a_kernel_reaches_the_embedded_backend_with_nothing_configured(
    extension, jp_serverapp, run, status_when
):
    printed = json.loads(run(_printed_by_a_kernel(jp_serverapp.kernel_manager, PRINT_ENVIRONMENT)))
    assert printed["url"] == status_when(lambda status: True)["url"]
    assert printed["facts"]["authorised"]
    assert printed["facts"]["data_dir"] == extension.data_dir


def test_kernels_find_the_commands_of_the_environment_that_runs_the_server(monkeypatch, request, run):
    monkeypatch.setenv("PATH", os.defpath)
    extension = request.getfixturevalue("extension")
    assert os.environ["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    run(extension.stop_extension())
    assert os.environ["PATH"] == os.defpath


def test_stopping_ends_the_backend_and_puts_the_environment_back(extension, status_when, run, gone):
    pid = status_when(lambda status: status["ready"])["pid"]
    run(extension.stop_extension())
    assert gone(pid)
    assert "TENSORTRIGGER_URL" not in os.environ
    assert "TENSORTRIGGER_API_KEY" not in os.environ


def test_the_server_s_own_clean_up_ends_the_backend(extension, jp_serverapp, status_when, run, gone):
    pid = status_when(lambda status: status["ready"])["pid"]
    run(jp_serverapp.cleanup_extensions())
    assert gone(pid)


@pytest.mark.parametrize("traits", [{"backend_url": "http://127.0.0.1:9/tt/", "token": "tt_0123_configured"}])
def test_a_configured_backend_is_given_to_kernels_and_nothing_is_started(extension, status_when, log_text):
    assert os.environ["TENSORTRIGGER_URL"] == "http://127.0.0.1:9/tt"
    assert os.environ["TENSORTRIGGER_API_KEY"] == "tt_0123_configured"
    status = status_when(lambda status: True)
    assert not status["embedded"]
    assert not status["ready"]
    assert "cannot be reached" in status["error"]
    alive = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    assert not [child for child in alive if "stand_in" in " ".join(child.cmdline())]
    # Jupyter itself writes its whole configuration to its debug log; what this extension writes is checked.
    log = "\n".join(line for line in log_text().splitlines() if not line.startswith("Config changed"))
    seen = json.dumps(status) + log + repr(extension) + repr(extension.extension_config)
    assert "Kernels use the TensorTrigger backend at" in seen
    assert "tt_0123_configured" not in seen


def test_a_backend_named_by_the_environment_is_left_as_it_is(monkeypatch, request):
    monkeypatch.setenv("TENSORTRIGGER_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("TENSORTRIGGER_API_KEY", "tt_from_outside")
    extension = request.getfixturevalue("extension")
    run, status_when = request.getfixturevalue("run"), request.getfixturevalue("status_when")
    assert not status_when(lambda status: True)["embedded"]
    run(extension.stop_extension())
    assert os.environ["TENSORTRIGGER_URL"] == "http://127.0.0.1:9"
    assert os.environ["TENSORTRIGGER_API_KEY"] == "tt_from_outside"


@pytest.mark.parametrize("traits", [{"token_refresh": 0.02, "backend_url": "http://127.0.0.1:9"}])
def test_a_rotated_token_file_reaches_the_kernels_started_after_it(
    jp_server_config, tmp_path, request, log_text
):
    path = tmp_path / "token"
    path.write_text("tt_first\n")
    jp_server_config["TensorTriggerApp"]["token_file"] = str(path)
    extension = request.getfixturevalue("extension")
    run, until = request.getfixturevalue("run"), request.getfixturevalue("until")
    assert os.environ["TENSORTRIGGER_API_KEY"] == "tt_first"
    path.write_text("tt_second\n")
    run(until(lambda: os.environ["TENSORTRIGGER_API_KEY"] == "tt_second"))
    path.unlink()
    run(until(lambda: "cannot be read (No such file or directory)" in log_text()))
    # The last good one stays: an editor may be replacing the file at this moment.
    assert os.environ["TENSORTRIGGER_API_KEY"] == "tt_second"
    run(extension.stop_extension())
    path.write_text("tt_third\n")
    run(asyncio.sleep(0.1))
    assert "TENSORTRIGGER_API_KEY" not in os.environ
    assert "tt_first" not in log_text()
    assert "tt_second" not in log_text()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((404, b""), "answers its health check with 404"),
        ((302, b""), "answers its health check with 302"),
        ((200, b"<html>Sign in</html>"), "is no TensorTrigger backend"),
        ((200, b"[]"), "is no TensorTrigger backend"),
        ((200, b'{"message": "hello"}'), "is no TensorTrigger backend"),
    ],
)
def test_a_web_server_that_is_no_backend_is_told_apart(
    elsewhere, answer, words, jp_server_config, request, monkeypatch
):
    monkeypatch.setattr(_Elsewhere, "answer", answer)
    jp_server_config["TensorTriggerApp"]["backend_url"] = elsewhere
    request.getfixturevalue("extension")
    status = request.getfixturevalue("status_when")(lambda status: True)
    assert not status["ready"]
    assert words in status["error"]


def test_a_backend_that_runs_elsewhere_is_ready(elsewhere, jp_server_config, request, monkeypatch):
    monkeypatch.setattr(_Elsewhere, "answer", (200, b'{"http_code": 200, "message": "Service running"}'))
    jp_server_config["TensorTriggerApp"]["backend_url"] = elsewhere
    request.getfixturevalue("extension")
    status = request.getfixturevalue("status_when")(lambda status: True)
    assert status == {
        "embedded": False,
        "running": True,
        "ready": True,
        "url": elsewhere,
        "restarts": 0,
        "version": None,
        "extension_version": metadata.version("tensortrigger-lab"),
    }


@pytest.mark.parametrize(
    "url", ["ftp://host", "http://user:hunter2@host", "http://", "localhost:8000", "http://a:b"]
)
def test_a_url_that_cannot_be_right_is_refused_without_repeating_it(url, jp_server_config, request, log_text):
    jp_server_config["TensorTriggerApp"]["backend_url"] = url
    request.getfixturevalue("extension")
    status = request.getfixturevalue("status_when")(lambda status: True)
    assert "backend URL" in status["error"]
    assert status["url"] is None
    assert "hunter2" not in json.dumps(status)
    assert "TENSORTRIGGER_URL" not in os.environ


@pytest.mark.parametrize("traits", [{"embedded_backend": False}])
def test_with_the_embedded_backend_switched_off_nothing_runs_and_the_answer_says_what_to_set(
    extension, status_when
):
    status = status_when(lambda status: True)
    assert not status["running"]
    assert "TensorTriggerApp.backend_url" in status["error"]
    assert "TENSORTRIGGER_URL" not in os.environ


def test_starting_the_extension_does_not_wait_for_the_backend(jp_server_config, stand_in, request):
    jp_server_config["TensorTriggerApp"]["backend_command"] = [*stand_in, "--slow-start", "5"]
    jp_serverapp, run = request.getfixturevalue("jp_serverapp"), request.getfixturevalue("run")

    async def seconds() -> float:
        loop = asyncio.get_running_loop()
        before = loop.time()
        await jp_serverapp.extension_manager.start_all_extensions()
        return loop.time() - before

    # The first TLS context of a process alone takes some 50 ms here.
    assert run(seconds()) < 0.5
