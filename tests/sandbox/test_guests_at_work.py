"""What is a held guest given, what can it still do, and what ends it?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tensortrigger_backend.adapters import child_process, sandbox
from tensortrigger_backend.adapters.child_process import PlainChild, usage
from tensortrigger_backend.domain.sandbox import SandboxMode

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux's")

MIB = 1 << 20
MODES = (SandboxMode.REQUIRED, SandboxMode.OFF)


@pytest.fixture
def act(launching: Any, tmp_path: Path) -> Iterator[Any]:
    """Let a guest do one thing; what it told, and what ended it where something did."""

    def acting(
        name: str, mode: SandboxMode, seconds: float = 60.0, memory: int = 1 << 30, **order: Any
    ) -> tuple[Any, str]:
        with launching(mode, memory_limit=memory) as launcher:
            child = launcher.launch("acts", tmp_path)
            child.allow(seconds)
            child.stdin.write(json.dumps({"act": name, **order}).encode() + b"\n")
            child.stdin.flush()
            line = child.stdout.readline()
            child.kill()
            return json.loads(line) if line else child.last_words(), child.cause_of_death

    return acting


def test_a_held_guest_works_in_its_scratch_folder_and_was_given_nothing_else(
    act: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENSORTRIGGER_SESSION_KEY", "secret")
    with (tmp_path / "open").open("w") as inherited:
        os.set_inheritable(inherited.fileno(), True)
        told, cause = act("works", SandboxMode.REQUIRED)
    assert cause == ""
    assert told["descriptors"] == ["0", "1", "2"]
    assert told["threads"] == list(range(8))
    assert told["random"] == 16
    assert not told["capabilities"] & ~(1 << 2), "root keeps the right to search folders and nothing else"
    assert "secret" not in json.dumps(told)
    assert {name for name in told["environment"] if "KEY" in name or "TOKEN" in name} == set()
    assert told["environment"]["HOME"] == told["environment"]["TMPDIR"] == str(tmp_path)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shared", [False, True])
def test_a_guest_past_its_memory_ends_and_one_within_it_does_not(
    mode: SandboxMode, shared: bool, act: Any
) -> None:
    assert act("takes_memory", mode, memory=600 * MIB, mebibytes=300, shared=shared) == ({"took": 300}, "")
    words, cause = act("takes_memory", mode, memory=200 * MIB, mebibytes=4000, shared=shared)
    # The kernel refuses private memory; memory that could be shared is seen by the watch.
    assert "MemoryError" in words or cause == "memory"


@pytest.mark.parametrize("mode", MODES)
def test_a_guest_past_its_time_ends_whatever_signals_it_ignores(mode: SandboxMode, act: Any) -> None:
    assert act("takes_time", mode, seconds=60.0, duration=0.2) == ({"took": 0.2}, "")
    started = time.monotonic()
    _, cause = act("takes_time", mode, seconds=0.8, duration=60)
    assert cause == "time"
    assert time.monotonic() - started < 10


def test_a_guest_past_its_processor_time_ends_though_the_clock_allows_it_more() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "while True: pass"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    child = PlainChild(process, 1 << 30, processors=0)
    child.allow(60.0)
    assert process.wait(10) == -9
    assert child.cause_of_death == "time"
    child.kill()


def test_what_a_process_takes_is_read_as_the_system_counts_it() -> None:
    before = usage(os.getpid())
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    after = usage(os.getpid())
    assert 0.05 <= after.processor_seconds - before.processor_seconds < 5
    assert after.threads >= 1
    assert after.resident > 10 * MIB
    assert usage(2**22 + 1) == child_process.Usage()


def test_packages_without_bytecode_are_compiled_before_the_first_guest_and_only_then(
    launching: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, scratch = tmp_path / "package", tmp_path / "scratch"
    package.mkdir()
    scratch.mkdir()
    (package / "freshly_installed.py").write_text("def main():\n    print('ran', flush=True)\n")
    monkeypatch.syspath_prepend(package)
    assert not sandbox.has_bytecode("freshly_installed")
    monkeypatch.setattr(sandbox, "COMPILE_MODULE", "freshly_installed")
    with launching(SandboxMode.REQUIRED, package) as launcher:
        launcher._compiled = False
        child = launcher.launch("freshly_installed", scratch)
        assert child.stdout.readline() == b"ran\n"
        child.kill()
    assert sandbox.has_bytecode("freshly_installed")
    assert sandbox.has_bytecode("not_installed_at_all")


def test_a_bomb_of_threads_is_put_out(act: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert act("starts_threads", SandboxMode.REQUIRED, threads=100) == ({"took": 100}, "")
    monkeypatch.setattr(child_process, "_THREAD_LIMIT", 50)
    assert act("starts_threads", SandboxMode.REQUIRED, threads=100)[1] == "memory"
