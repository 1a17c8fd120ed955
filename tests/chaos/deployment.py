"""A whole deployment of real processes on real servers, each of which can be killed, stopped and started."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import psutil
import psycopg
from chaos.checker import Upload, check
from psycopg.rows import namedtuple_row

READY = re.compile(r"^TensorTrigger .*ready.*$", re.MULTILINE)
IN_WORK = re.compile(r"^tensortrigger_partitions_in_work (\S+)$", re.MULTILINE)
START = 180.0
LEASE = 2.0
SLICE_ROWS = 300

TT = "import sys; from tensortrigger_lab.cli import main; sys.exit(main())"


class Process:
    """One ``tt`` command, and what it has said so far."""

    def __init__(self, command: list[str], environ: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as stream:
            self.child = subprocess.Popen(
                [sys.executable, "-c", TT, *command],
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def alive(self) -> bool:
        return self.child.poll() is None

    @property
    def stopped(self) -> bool:
        """Whether it stands still, and waits for SIGCONT."""
        return bool(psutil.Process(self.child.pid).status() == psutil.STATUS_STOPPED)

    @property
    def ready(self) -> str:
        """The line that says so, or nothing yet."""
        found = READY.search(self.said)
        return found.group() if found else ""

    @property
    def name(self) -> str:
        """What it calls itself in the database."""
        return self.ready.split()[2] if self.ready else ""

    @property
    def url(self) -> str:
        """Of an ``api``, or of what a worker tells of itself."""
        return self.ready.split()[-1]

    def wait_ready(self) -> Process:
        until = time.monotonic() + START
        while not self.ready:
            assert self.alive, f"it ended before it was ready:\n{self.said[-4000:]}"
            assert time.monotonic() < until, f"not ready in {START:g} s:\n{self.said[-4000:]}"
            time.sleep(0.02)
        return self

    def send(self, number: signal.Signals) -> None:
        self.child.send_signal(number)

    def kill(self) -> None:
        """As if the power had gone; its children are left to find out."""
        self.child.kill()
        self.child.wait()

    def stop(self, patience: float = 40.0) -> int:
        """Ask it to leave; its exit status."""
        if self.alive:
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)
        try:
            return self.child.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


class Deployment:
    """``tt api`` and any number of ``tt worker``, on servers of this test's own.

    Args:
        environ: where the servers are, as ``TENSORTRIGGER_*``.
        database: libpq's words for the same database.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str], database: str, model_id: str) -> None:
        self.folder = folder
        self.environ = {
            **environ,
            "TENSORTRIGGER_LEASE": str(LEASE),
            "TENSORTRIGGER_SLICE_ROWS": str(SLICE_ROWS),
            "TENSORTRIGGER_PEPPER": "the pepper of the tests",
            "TENSORTRIGGER_LINGER": "0",
            "TENSORTRIGGER_LOG_FORMAT": "json",
            # Nobody publishes here: no process need try what this machine's sandbox can do.
            "TENSORTRIGGER_SANDBOX": "off",
            "OMP_NUM_THREADS": "1",
        }
        self._database = database
        self.model_id = model_id
        self._count = 0
        self.processes: list[Process] = []
        self.workers: list[Process] = []
        self.api: Process | None = None
        self.client = httpx.Client(timeout=30.0, trust_env=False)
        self.answers: dict[int, int] = {}

    def start(self, *command: str, **environ: str) -> Process:
        """Start ``tt`` with these words; ``wait_ready`` is the caller's."""
        self._count += 1
        name = f"{self._count:03d}-{command[0]}"
        own = {"TENSORTRIGGER_DATA_DIR": str(self.folder / "data" / name)}
        process = Process([*command], {**self.environ, **own, **environ}, self.folder / f"{name}.log")
        self.processes.append(process)
        return process

    def start_api(self, **environ: str) -> Process:
        """The HTTP face, on a free port, ready."""
        self.api = self.start("api", "--port", "0", **environ).wait_ready()
        return self.api

    def start_worker(self, **environ: str) -> Process:
        """One more worker; it is ready later."""
        worker = self.start("worker", "--metrics-port", "0", **environ)
        self.workers.append(worker)
        return worker

    def workforce(self, count: int) -> list[Process]:
        """Just so many live workers, ready, and none with a fault in it."""
        for worker in [worker for worker in self.workers if not worker.alive]:
            self.workers.remove(worker)
        while len(self.workers) > count:
            self.workers.pop().stop()
        while len(self.workers) < count:
            self.start_worker()
        for worker in self.workers:
            worker.wait_ready()
        return self.workers

    @property
    def url(self) -> str:
        assert self.api is not None
        return self.api.url

    def ask(self, method: str, path: str, patience: float = 60.0, **options: Any) -> httpx.Response:
        """An answer that is none of 503; any other 5xx fails the test, whenever it comes."""
        until = time.monotonic() + patience
        while True:
            try:
                answer = self.client.request(method, f"{self.url}{path}", **options)
            except httpx.TransportError:
                # The process behind it was killed.
                assert time.monotonic() < until, f"nobody answers {method} {path}"
                time.sleep(0.1)
                continue
            self.answers[answer.status_code] = self.answers.get(answer.status_code, 0) + 1
            if answer.status_code == 503:
                assert int(answer.headers["Retry-After"]) >= 1
                assert time.monotonic() < until, f"503 for {patience:g} s: {answer.text}"
                time.sleep(0.2)
                continue
            assert answer.status_code < 500, f"{method} {path}: {answer.status_code} {answer.text}"
            return answer

    def order(self, upload: Upload, key: str) -> dict[str, Any]:
        """The options of a ``POST /jobs``."""
        return {
            "params": {"model_id": self.model_id, "keep": "id"},
            "content": upload.body,
            "headers": {"Content-Type": "text/csv", "Idempotency-Key": key},
        }

    def submit(self, upload: Upload, key: str = "") -> str:
        """Order a job, however often that has to be tried; its id."""
        answer = self.ask("POST", "/jobs", **self.order(upload, key or os.urandom(8).hex()))
        assert answer.status_code == 201, answer.text
        found: str = answer.json()["job_id"]
        return found

    def known(self) -> set[str]:
        """All jobs that the database has."""
        return {row.job_id for row in self.query("SELECT job_id FROM jobs")}

    def job(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/jobs/{job_id}").json()["job"]
        return found

    def wait(self, job_id: str, patience: float = 120.0, meanwhile: Callable[[], None] = lambda: None) -> Any:
        """The job as it ended."""
        until = time.monotonic() + patience
        while (job := self.job(job_id))["state"] in ("queued", "running"):
            assert time.monotonic() < until, f"not done in {patience:g} s: {job} {self.partitions(job_id)}"
            meanwhile()
            time.sleep(0.1)
        return job

    def verify(self, job_id: str, upload: Upload, patience: float = 120.0) -> None:
        """Wait for the job and check every row of it."""
        job = self.wait(job_id, patience)
        results = self.ask("GET", f"/jobs/{job_id}/results", headers={"Accept": "text/csv"}).content
        rejects: list[dict[str, Any]] = []
        cursor = None
        while True:
            query = {"limit": "200", **({"cursor": cursor} if cursor else {})}
            page = self.ask("GET", f"/jobs/{job_id}/rejects", params=query).json()
            rejects += page["rejects"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        check(upload, job, results, rejects)

    def partitions(self, job_id: str | None = None) -> list[Any]:
        """The rows of the table, as the database has them now."""
        return self.query(
            "SELECT job_id, number, state, worker, fence, claims, attempts, results_key, committed, lease_until"
            " FROM partitions WHERE %(job)s::text IS NULL OR job_id = %(job)s ORDER BY job_id, number",
            job=job_id,
        )

    def claimed(self, worker: Process) -> list[Any]:
        """Partitions that this worker holds, with their rows locked for nobody; none before it has a name."""
        return [row for row in self.partitions() if row.state == "claimed" and row.worker == worker.name]

    def over(self, job_id: str) -> bool:
        return self.job(job_id)["state"] not in ("queued", "running")

    def done(self, job_id: str) -> int:
        """Partitions of the job that were committed."""
        return sum(row.state == "done" for row in self.partitions(job_id))

    def in_work(self) -> int:
        """Partitions that the workers have in hand, as they themselves say."""
        told = (self.client.get(f"{worker.url}/metrics").text for worker in self.workers)
        return sum(int(float(found.group(1))) for text in told if (found := IN_WORK.search(text)))

    def losers(self, job_id: str) -> set[str]:
        """Workers of whom the job's log tells that another one goes on for them."""
        told = self.query(
            "SELECT message FROM job_log WHERE job_id = %(job)s AND message LIKE '%% lost its lease %%'",
            job=job_id,
        )
        return {row.message.split()[1] for row in told}

    def refusals(self, worker: Process) -> list[str]:
        """What the worker said of claims that it had lost when it came back to them.

        One that stood still in the middle of a write finds its transaction ended by the database, and postpones it.
        """
        events = ('"worker.lost_claim"', '"worker.commit_refused"', '"worker.postponed"')
        return [line for line in worker.said.splitlines() if any(event in line for event in events)]

    def until_reclaimed(self, stale: Any) -> Any:
        """Wait until another worker has claimed this partition; the row as it is then."""
        until = time.monotonic() + 60.0
        while True:
            (row,) = [row for row in self.partitions(stale.job_id) if row.number == stale.number]
            if row.fence > stale.fence:
                return row
            assert time.monotonic() < until, f"nobody took it: {row}"
            time.sleep(0.05)

    def query(self, statement: str, **values: Any) -> list[Any]:
        with psycopg.connect(self._database, autocommit=True, row_factory=namedtuple_row) as connection:
            return connection.execute(statement, values).fetchall()  # type: ignore[arg-type]

    def told(self, event: str, by: Process | None = None) -> list[dict[str, Any]]:
        """Lines of that event in the log of one process, or of all."""
        found = []
        for process in [by] if by else self.processes:
            for line in process.said.splitlines():
                if f'"{event}"' in line:
                    with contextlib.suppress(ValueError):
                        found.append(json.loads(line))
        return found

    def close(self) -> None:
        """End every process."""
        for process in self.processes:
            if process.alive:
                process.kill()
        self.client.close()

    def __enter__(self) -> Deployment:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextlib.contextmanager
def paused(process: Process) -> Iterator[None]:
    """Stopped in the middle of whatever it does, as a machine that swaps or a virtual one that moves."""
    process.send(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send(signal.SIGCONT)
