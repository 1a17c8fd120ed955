"""What happens where the kernel lacks Landlock, seccomp or both? Said, refused where required, never half done."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import tensortrigger_backend
from tensortrigger_backend.adapters import sandbox
from tensortrigger_backend.adapters.sandbox import SandboxedLauncher
from tensortrigger_backend.domain.errors import Unavailable
from tensortrigger_backend.domain.sandbox import SandboxMode, SandboxState

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux's")

HERE = Path(__file__).parent
LANDLOCK = "landlock_create_ruleset,landlock_add_rule,landlock_restrict_self"
READS, SENDS = "reads_a_file_of_the_data_folder", "sends_over_udp"
EMPTIES = "empties_a_file_of_its_own_interpreter"
SIGNALS = "asks_whether_its_parent_can_be_killed"


def older(calls: str, *arguments: str) -> list[str]:
    return [sys.executable, str(HERE / "on_an_older_kernel.py"), calls, *arguments]


def environment(**settings: str) -> dict[str, str]:
    root = str(Path(tensortrigger_backend.__file__).parent.parent)
    return {"PATH": os.environ["PATH"], "PYTHONPATH": root, "HOME": "/nowhere", **settings}


def tries(folder: Path, calls: str, mode: str, believed: str = "probed") -> dict[str, Any]:
    command = older(calls, str(HERE / "tries.py"), mode, believed, str(folder))
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@on_linux
@pytest.mark.parametrize(
    ("calls", "state", "did"),
    [
        pytest.param("vhangup", "on", [], id="with both"),
        pytest.param("landlock=1", "on", [], id="with the first Landlock, of Linux 5.13"),
        pytest.param("landlock=4", "on", [], id="with the fourth, of Linux 6.7"),
        pytest.param(LANDLOCK, "partial", [READS], id="without Landlock"),
        pytest.param("seccomp", "partial", [SENDS], id="without seccomp"),
        pytest.param(f"{LANDLOCK},seccomp", "off", [READS, EMPTIES, SIGNALS, SENDS], id="without either"),
    ],
)
def test_auto_goes_by_what_there_is_and_says_what_is_missing(
    calls: str, state: str, did: list[str], tmp_path: Path
) -> None:
    told = tries(tmp_path, calls, "auto")
    assert told["state"] == state
    assert told["did"] == did
    assert ("only models of people you trust" in told["detail"]) == (state != "on")
    assert ("reading other files" in told["detail"]) == (state == "partial" and READS in did)
    assert ("the network" in told["detail"]) == (state == "partial" and SENDS in did)


@on_linux
@pytest.mark.parametrize("calls", [LANDLOCK, "seccomp"])
def test_required_starts_no_guest_where_anything_is_missing(calls: str, tmp_path: Path) -> None:
    told = tries(tmp_path, calls, "required")
    assert "TENSORTRIGGER_SANDBOX=required" in told["refused"]
    assert "answers" not in told


@on_linux
@pytest.mark.parametrize("calls", [LANDLOCK, "seccomp"])
def test_a_guest_that_cannot_take_on_what_was_promised_ends_before_it_begins(
    calls: str, tmp_path: Path
) -> None:
    told = tries(tmp_path, calls, "auto", believed="believed")
    assert told["answers"] == 0
    assert "could not be taken on" in told["last_words"]


def test_other_systems_say_that_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox.sys, "platform", "darwin")
    launcher = SandboxedLauncher(SandboxMode.AUTO)
    report = launcher.report()
    launcher.close()
    assert report.state is SandboxState.OFF
    assert "there is none for darwin" in report.detail


def test_it_is_found_out_again_where_a_busy_machine_could_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [sandbox.UNKNOWN, sandbox.TURNED_OFF]
    monkeypatch.setattr(sandbox, "_AGAIN_SECONDS", 0.01)
    launcher = SandboxedLauncher(SandboxMode.AUTO)

    def probed() -> sandbox.SandboxReport:
        if answers.pop(0) is sandbox.UNKNOWN:
            raise Unavailable("The probe took too long.")
        return sandbox.TURNED_OFF

    monkeypatch.setattr(launcher, "_probed", probed)
    assert launcher.known() is sandbox.UNKNOWN
    launcher.probe_soon()
    until = time.monotonic() + 10
    while launcher.known() is sandbox.UNKNOWN:
        assert time.monotonic() < until
        time.sleep(0.01)
    launcher.close()
    assert (launcher.known(), answers) == (sandbox.TURNED_OFF, [])


@on_linux
@pytest.mark.slow
def test_a_server_that_requires_it_does_not_start_without_it(tmp_path: Path) -> None:
    command = older(LANDLOCK, "-m", "tensortrigger_lab.cli", "serve", "--port", "0")
    settings = environment(TENSORTRIGGER_SANDBOX="required", TENSORTRIGGER_DATA_DIR=str(tmp_path))
    done = subprocess.run(command, capture_output=True, text=True, env=settings, check=False, timeout=60)
    assert done.returncode != 0
    assert "TENSORTRIGGER_SANDBOX=required" in done.stderr
    assert "files" in done.stderr
    assert "ready" not in done.stdout


@on_linux
@pytest.mark.slow
def test_a_server_without_it_says_so_in_its_log_and_in_health(tmp_path: Path) -> None:
    command = older(LANDLOCK, "-m", "tensortrigger_lab.cli", "serve", "--port", "0")
    server = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(TENSORTRIGGER_DATA_DIR=str(tmp_path)),
    )
    assert server.stdout is not None
    with server:
        url = re.search(r"http://\S+", server.stdout.readline())
        assert url is not None
        until = time.monotonic() + 60
        told = sandbox.UNKNOWN.to_dict()
        while told == sandbox.UNKNOWN.to_dict():
            assert time.monotonic() < until
            time.sleep(0.1)
            with urllib.request.urlopen(f"{url[0]}/health", timeout=10) as answer:
                told = json.load(answer)["sandbox"]
        # The log line is written a moment after it is known.
        time.sleep(0.1)
        server.terminate()
        _, log = server.communicate(timeout=30)
    assert told["state"] == "partial"
    assert told["detail"] in log
    assert "warning" in log.lower()
