"""How fast are CSV jobs, and do they stay small? Rows a second and memory, against a naive script and mere parsing.

One CSV of 32 float columns and a 32-64-64-1 network, in one run: a script of pandas and ``model.predict``, mere
parsing by three libraries, ``tt serve`` from the upload's first byte to the last of the results as Parquet, the same
on PostgreSQL, RabbitMQ and S3, time and memory against the number of rows, and two workers against one. Every answer
is compared with the model's own.

Run: ``python benchmarks/jobs.py --help``. Saves ``results/jobs.json`` and ``results/jobs.png``.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from jobs_report import Run, misses, plot, show
from jobs_servers import Deployment, Running, deployment, embedded, peak_mb
from processes import HERE, cpu, quiet
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from serve import WIDTH

PARTS = ("naive", "embedded", "distributed", "scaling", "memory", "workers")
SIZES = (0.1, 0.3, 1, 3, 10)
"""Jobs of the curve over the number of rows, in multiples of ``--rows``."""
MEMORY_SIZES = (1, 3, 10)
LIBRARIES = ("pandas", "pyarrow", "polars")
PARQUET = "application/vnd.apache.parquet"
BLOCK = 1 << 18
CONSOLE = Console(width=max(Console().width, 100))


@dataclass(frozen=True)
class Rows:
    """A CSV of any number of rows: the first of one file, or that file several times over.

    Attributes:
        ends: where each tenth of the file's rows ends.
        expected: shape (n,): the model's own answers to the file's rows.
    """

    file: Path
    header: bytes
    ends: list[int]
    expected: np.ndarray[Any, Any]

    @property
    def count(self) -> int:
        """Of the file."""
        return len(self.expected)

    def blocks(self, rows: int) -> Iterator[bytes]:
        """Header and body, in blocks."""
        yield self.header
        times, tenths = divmod(rows * 10 // self.count, 10)
        for last in (*[self.ends[-1]] * times, *([self.ends[tenths - 1]] if tenths else [])):
            with self.file.open("rb", buffering=0) as file:
                file.seek(len(self.header))
                left = last - len(self.header)
                while left:
                    block = file.read(min(BLOCK, left))
                    left -= len(block)
                    yield block


def main() -> int:
    """Measure, print, and store what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--rows", type=int, default=1_000_000, help="of the CSV, a multiple of 10 (default 1000000)"
    )
    parser.add_argument("--repeats", type=int, default=3, help="runs whose median counts (default 3)")
    parser.add_argument("--only", choices=PARTS, nargs="*", default=PARTS, help="parts to run (default: all)")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="where the results go")
    parser.add_argument("--no-save", action="store_true", help="only print")
    arguments = parser.parse_args()
    # What was started and made is ended and removed, whichever way this is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    found = _stored(arguments)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="tt-bench-") as name, _progress() as bar:
        folder = Path(name)
        task = bar.add_task("making the model and the rows", total=1 + len(arguments.only))

        def step(what: str) -> None:
            bar.update(task, description=what, advance=1)
            if not CONSOLE.is_terminal:
                CONSOLE.print(f"{time.strftime('%H:%M:%S')} {what}")

        model, rows = prepare(folder, arguments.rows)
        if "naive" in arguments.only:
            step("naive script, mere parsing")
            found |= baselines(model, rows, folder, arguments.repeats)
        if {"embedded", "scaling"} & {*arguments.only}:
            publish_embedded(folder / "data", model)
        if "embedded" in arguments.only:
            step("tt serve")
            with embedded(folder / "data") as server:
                found["embedded"] = repeated(server, rows, arguments.repeats)
        if "scaling" in arguments.only:
            step("tt serve, from few rows to many")
            found["scaling"] = by_size(lambda: embedded(folder / "data"), rows, SIZES, folder)
        if {"distributed", "memory", "workers"} & {*arguments.only}:
            with deployment() as deployed:
                publish_deployed(deployed, model)
                found |= on_deployment(deployed, rows, arguments, step)
        step("done")
    machine = f"{cpu()}, {os.cpu_count()} cores shared by all; load average {load:.1f} before"
    found |= {"machine": machine, "rows": arguments.rows, "repeats": arguments.repeats}
    show(found, CONSOLE)
    if not arguments.no_save:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "jobs.json").write_text(
            json.dumps(found, indent=2, default=lambda run: run.to_dict()) + "\n"
        )
        plot(found, arguments.out / "jobs.png")
    missed = misses(found, arguments.only)
    for miss in missed:
        CONSOLE.print(f"[red]missed:[/red] {miss}")
    return 1 if missed else 0


def prepare(folder: Path, rows: int) -> tuple[Path, Rows]:
    """The model, the CSV and the model's own answers, made in a child so that this process stays out of TensorFlow."""
    script = f"""
import json, keras, numpy as np, pyarrow as pa
from pyarrow import csv
keras.utils.set_random_seed(1)
layers = keras.layers
model = keras.Sequential([keras.Input(({WIDTH},)), layers.Dense(64, activation="relu"),
                          layers.Dense(64, activation="relu"), layers.Dense(1, activation="sigmoid")])
model.save("model.keras")
names = [f"x{{place}}" for place in range({WIDTH})]
random, ends, answers = np.random.default_rng(1), [], []
with open("rows.csv", "wb") as file:
    file.write(",".join(names).encode() + b"\\n")
    for tenth in range(10):
        x = random.normal(size=({rows // 10}, {WIDTH})).astype("float32")
        table = pa.table({{name: x[:, place] for place, name in enumerate(names)}})
        csv.write_csv(table, file, csv.WriteOptions(include_header=False))
        ends.append(file.tell())
        answers.append(model.predict_on_batch(x).ravel())
np.save("expected.npy", np.concatenate(answers))
json.dump(ends, open("ends.json", "w"))
"""
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=True, env=quiet(), capture_output=True)
    header = ",".join(f"x{place}" for place in range(WIDTH)).encode() + b"\n"
    ends = json.loads((folder / "ends.json").read_text())
    return folder / "model.keras", Rows(folder / "rows.csv", header, ends, np.load(folder / "expected.npy"))


def baselines(model: Path, rows: Rows, folder: Path, repeats: int) -> dict[str, Any]:
    """The naive script, and mere parsing, each in a process of its own."""
    answers = folder / "answers.json"
    naive = [
        _watched(["naive_job.py", str(model), str(rows.file), str(answers)], rows.count)
        for _ in range(repeats)
    ]
    told = json.loads(answers.read_text())["results"]
    np.testing.assert_allclose(np.ravel(told), rows.expected, rtol=1e-4, atol=1e-5)
    parsing = {
        f"parse_{library}": [
            _watched(["parse_only.py", library, str(rows.file)], rows.count) for _ in range(repeats)
        ]
        for library in LIBRARIES
    }
    return {"naive": naive, **parsing}


def repeated(server: Running, rows: Rows, repeats: int) -> list[Run]:
    """Jobs of all rows, one after the other; a small one first brings the model into memory."""
    run_job(server, rows, rows.count // 10)
    return [run_job(server, rows, rows.count) for _ in range(repeats)]


def by_size(
    started: Callable[[], Any], rows: Rows, sizes: tuple[float, ...], disk: Path | None = None
) -> list[Run]:
    """A job of each size, each on processes that were just started.

    Args:
        disk: a folder into which each upload is also merely written, to tell what the disk alone takes.
    """
    runs = []
    for size in sizes:
        count = round(size * rows.count)
        alone = _written(rows.blocks(count), disk) if disk else 0.0
        with started() as server:
            runs.append(replace(run_job(server, rows, count), disk=alone))
    return runs


def _written(blocks: Iterator[bytes], folder: Path) -> float:
    """Seconds until these bytes are on the disk."""
    with tempfile.TemporaryFile(dir=folder) as file:
        started = time.perf_counter()
        file.writelines(blocks)
        file.flush()
        os.fsync(file.fileno())
        return time.perf_counter() - started


def on_deployment(
    deployed: Deployment, rows: Rows, arguments: argparse.Namespace, step: Callable[[str], None]
) -> dict[str, Any]:
    """What is measured on PostgreSQL, RabbitMQ and S3."""
    found: dict[str, Any] = {}
    if "distributed" in arguments.only:
        step("PostgreSQL, RabbitMQ, S3")
        with deployed.running(workers=psutil.cpu_count() or 2) as server:
            found["distributed"] = repeated(server, rows, arguments.repeats)
    if "memory" in arguments.only:
        step("one worker's memory")
        found["memory"] = by_size(lambda: deployed.running(workers=1), rows, MEMORY_SIZES)
    if "workers" in arguments.only:
        for workers in (1, 2):
            step(f"{workers} worker{'s' * (workers > 1)}")
            with deployed.running(workers) as server:
                found[f"workers_{workers}"] = repeated(server, rows, arguments.repeats)
    return found


def run_job(server: Running, rows: Rows, count: int) -> Run:
    """One job, from the first byte of its upload to the last of its results, which are looked at and then deleted."""
    with tempfile.TemporaryFile() as results, httpx.Client(base_url=server.url, timeout=1200) as client:
        started = time.perf_counter()
        answer = client.post(
            "/jobs?model=bench", content=rows.blocks(count), headers={"Content-Type": "text/csv"}
        )
        _must_be_well(answer)
        uploaded = time.perf_counter()
        path = answer.headers["location"]
        while (job := client.get(path).json()["job"])["state"] in ("queued", "running"):
            time.sleep(0.1)
        if job["state"] != "succeeded":
            raise RuntimeError(f"The job has {job['state']}: {job['error']}")
        scored = time.perf_counter()
        with client.stream("GET", f"{path}/results", headers={"Accept": PARQUET}) as answer:
            _must_be_well(answer)
            for block in answer.iter_raw():
                results.write(block)
        ended = time.perf_counter()
        _check(results, rows, count)
        _must_be_well(client.delete(path))
    return Run(
        count,
        ended - started,
        uploaded - started,
        # As the workers saw it, without how often this process looks.
        _seconds(job["finished"]) - _seconds(job["started"]),
        ended - scored,
        max(peak_mb(pid) for pid in server.scoring),
        peak_mb(server.api) if server.api else 0.0,
    )


def publish_embedded(data: Path, model: Path) -> None:
    """Once, on a server of its own: what the forge does behind it is over when jobs are measured."""
    with embedded(data) as server:
        _publish(server.url, model)


def publish_deployed(deployed: Deployment, model: Path) -> None:
    """As ``publish_embedded``."""
    with deployed.running(workers=0, forge=True) as server:
        _publish(server.url, model)


def _publish(url: str, model: Path) -> None:
    schema = {f"x{place}": {"var_type": "FLOAT", "index": place} for place in range(WIDTH)}
    content = base64.b64encode(model.read_bytes()).decode()
    body = {"model_name": "bench", "model_content": content, "model_schema": schema}
    answer = httpx.post(f"{url}/models/new", json=body, timeout=120)
    _must_be_well(answer)
    while httpx.get(url + answer.headers["location"]).json()["model"]["state"] != "ready":
        time.sleep(0.2)


def _watched(argv: list[str], rows: int) -> Run:
    """A script of this folder that prints its seconds, and the most memory it held."""
    command = [sys.executable, str(HERE / argv[0]), *argv[1:]]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=quiet())
    peak = 0.0
    while child.poll() is None:
        try:
            peak = max(peak, peak_mb(child.pid))
        except (OSError, AssertionError):
            break
        time.sleep(0.01)
    printed, errors = child.communicate()
    if child.returncode:
        raise RuntimeError(f"{argv[0]} failed:\n{errors[-2000:]}")
    seconds = json.loads(printed.splitlines()[-1])
    return Run(rows, sum(seconds.values()), peak_mb=peak)


def _check(results: Any, rows: Rows, count: int) -> None:
    """Every row once, in order, with the model's own answer."""
    import pyarrow.parquet as pq

    table = pq.read_table(results)
    at = table.column(0).to_numpy()
    np.testing.assert_array_equal(at, np.arange(count))
    np.testing.assert_allclose(
        table.column(1).to_numpy(), rows.expected[at % rows.count], rtol=1e-4, atol=1e-5
    )


def _must_be_well(answer: httpx.Response) -> None:
    if answer.status_code >= 400:
        answer.read()
        raise RuntimeError(f"{answer.status_code}: {answer.text[:500]}")


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


def _stored(arguments: argparse.Namespace) -> dict[str, Any]:
    """What an earlier run of other parts has found with as many rows on such a machine."""
    path = arguments.out / "jobs.json"
    if set(arguments.only) == set(PARTS) or arguments.no_save or not path.exists():
        return {}
    found: dict[str, Any] = json.loads(path.read_text())
    if found.get("rows") != arguments.rows or not found.get("machine", "").startswith(cpu()):
        return {}
    return {
        name: [Run(**run) for run in value] if isinstance(value, list) else value
        for name, value in found.items()
    }


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=CONSOLE,
    )


if __name__ == "__main__":
    sys.exit(main())
