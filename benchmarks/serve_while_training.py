"""What do callers of a model notice while ``tt serve`` trains or checks another one? Phases side by side, in one run.

One server, one model, requests of one row that are due at fixed times over a few connections. The phases (steady,
training, publish) take turns. A request's time counts from when it was due, so a stall is felt by all that it held up.
Each phase is held against the steady one of its own round, and the median of the rounds counts: a round in which the
machine had something else to do decides nothing.

Run: ``python benchmarks/serve_while_training.py --help``. Saves ``results/serve_while_training.json``.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
from processes import HERE, cpu
from rich.console import Console
from rich.table import Table
from serve import WIDTH, build_model, our_server, publish

MOST_RATIO = 3.0
"""p99 of a phase against the steady one: more is a failure of this run."""
PHASES = ("steady", "training", "publish")
CONSOLE = Console()


def main() -> int:
    """Measure, print, and store the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=4, help="times that the phases take turns (default 4)")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a phase (default 6)")
    parser.add_argument("--rate", type=int, default=200, help="requests a second (default 200)")
    parser.add_argument("--connections", type=int, default=4, help="which they share (default 4)")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="where the result goes")
    parser.add_argument("--no-save", action="store_true", help="only print")
    arguments = parser.parse_args()
    load = [os.getloadavg()]
    with tempfile.TemporaryDirectory(prefix="tt-bench-") as name:
        folder = Path(name)
        model, expected = build_model(folder)
        with our_server(folder) as (url, _, _):
            body = publish(url, model, folder, expected)[1].read_bytes()
            found = measured(url, body, model, expected, arguments)
    load.append(os.getloadavg())
    return report(found, load, arguments)


def measured(
    url: str, body: bytes, model: Path, expected: Any, arguments: argparse.Namespace
) -> dict[str, list[list[float]]]:
    """Milliseconds of every request, by phase and round."""
    found: dict[str, list[list[float]]] = {phase: [] for phase in PHASES}
    with httpx.Client(base_url=url, timeout=120) as client:
        beside: dict[str, Callable[[], Any]] = {
            "steady": nothing,
            "training": lambda: training(client, expected),
            "publish": lambda: publishing(client, model, arguments.seconds),
        }
        # What only the first request of a process pays is not what a phase is to show.
        asyncio.run(asked(url, body, arguments.rate, arguments.connections, 1.0))
        for round_ in range(arguments.rounds):
            for phase in PHASES:
                with beside[phase]():
                    times = asyncio.run(
                        asked(url, body, arguments.rate, arguments.connections, arguments.seconds)
                    )
                found[phase].append(times)
                CONSOLE.print(f"round {round_ + 1}, {phase}: p99 {np.percentile(times, 99):.2f} ms")
    return found


@contextmanager
def nothing() -> Iterator[None]:
    """The server has nothing else to do."""
    yield


@contextmanager
def training(client: httpx.Client, expected: Any) -> Iterator[None]:
    """A training is at work all the while; its last look says that it was."""
    x = np.repeat(expected["x"], 32, axis=0)
    job = client.patch(
        "/tensor/train",
        json={
            "model": "bench/1",
            "epochs": 100_000,
            "input_vectors": x.tolist(),
            "output_vectors": (x.sum(axis=1) > 0).astype(float).tolist(),
        },
    )
    job.raise_for_status()
    path = f"/jobs/{job.json()['job_id']}"
    while client.get(path).json()["job"]["progress"]["epochs_done"] < 1:
        time.sleep(0.05)
    try:
        yield
        state = client.get(path).json()["job"]
        if state["state"] != "running":
            raise RuntimeError(f"the training ended too early: {state}")
    finally:
        client.post(f"{path}/cancel").raise_for_status()


@contextmanager
def publishing(client: httpx.Client, model: Path, seconds: float) -> Iterator[None]:
    """Uploads enough to keep the forge busy for so long wait in its line; they are seen through afterwards."""
    content = base64.b64encode(model.read_bytes()).decode()
    waiting = []
    for place in range(int(seconds // 2) + 1):
        answer = client.post(
            "/models/new",
            json={"model_name": f"other {place}", "model_content": content},
            headers={"Prefer": "respond-async"},
        )
        waiting.append(answer.raise_for_status().headers["location"])
    yield
    for path in waiting:
        while (state := client.get(path).json()["model"]["state"]) not in ("ready", "refused"):
            time.sleep(0.1)
        if state != "ready":
            raise RuntimeError(f"an upload was refused: {path}")


async def asked(url: str, body: bytes, rate: int, connections: int, seconds: float) -> list[float]:
    """Milliseconds from when each request was due to its answer."""
    parts = urlsplit(url)
    head = f"POST /tensor/run HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    every = connections / rate
    begin = time.perf_counter() + 0.1

    async def one(place: int) -> list[float]:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        times = []
        due = begin + place * every / connections
        while due < begin + seconds:
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(answer.decode())
            await reader.readexactly(int(answer.split(b"content-length: ")[1].split(b"\r\n")[0]))
            times.append((time.perf_counter() - due) * 1000)
            due += every
        writer.close()
        await writer.wait_closed()
        return times

    return [time for times in await asyncio.gather(*map(one, range(connections))) for time in times]


def report(found: dict[str, list[list[float]]], load: list[Any], arguments: argparse.Namespace) -> int:
    """Print the table, store it, and say by the exit status whether a phase is over the bar."""
    tails = {phase: [float(np.percentile(times, 99)) for times in rounds] for phase, rounds in found.items()}
    rows = {
        phase: {
            "requests": sum(map(len, rounds)),
            "p50_ms": round(float(np.median([np.percentile(times, 50) for times in rounds])), 3),
            "p99_ms": round(float(np.median(tails[phase])), 3),
            "max_ms": round(max(map(max, rounds)), 3),
            "p99_ratio": round(float(np.median(np.divide(tails[phase], tails["steady"]))), 2),
            "p99_ms_of_rounds": [round(tail, 3) for tail in tails[phase]],
        }
        for phase, rounds in found.items()
    }
    told = f"load average {load[0][0]:.1f} before, {load[1][0]:.1f} after"
    machine = f"{cpu()}, {os.cpu_count()} cores shared with the client; {told}"
    table = Table(title=f"{arguments.rate} requests a second, {WIDTH} numbers each\n{machine}")
    for column in ("phase", "requests", "p50 ms", "p99 ms", "max ms", "p99 to steady"):
        table.add_column(column, justify="left" if column == "phase" else "right")
    for phase, row in rows.items():
        times = [f"{row[column]:.2f}" for column in ("p50_ms", "p99_ms", "max_ms")]
        table.add_row(phase, f"{row['requests']:,}", *times, f"{row['p99_ratio']:.2f} x")
    CONSOLE.print(table)
    if not arguments.no_save:
        arguments.out.mkdir(parents=True, exist_ok=True)
        stored = {
            "machine": machine,
            "load_average": load,
            "rate": arguments.rate,
            "seconds": arguments.seconds,
            "rounds": arguments.rounds,
            "phases": rows,
        }
        (arguments.out / "serve_while_training.json").write_text(json.dumps(stored, indent=2) + "\n")
    return 1 if any(row["p99_ratio"] >= MOST_RATIO for row in rows.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
