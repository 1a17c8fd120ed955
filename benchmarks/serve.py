"""How fast and how small serving is: ``tt serve`` against a naive FastAPI + ``model.predict`` app, in one run.

The same model, the same client (wrk), the same machine, taking turns: 1, 16 and 64 clients with 1 and 64 rows a
request, the median of several repeats. Also measured: memory of the serving process and time until it answers.

Run: ``make bench``, or ``python benchmarks/serve.py --help``.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from processes import HERE, cpu, free_port, quiet, wait_for
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

LEAST_RATIO = {1: 100, 16: 150, 64: 150}
"""Requests a second against the naive app's, by clients: less is a failure of this run."""
MOST_MEMORY = 150
"""MB of the serving process."""
MOST_SECONDS = 2.0
"""From start to the first answer."""
CLIENTS = tuple(LEAST_RATIO)
ROWS = (1, 64)
WIDTH = 32
CONSOLE = Console()

POST = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
file:close()
"""


@dataclass(frozen=True)
class Measured:
    """One row of the table; requests a second, milliseconds."""

    clients: int
    rows: int
    naive_rps: float
    ours_rps: float
    ratio: float
    naive_p99_ms: float
    ours_p99_ms: float


def main() -> int:
    """Measure, print, and store the table and its plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="repeats whose median counts (default 5)")
    parser.add_argument(
        "--seconds",
        type=int,
        default=4,
        help="length of one repeat (default 4; twice that for the naive app)",
    )
    parser.add_argument("--out", type=Path, default=HERE / "results", help="where the results go")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        CONSOLE.print("wrk is needed: it is in Debian's and Homebrew's packages, as 'wrk'.")
        return 1
    with tempfile.TemporaryDirectory(prefix="tt-bench-") as folder:
        model, expected = build_model(Path(folder))
        with naive_app(model) as naive, our_server(Path(folder)) as (ours, pid, ready):
            bodies = publish(ours, model, Path(folder), expected)
            rows = measure(naive, ours, bodies, arguments.repeats, arguments.seconds)
            memory = memory_of(pid)
        restart = restart_seconds(Path(folder))
    report(rows, memory, ready, restart, arguments)
    missed = misses(rows, memory, max(ready, restart))
    for miss in missed:
        CONSOLE.print(f"[red]missed:[/red] {miss}")
    return 1 if missed else 0


def build_model(folder: Path) -> tuple[Path, Any]:
    """A 32-64-64-1 network, made in a child so that this process stays out of TensorFlow; and its answers."""
    script = f"""
import keras, numpy as np
keras.utils.set_random_seed(1)
layers = keras.layers
model = keras.Sequential([keras.Input(({WIDTH},)), layers.Dense(64, activation="relu"),
                          layers.Dense(64, activation="relu"), layers.Dense(1, activation="sigmoid")])
model.save("model.keras")
x = np.random.default_rng(1).normal(size=({max(ROWS)}, {WIDTH})).astype("float32")
np.savez("expected.npz", x=x, y=model.predict(x, verbose=0))
"""
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=True, env=quiet())
    return folder / "model.keras", np.load(folder / "expected.npz")


@contextlib.contextmanager
def naive_app(model: Path) -> Iterator[str]:
    """The naive app, warm."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    argv = [sys.executable, str(HERE / "naive_app.py"), str(model), str(port)]
    with _child(argv):
        wait_for(lambda: httpx.get(f"{url}/docs"), 120)
        yield url


@contextlib.contextmanager
def our_server(folder: Path) -> Iterator[tuple[str, int, float]]:
    """``tt serve`` on an empty data folder: its URL, process id, and seconds until it answered."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    started = time.perf_counter()
    with _child(_serve(folder, port)) as child:
        wait_for(lambda: httpx.get(f"{url}/health_check"), 60)
        yield url, child.pid, time.perf_counter() - started


def restart_seconds(folder: Path) -> float:
    """Median seconds from start to answer on a data folder that has a model, of five starts."""
    seconds = []
    for _ in range(5):
        port = free_port()
        started = time.perf_counter()
        with _child(_serve(folder, port)):
            wait_for(lambda port=port: httpx.get(f"http://127.0.0.1:{port}/health_check"), 60)  # type: ignore[misc]
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def publish(url: str, model: Path, folder: Path, expected: Any) -> dict[int, Path]:
    """Publish the model, check that it answers as the original, and write the request bodies."""
    names = [f"x{index}" for index in range(WIDTH)]
    content = base64.b64encode(model.read_bytes()).decode()
    schema = {name: {"var_type": "FLOAT", "index": index} for index, name in enumerate(names)}
    answer = httpx.post(
        f"{url}/models/new",
        json={"model_name": "bench", "model_content": content, "model_schema": schema},
        timeout=120,
    )
    answer.raise_for_status()
    model_id = answer.json()["model_id"]
    vectors = [dict(zip(names, map(float, row), strict=True)) for row in expected["x"]]
    served = httpx.post(f"{url}/tensor/run/batch", json={"model_id": model_id, "input_vectors": vectors})
    np.testing.assert_allclose(served.json()["output"], expected["y"], rtol=1e-4, atol=1e-5)
    bodies = {}
    for rows in ROWS:
        members = {"input_vector": vectors[0]} if rows == 1 else {"input_vectors": vectors[:rows]}
        bodies[rows] = folder / f"body-{rows}.json"
        bodies[rows].write_text(json.dumps({"model_id": model_id, **members}))
        script = POST.format(body=bodies[rows])
        bodies[rows].with_suffix(".lua").write_text(script)
    return bodies


def measure(naive: str, ours: str, bodies: dict[int, Path], repeats: int, seconds: int) -> list[Measured]:
    """Every combination, the two servers taking turns."""
    measured = []
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=CONSOLE,
    )
    with bar:
        task = bar.add_task("measuring", total=len(CLIENTS) * len(ROWS) * repeats * 2)
        for rows in ROWS:
            path = "/tensor/run" if rows == 1 else "/tensor/run/batch"
            for clients in CLIENTS:
                found: dict[str, list[tuple[float, float]]] = {naive: [], ours: []}
                for _ in range(repeats):
                    for url in (naive, ours):
                        bar.update(task, description=f"{clients} clients, {rows} rows")
                        script = bodies[rows].with_suffix(".lua")
                        # The naive app answers so few that a short look would count hardly any.
                        length = seconds if url == ours else 2 * seconds
                        found[url].append(_wrk(url + path, script, clients, length))
                        bar.advance(task)
                naive_rps, naive_p99 = (
                    statistics.median(column) for column in zip(*found[naive], strict=True)
                )
                ours_rps, ours_p99 = (statistics.median(column) for column in zip(*found[ours], strict=True))
                measured.append(
                    Measured(clients, rows, naive_rps, ours_rps, ours_rps / naive_rps, naive_p99, ours_p99)
                )
    return measured


def memory_of(pid: int) -> dict[str, float]:
    """Memory of one process in MB: resident now, and its peak."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = {name: int(value) / 1024 for name, value in re.findall(r"(VmRSS|VmHWM):\s+(\d+)", status)}
    return {"resident": found["VmRSS"], "peak": found["VmHWM"]}


def misses(rows: list[Measured], memory: dict[str, float], ready: float) -> list[str]:
    """What fell short of the bars above."""
    short = [
        f"{row.ratio:.0f} times the naive app at {row.clients} clients and {row.rows} rows, "
        f"{LEAST_RATIO[row.clients]} wanted"
        for row in rows
        if row.ratio < LEAST_RATIO[row.clients]
    ]
    if memory["resident"] >= MOST_MEMORY:
        short.append(f"{memory['resident']:.0f} MB resident, under {MOST_MEMORY} wanted")
    if ready >= MOST_SECONDS:
        short.append(f"ready after {ready:.2f} s, under {MOST_SECONDS} wanted")
    return short


def report(
    rows: list[Measured],
    memory: dict[str, float],
    ready: float,
    restart: float,
    arguments: argparse.Namespace,
) -> None:
    """Print the table and store it as JSON and as a plot."""
    machine = (
        f"{cpu()}, {os.cpu_count()} cores shared by server and client, Python {platform.python_version()}"
    )
    table = Table(title=f"Requests a second, median of {arguments.repeats}\n{machine}")
    for column in ("clients", "rows", "naive", "tt serve", "ratio", "naive p99 ms", "tt serve p99 ms"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            str(row.clients),
            str(row.rows),
            f"{row.naive_rps:,.1f}",
            f"{row.ours_rps:,.0f}",
            f"{row.ratio:,.0f} x",
            f"{row.naive_p99_ms:,.1f}",
            f"{row.ours_p99_ms:,.2f}",
        )
    CONSOLE.print(table)
    CONSOLE.print(
        f"Serving process: {memory['resident']:.0f} MB resident, {memory['peak']:.0f} MB at its peak"
    )
    CONSOLE.print(
        f"Ready to answer: {ready:.2f} s on an empty data folder, {restart:.2f} s on one with a model"
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    stored = {
        "machine": machine,
        "repeats": arguments.repeats,
        "seconds": arguments.seconds,
        "memory_mb": memory,
        "ready_seconds": {"empty": ready, "with a model": restart},
        "rows": [asdict(row) for row in rows],
    }
    (arguments.out / "serve.json").write_text(json.dumps(stored, indent=2) + "\n")
    plot(rows, machine, arguments.out / "serve.png")


def plot(rows: list[Measured], machine: str, path: Path) -> None:
    """Requests a second by clients, on a logarithmic axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    for axes, count in zip(figure.subplots(1, len(ROWS), sharey=True), ROWS, strict=True):
        chosen = [row for row in rows if row.rows == count]
        at = np.arange(len(chosen))
        axes.bar(
            at - 0.2, [row.naive_rps for row in chosen], 0.4, label="FastAPI + model.predict", color="#9aa5b1"
        )
        bars = axes.bar(at + 0.2, [row.ours_rps for row in chosen], 0.4, label="tt serve", color="#e8710a")
        axes.bar_label(bars, [f"{row.ratio:,.0f} x" for row in chosen], fontsize=9)
        axes.set_xticks(at, [str(row.clients) for row in chosen])
        axes.set_yscale("log")
        axes.set_xlabel("clients")
        axes.set_title(f"{count} row{'s' if count > 1 else ''} a request")
    figure.axes[0].set_ylabel("requests a second")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.suptitle(machine, fontsize=8)
    figure.savefig(path, dpi=120)


def _serve(folder: Path, port: int) -> list[str]:
    data = str(folder / "data")
    return [sys.executable, "-m", "tensortrigger_backend", "serve", "--port", str(port), "--data-dir", data]


def _wrk(url: str, script: Path, clients: int, seconds: int) -> tuple[float, float]:
    """Requests a second and the 99th percentile in milliseconds."""
    # A second thread of wrk would take the core that the server needs.
    argv = [
        "wrk",
        "-t1",
        f"-c{clients}",
        f"-d{seconds}s",
        "--timeout",
        "30s",
        "--latency",
        "-s",
        str(script),
        url,
    ]
    printed = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in printed or "Socket errors" in printed:
        raise RuntimeError(f"not every request was answered well:\n{printed}")
    rps = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", printed)
    if rps is None or p99 is None:
        raise RuntimeError(f"wrk printed something else:\n{printed}")
    return float(rps[1]), float(p99[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[p99[2]]


@contextlib.contextmanager
def _child(argv: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(argv, stdout=log, stderr=log, env=quiet())
        try:
            yield child
        finally:
            child.terminate()
            child.wait(30)


if __name__ == "__main__":
    sys.exit(main())
