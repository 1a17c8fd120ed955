"""What does publishing cost? Time per stage, time and memory against the size of the model, and what callers notice.

One server. First a small model goes through a cold forge, then through a warm one, stage by stage. Then models of
growing size, uploaded in pieces, while the memory of the serving process and of its children is watched. Last, ten
publishes in a row beside callers whose requests are due at fixed times: their p99 against the steady one.

Run: ``python benchmarks/publish.py --help``. Saves ``results/publish.json`` and ``results/publish.png``.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx
import numpy as np
import psutil
from processes import HERE, cpu, quiet
from rich.console import Console
from rich.table import Table
from serve import build_model, our_server
from serve import publish as publish_for_requests
from serve_while_training import asked

MOST_WARM = 1.5
"""Seconds for a small model through a warm forge: more is a failure of this run."""
MOST_RATIO = 3.0
"""p99 of callers during ten publishes in a row against the steady one."""
SIZES = (1, 10, 50, 100, 250, 500)
"""MB of weights."""
PIECE = 8 << 20
"""Bytes of an upload that are sent at a time."""
RUNS = 10
CONSOLE = Console()


@dataclass
class Published:
    """One publish: MB of the file, seconds in all and by stage, MB of memory at the peak."""

    label: str
    file_mb: float
    seconds: float
    stages: dict[str, float] = field(default_factory=dict)
    server_mb: float = 0.0
    child_mb: float = 0.0


def main() -> int:
    """Measure, print, and store the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", type=int, nargs="*", default=list(SIZES), help="MB of weights")
    parser.add_argument("--rate", type=int, default=200, help="requests a second (default 200)")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="where the result goes")
    parser.add_argument("--no-save", action="store_true", help="only print")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="tt-bench-") as name:
        folder = Path(name)
        model, expected = build_model(folder)
        with our_server(folder) as (url, pid, _), httpx.Client(base_url=url, timeout=1200) as client:
            small = [
                in_one_request(client, pid, model, "cold" if run == 0 else "warm") for run in range(RUNS)
            ]
            sized = [in_pieces(client, pid, folder, megabytes) for megabytes in arguments.sizes]
            body = publish_for_requests(url, model, folder, expected)[1].read_bytes()
            p99 = beside_callers(client, url, body, model, arguments.rate)
    machine = f"{cpu()}, {os.cpu_count()} cores shared with the client; load average {load:.1f} before"
    return report(small, sized, p99, machine, arguments)


def in_one_request(client: httpx.Client, pid: int, model: Path, label: str) -> Published:
    """Publish a file as base64 in one request, and wait for the answer."""
    content = base64.b64encode(model.read_bytes()).decode()
    with watched(pid) as peak:
        answer = client.post("/models/new", json={"model_name": "small", "model_content": content})
    answer.raise_for_status()
    if answer.status_code != 201:
        raise RuntimeError(f"not ready in the request: {answer.text[:300]}")
    wait_for_warmth()
    stages = answer.json()["model"]["stages"]
    return Published(
        label, model.stat().st_size / 1e6, peak["seconds"], stages, peak["server"], peak["child"]
    )


def in_pieces(client: httpx.Client, pid: int, folder: Path, megabytes: int) -> Published:
    """Upload a model of so many MB of weights piece by piece, publish it, and see it through."""
    model = build_sized(folder, megabytes)
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    with watched(pid) as peak:
        upload = client.post("/models/uploads", json={"size": model.stat().st_size}).raise_for_status().json()
        at = 0
        with model.open("rb") as file:
            while piece := file.read(PIECE):
                path = f"/models/uploads/{upload['upload_id']}?offset={at}"
                at = client.put(path, content=piece).raise_for_status().json()["offset"]
        uploaded = time.perf_counter() - peak["since"]
        body = {"model_name": "sized", "upload_id": upload["upload_id"], "sha256": digest}
        answer = client.post("/models/new", json=body).raise_for_status()
        version = answer.json()["model"]
        while version["state"] not in ("ready", "refused"):
            time.sleep(0.05)
            version = client.get(answer.headers["location"]).raise_for_status().json()["model"]
    if version["state"] != "ready":
        raise RuntimeError(f"{megabytes} MB were refused: {version['report']}")
    size = model.stat().st_size / 1e6
    model.unlink()
    client.delete(answer.headers["location"]).raise_for_status()
    CONSOLE.print(f"{megabytes} MB: {peak['seconds']:.1f} s, child {peak['child']:,.0f} MB")
    stages = {"upload": uploaded, **version["stages"]}
    return Published(f"{megabytes} MB", size, peak["seconds"], stages, peak["server"], peak["child"])


def beside_callers(client: httpx.Client, url: str, body: bytes, model: Path, rate: int) -> dict[str, float]:
    """Milliseconds at p99 while nothing else happens, and while ten models are published in a row."""
    content = base64.b64encode(model.read_bytes()).decode()
    # What the publishes before have left to do, and what only the first requests pay, is not the steady state.
    wait_for_warmth()
    asyncio.run(asked(url, body, rate, 4, 2.0))
    steady = asyncio.run(asked(url, body, rate, 4, 10.0))
    waiting = []
    for place in range(10):
        answer = client.post(
            "/models/new",
            json={"model_name": f"other {place}", "model_content": content},
            headers={"Prefer": "respond-async"},
        )
        waiting.append(answer.raise_for_status().headers["location"])
    during: list[float] = []
    while any(client.get(path).json()["model"]["state"] not in ("ready", "refused") for path in waiting):
        during += asyncio.run(asked(url, body, rate, 4, 2.0))
    tails = {"steady": float(np.percentile(steady, 99)), "publishing": float(np.percentile(during, 99))}
    return {**tails, "requests": float(len(during)), "ratio": tails["publishing"] / tails["steady"]}


def wait_for_warmth() -> None:
    """The next child begins to import TensorFlow behind the answer: give it the time that a person would."""
    quiet = 0
    while quiet < 5:
        quiet = quiet + 1 if psutil.cpu_percent(0.2) < 20 else 0


@contextmanager
def watched(pid: int) -> Iterator[dict[str, float]]:
    """Seconds, and the highest resident MB of a server and of the largest of its children, over a block."""
    server = psutil.Process(pid)
    found = {"server": 0.0, "child": 0.0, "seconds": 0.0, "since": time.perf_counter()}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            found["server"] = max(found["server"], server.memory_info().rss / 1e6)
            for child in server.children(recursive=True):
                try:
                    found["child"] = max(found["child"], child.memory_info().rss / 1e6)
                except psutil.NoSuchProcess:
                    continue

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
        found["seconds"] = time.perf_counter() - found["since"]
    finally:
        over.set()
        thread.join()


def build_sized(folder: Path, megabytes: int) -> Path:
    """Two square dense layers with so many MB of float32 weights, saved by Keras in a child."""
    width = round((megabytes * 1e6 / 4 / 2) ** 0.5)
    script = f"""
import keras
keras.utils.set_random_seed(1)
layers = [keras.layers.Dense({width}, activation="tanh") for _ in range(2)]
keras.Sequential([keras.Input(({width},)), *layers]).save("sized.keras")
"""
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=True, env=quiet())
    return folder / "sized.keras"


def report(
    small: list[Published],
    sized: list[Published],
    p99: dict[str, float],
    machine: str,
    arguments: argparse.Namespace,
) -> int:
    """Print the tables, store them, and say by the exit status whether a bar was missed."""
    cold, warm = small[0], small[1:]
    stages = {name: statistics.median(run.stages.get(name, 0.0) for run in warm) for name in warm[0].stages}
    median = statistics.median(run.seconds for run in warm)
    typical = Published(f"warm, median of {len(warm)}", cold.file_mb, median, stages, warm[-1].server_mb)
    table = Table(title=f"Publishing, seconds\n{machine}")
    for column in ("model", "in all", "stages", "server MB", "child MB"):
        table.add_column(column, justify="left" if column in ("model", "stages") else "right")
    typical.child_mb = statistics.median(run.child_mb for run in warm)
    for row in (cold, typical, *sized):
        told = ", ".join(f"{name} {seconds:.2f}" for name, seconds in row.stages.items())
        table.add_row(row.label, f"{row.seconds:.2f}", told, f"{row.server_mb:,.0f}", f"{row.child_mb:,.0f}")
    CONSOLE.print(table)
    CONSOLE.print(
        f"p99 of callers: {p99['steady']:.2f} ms steady, {p99['publishing']:.2f} ms during ten publishes "
        f"({p99['ratio']:.2f} x, {p99['requests']:,.0f} requests)"
    )
    if not arguments.no_save:
        arguments.out.mkdir(parents=True, exist_ok=True)
        rows = [asdict(row) for row in (cold, typical, *sized)]
        stored = {"machine": machine, "published": rows, "callers_p99_ms": p99}
        (arguments.out / "publish.json").write_text(json.dumps(stored, indent=2) + "\n")
        plot(sized, machine, arguments.out / "publish.png")
    return 1 if median >= MOST_WARM or p99["ratio"] >= MOST_RATIO else 0


def plot(sized: list[Published], machine: str, path: Path) -> None:
    """Seconds and memory against the size of the file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    time_axes, memory_axes = figure.subplots(1, 2)
    sizes = [row.file_mb for row in sized]
    time_axes.plot(sizes, [row.seconds for row in sized], "o-", color="#e8710a")
    time_axes.set_ylabel("seconds from the first byte to ready")
    memory_axes.plot(sizes, [row.child_mb for row in sized], "o-", color="#9aa5b1", label="forge")
    memory_axes.plot(sizes, [row.server_mb for row in sized], "o-", color="#e8710a", label="serving process")
    memory_axes.set_ylabel("peak memory, MB")
    memory_axes.legend()
    for axes in (time_axes, memory_axes):
        axes.set_xlabel("size of the model, MB")
        axes.set_ylim(bottom=0)
    figure.suptitle(machine, fontsize=8)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    sys.exit(main())
