"""The embedded backend as kernels see it: always at one URL, and gone with its parent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import psutil
import pytest

from tensortrigger_server.restarts import RestartPolicy


async def test_a_request_sent_before_the_backend_runs_is_answered_once_it_does(make_backend, ask):
    async with make_backend("--slow-start", "0.5") as backend:
        assert not backend.ready
        answer = await asyncio.to_thread(ask, f"{backend.url}/health_check")
    assert answer["message"] == "Service running"


async def test_the_key_opens_the_backend_and_stands_on_no_command_line(make_backend, ask):
    async with make_backend() as backend:
        await backend.wait_ready()
        facts = await asyncio.to_thread(ask, f"{backend.url}/facts", backend.key.reveal())
        command_line = psutil.Process(backend.pid).cmdline()
    assert facts["authorised"]
    assert facts["pid"] != os.getpid()
    assert re.fullmatch(r"tt_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", backend.key.reveal())
    assert backend.key.secret not in " ".join(command_line)
    assert backend.key.secret not in repr(backend.key)


async def test_the_child_gets_no_variables_that_are_meant_for_clients(make_backend, ask):
    environ = {**os.environ, "TENSORTRIGGER_URL": "http://elsewhere", "TENSORTRIGGER_API_KEY": "tt_old_key"}
    async with make_backend(environ=environ) as backend:
        facts = await asyncio.to_thread(ask, f"{backend.url}/facts")
    assert facts["variables"] == ["TENSORTRIGGER_SESSION_KEY"]


async def test_a_crash_is_followed_by_a_restart_at_the_same_url_that_refuses_nobody(make_backend, ask, until):
    # Long enough for a busy machine to notice the crash and ask again before the next child runs.
    async with make_backend(policy=RestartPolicy(first_delay=2.0)) as backend:
        before = (await asyncio.to_thread(ask, f"{backend.url}/health_check"))["pid"]
        url = backend.url
        with pytest.raises(httpx.TransportError):
            await asyncio.to_thread(ask, f"{url}/crash")
        await until(lambda: backend.pid is None)
        # Asked while nothing runs: it waits for the next child instead of being refused.
        after = (await asyncio.to_thread(ask, f"{url}/health_check"))["pid"]
        assert after != before
        assert backend.restarts == 1
        await until(lambda: backend.ready)
        assert backend.error is None


async def test_a_backend_killed_from_outside_comes_back_and_the_log_says_how_it_ended(
    make_backend, until, log_text
):
    async with make_backend() as backend:
        await backend.wait_ready()
        os.kill(backend.pid, signal.SIGKILL)
        await until(lambda: backend.restarts == 1 and backend.ready)
    assert "was ended by SIGKILL. Starting it again in 0.01 s." in log_text()


async def test_a_backend_that_is_ready_shows_no_error_of_the_one_before_it(make_backend, until):
    async with make_backend() as backend:
        await backend.wait_ready()
        os.kill(backend.pid, signal.SIGKILL)
        await until(lambda: backend.error)
        # Awakened by the very event, before anybody else can run.
        await backend.wait_ready()
        assert backend.error is None


async def test_a_backend_that_hangs_is_ended_and_started_again(make_backend, until, ask, log_text, gone):
    policy = RestartPolicy(first_delay=0.01, check_every=0.05, answer_within=0.2, missed_answers=3)
    async with make_backend(policy=policy) as backend:
        await backend.wait_ready()
        hung = backend.pid
        os.kill(hung, signal.SIGSTOP)
        # Asked meanwhile: answered by the next one.
        waiting = asyncio.create_task(asyncio.to_thread(ask, f"{backend.url}/health_check"))
        await until(lambda: backend.restarts == 1 and backend.ready)
        assert gone(hung)
        answer = await asyncio.wait_for(asyncio.to_thread(ask, f"{backend.url}/health_check"), 10)
        assert answer["pid"] == backend.pid != hung
        with contextlib.suppress(httpx.TransportError):  # taken by the one that hung, or by the new one
            assert (await waiting)["pid"] == backend.pid
    assert "did not answer 3 times in a row and was ended. Starting it again" in log_text()


async def test_a_backend_that_pauses_for_a_moment_is_left_alone(make_backend):
    policy = RestartPolicy(first_delay=0.01, check_every=0.05, answer_within=0.1, missed_answers=8)
    async with make_backend(policy=policy) as backend:
        await backend.wait_ready()
        pid = backend.pid
        for _ in range(3):
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(0.25)
            os.kill(pid, signal.SIGCONT)
            await asyncio.sleep(0.25)
        assert (backend.pid, backend.restarts) == (pid, 0)


async def test_stopping_while_a_backend_hangs_takes_no_longer_than_the_grace_time(make_backend, gone):
    async with make_backend(grace=0.3) as backend:
        await backend.wait_ready()
        pid = backend.pid
        os.kill(pid, signal.SIGSTOP)
        before = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - before < 3
    assert gone(pid)


async def test_five_failures_in_a_row_end_the_attempts_and_the_log_says_why(make_backend, until, log_text):
    policy = RestartPolicy(first_delay=0.01)
    async with make_backend("--fail", "disk quota exceeded", policy=policy) as backend:
        await until(lambda: backend.error and "not started again" in backend.error)
        assert backend.restarts == 4
        assert backend.pid is None
        assert "ended with exit code 1" in backend.error
        assert "disk quota exceeded" in backend.error
        assert "set TensorTriggerApp.backend_url" in backend.error
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{backend.url}/health_check", trust_env=False)
    assert backend.error in log_text()


async def test_a_missing_module_is_named_with_its_remedy_and_not_tried_again(make_backend, until, log_text):
    command = [sys.executable, "-P", "-m", "no_such_backend"]
    async with make_backend(command=command) as backend:
        await until(lambda: backend.error)
    assert backend.restarts == 0
    assert f'{sys.executable} -m pip install "tensortrigger-lab[backend]"' in backend.error
    assert "'no_such_backend' is missing" in log_text()


async def test_a_missing_dependency_is_told_from_the_end_of_a_traceback(make_backend, until):
    command = [sys.executable, "-c", "import no_such_framework.routing"]
    async with make_backend(command=command) as backend:
        await until(lambda: backend.error)
    assert "Python package 'no_such_framework' is missing" in backend.error


async def test_a_command_that_does_not_exist_is_named(make_backend, until):
    async with make_backend(command=["/no/such/python"]) as backend:
        await until(lambda: backend.error)
    assert "/no/such/python: No such file or directory." in backend.error
    assert "TensorTriggerApp.backend_command" in backend.error


async def test_a_healthy_time_between_crashes_ends_the_row_of_failures(make_backend, until):
    policy = RestartPolicy(first_delay=0.01, attempts=2, healthy_after=0.05)
    async with make_backend("--crash-after", "0.1", policy=policy) as backend:
        await until(lambda: backend.restarts >= 3)


async def test_crashes_soon_after_being_ready_are_a_row_of_failures(make_backend, until):
    policy = RestartPolicy(first_delay=0.01, attempts=2, healthy_after=60.0)
    async with make_backend("--crash-after", "0.01", policy=policy) as backend:
        await until(lambda: backend.error and "2 times in a row" in backend.error)


async def test_a_start_that_hangs_counts_as_a_failure(make_backend, until):
    policy = RestartPolicy(first_delay=0.01, attempts=2, ready_within=0.2)
    async with make_backend("--never-ready", policy=policy) as backend:
        await until(lambda: backend.error and "2 times in a row" in backend.error)
    assert "was not ready within 0.2 s" in backend.error


def test_delays_double_from_half_a_second_up_to_half_a_minute():
    policy = RestartPolicy()
    assert [policy.delay(failures) for failures in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 30, 30]


async def test_stopping_leaves_neither_a_process_nor_a_zombie_nor_a_port(make_backend, gone):
    backend = make_backend()
    async with backend:
        await backend.wait_ready()
        pid = backend.pid
    assert gone(pid)
    assert backend.pid is None
    with pytest.raises(httpx.ConnectError):
        httpx.get(backend.url, trust_env=False)
    await backend.stop()


async def test_stopping_during_a_start_ends_the_child(make_backend, gone, until):
    async with make_backend("--never-ready") as backend:
        await until(lambda: backend.pid)
        pid = backend.pid
    assert gone(pid)


async def test_stopping_between_two_attempts_starts_nothing_more(make_backend, until):
    before = psutil.Process().children()
    async with make_backend("--fail", "no", policy=RestartPolicy(first_delay=60.0)) as backend:
        await until(lambda: backend.error)
    assert backend.restarts == 0
    assert set(psutil.Process().children()) <= set(before)


async def test_a_backend_that_ignores_the_request_to_end_is_killed_after_the_grace_time(make_backend, gone):
    async with make_backend("--deaf", grace=0.2) as backend:
        await backend.wait_ready()
        pid = backend.pid
    assert gone(pid)


@pytest.mark.parametrize("way", ["stop", "crash"])
async def test_what_the_backend_had_started_goes_with_it(make_backend, ask, gone, until, way):
    async with make_backend("--grandchild") as backend:
        grandchild = (await asyncio.to_thread(ask, f"{backend.url}/facts"))["grandchild"]
        assert not gone(grandchild)
        if way == "crash":
            os.kill(backend.pid, signal.SIGKILL)
            # It holds the same output pipes: its life must not hide the end of its parent.
            await until(lambda: backend.restarts == 1)
            await until(lambda: gone(grandchild))
    await until(lambda: gone(grandchild))


def test_a_parent_killed_at_once_leaves_no_orphan(stand_in, tmp_path: Path, gone):
    program = f"""
        import asyncio, logging, os
        from pathlib import Path
        from tensortrigger_server.embedded import EmbeddedBackend

        async def main():
            options = {{"environ": os.environ, "log": logging.getLogger()}}
            async with EmbeddedBackend({stand_in!r}, Path({str(tmp_path)!r}), **options) as backend:
                await backend.wait_ready()
                print(backend.pid, flush=True)
                await asyncio.sleep(600)

        asyncio.run(main())
    """
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    with contextlib.suppress(psutil.NoSuchProcess):
        child.wait(timeout=5)
    assert gone(child.pid)


async def test_ctrl_c_in_the_terminal_does_not_reach_the_backend(make_backend):
    async with make_backend() as backend:
        await backend.wait_ready()
        assert os.getsid(backend.pid) == backend.pid != os.getsid(0)


async def test_the_key_is_blotted_out_of_whatever_the_backend_logs(make_backend, log_text):
    long_line = "x" * 16_350 + "KEY"
    async with make_backend("--say", "my key is KEY", "--say", long_line, "--say", "KEY" * 400) as backend:
        await backend.wait_ready()
    assert "my key is tt_" in log_text()
    assert backend.key.secret not in log_text()
    assert backend.key.secret[:8] not in log_text()


async def test_lines_of_any_length_or_encoding_do_not_stop_the_backend(make_backend, log_text):
    command = [
        sys.executable,
        "-c",
        "import os; os.write(2, b'\\xff\\xfe' + b'y' * 300_000 + b'\\nlast words\\n')",
    ]
    async with make_backend(command=command, policy=RestartPolicy(attempts=1)) as backend:
        while not backend.error:
            await asyncio.sleep(0.01)
    assert "last words" in backend.error
    assert len(backend.error) < 3_000


async def test_troubles_of_the_backend_show_without_debug_logging_and_its_chatter_does_not(
    make_backend, caplog
):
    caplog.set_level("INFO")
    troubles = ["[WARNING] disk almost full", "[error    ] job failed", "ValueError: no such row"]
    chatter = ["[INFO] opened database", "[INFO] uvicorn.error: Started server process"]
    says = [argument for line in troubles + chatter for argument in ("--say", line)]
    async with make_backend(*says) as backend:
        await backend.wait_ready()
    assert [line for line in troubles + chatter if line in caplog.text] == troubles


async def test_where_sockets_cannot_be_handed_over_the_backend_gets_a_port(make_backend, ask, until):
    async with make_backend(by_port=True) as backend:
        await backend.wait_ready()
        assert (await asyncio.to_thread(ask, f"{backend.url}/health_check"))["pid"] == backend.pid
        assert "--port" in psutil.Process(backend.pid).cmdline()
        os.kill(backend.pid, signal.SIGKILL)
        await until(lambda: backend.restarts == 1 and backend.ready)
        assert (await asyncio.to_thread(ask, f"{backend.url}/health_check"))["pid"] == backend.pid


async def test_starting_returns_at_once(make_backend):
    loop = asyncio.get_running_loop()
    backend = make_backend("--slow-start", "1")
    before = loop.time()
    backend.start()
    assert loop.time() - before < 0.1
    await backend.stop()
