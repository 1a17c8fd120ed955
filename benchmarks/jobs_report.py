"""What the benchmark of jobs has found: as a table, as plots, and against what was promised."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

LEAST_EMBEDDED, LEAST_DISTRIBUTED = 10.0, 5.0
"""Times the naive script's rows a second: less is a failure of this run."""
LEAST_OF_PARSING = 0.4
"""Of the rows a second at which pandas does nothing but parse."""
MOST_MEMORY = 350.0
"""MB of a worker."""
MOST_SPREAD = 0.10
"""By how much its memory may differ between a job and one of ten times its rows."""
MOST_CONSTANT = 3.0
"""Seconds that a job takes however few its rows are."""
MOST_RESIDUAL = 0.15
"""How far a measured time may be from a + b n."""
LEAST_SPEEDUP = 1.5
"""Of two workers against one."""
ORANGE, GREY = "#e8710a", "#9aa5b1"
LABELS = {
    "naive": "pandas + model.predict + JSON",
    "embedded": "tt serve",
    "distributed": "PostgreSQL, RabbitMQ, S3",
    "parse_pandas": "pandas, parsing only",
    "parse_pyarrow": "pyarrow, parsing only",
    "parse_polars": "polars, parsing only",
}


@dataclass(frozen=True)
class Run:
    """One job or script. Seconds; the steps are those of a job.

    Attributes:
        peak_mb: most memory of the process that parses and scores; of several, of the largest.
        api_mb: that of the process that takes the upload in and hands the results out, where it is another one.
        disk: what merely writing the upload's bytes takes, where that was measured.
    """

    rows: int
    seconds: float
    upload: float = 0.0
    scoring: float = 0.0
    download: float = 0.0
    peak_mb: float = 0.0
    api_mb: float = 0.0
    disk: float = 0.0

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds

    def to_dict(self) -> dict[str, float]:
        """As it is stored."""
        return asdict(self)


def median(runs: list[Run]) -> Run:
    """The run of median time, with the highest of their memory."""
    middle = sorted(runs, key=lambda run: run.seconds)[(len(runs) - 1) // 2]
    most = {"peak_mb": max(run.peak_mb for run in runs), "api_mb": max(run.api_mb for run in runs)}
    return Run(**{**asdict(middle), **most})


def fit(runs: list[Run]) -> tuple[float, float, float]:
    """a and b of time = a + b n, by least squares of the relative errors, and the largest of those."""
    rows, seconds = np.array([run.rows for run in runs], float), np.array([run.seconds for run in runs])
    (a, b), *_ = np.linalg.lstsq(np.stack([1 / seconds, rows / seconds], 1), np.ones(len(rows)), rcond=None)
    return float(a), float(b), float(np.abs((a + b * rows) / seconds - 1).max())


def speedup(found: Mapping[str, Any]) -> float:
    """Of the scoring of two workers against one's."""
    one, two = (statistics.median(run.scoring for run in found[f"workers_{count}"]) for count in (1, 2))
    return one / two


def show(found: Mapping[str, Any], console: Console) -> None:
    """Tables, the first of them as Markdown."""
    console.print(
        f"\n{found['rows']:,} rows, median of {found['repeats']}\n{found['machine']}\n", highlight=False
    )
    console.print(
        "| | rows/s | against naive | against pandas' parsing | peak MB |\n|---|---|---|---|---|",
        highlight=False,
    )
    naive, pandas = (
        median(found[name]).rate if name in found else None for name in ("naive", "parse_pandas")
    )
    for name, label in LABELS.items():
        if name in found:
            run = median(found[name])
            against = [f"{run.rate / other:,.2f}" if other else "" for other in (naive, pandas)]
            console.print(
                f"| {label} | {run.rate:,.0f} | {' | '.join(against)} | {run.peak_mb:,.0f} |", highlight=False
            )
    table = Table(title="Jobs, seconds")
    for column in (
        "",
        "rows",
        "in all",
        "upload",
        "scoring",
        "download",
        "rows/s",
        "peak MB",
        "api MB",
        "disk",
    ):
        table.add_column(column, justify="right" if column else "left")
    for name in ("embedded", "distributed", "scaling", "memory", "workers_1", "workers_2"):
        for run in found.get(name, []):
            steps = [f"{seconds:.2f}" for seconds in (run.seconds, run.upload, run.scoring, run.download)]
            disk = f"{run.disk:.2f}" if run.disk else ""
            api = f"{run.api_mb:,.0f}" if run.api_mb else ""
            table.add_row(name, f"{run.rows:,}", *steps, f"{run.rate:,.0f}", f"{run.peak_mb:,.0f}", api, disk)
    console.print(table)
    if "scaling" in found:
        a, b, residual = fit(found["scaling"])
        console.print(
            f"time = {a:.2f} s + {b * 1e6:.2f} s a million rows; no run is further than {residual:.0%} from that"
        )
    if "memory" in found:
        console.print(f"one worker's memory differs by {spread(found['memory']):.1%} between these sizes")
    if "workers_1" in found and "workers_2" in found:
        console.print(f"two workers score {speedup(found):.2f} times as fast as one")


def spread(runs: list[Run]) -> float:
    """How much more memory the largest run has taken than the smallest."""
    peaks = [run.peak_mb for run in runs]
    return max(peaks) / min(peaks) - 1


def misses(found: Mapping[str, Any], parts: Collection[str]) -> list[str]:
    """What fell short of the bars above, of the parts that were run now."""
    short = []

    def must(good: bool, sentence: str) -> None:
        if not good:
            short.append(sentence)

    for name, least in (("embedded", LEAST_EMBEDDED), ("distributed", LEAST_DISTRIBUTED)):
        if name in parts and "naive" in found:
            ratio = median(found[name]).rate / median(found["naive"]).rate
            must(ratio >= least, f"{name}: {ratio:.1f} times the naive script, {least:.0f} wanted")
    if "embedded" in parts and "parse_pandas" in found:
        ratio = median(found["embedded"]).rate / median(found["parse_pandas"]).rate
        must(
            ratio >= LEAST_OF_PARSING, f"embedded: {ratio:.2f} of pandas' parsing, {LEAST_OF_PARSING} wanted"
        )
    if "memory" in parts:
        most, differ = max(run.peak_mb for run in found["memory"]), spread(found["memory"])
        must(most < MOST_MEMORY, f"a worker of {most:.0f} MB, under {MOST_MEMORY:.0f} wanted")
        must(
            differ <= MOST_SPREAD,
            f"a worker's memory differs by {differ:.0%}, {MOST_SPREAD:.0%} at most wanted",
        )
    if "scaling" in parts:
        a, _, residual = fit(found["scaling"])
        must(a < MOST_CONSTANT, f"{a:.1f} s whatever the rows, under {MOST_CONSTANT} wanted")
        must(
            residual <= MOST_RESIDUAL,
            f"a time {residual:.0%} away from a + b n, {MOST_RESIDUAL:.0%} at most wanted",
        )
    if "workers" in parts:
        must(
            speedup(found) >= LEAST_SPEEDUP,
            f"two workers {speedup(found):.2f} times one, {LEAST_SPEEDUP} wanted",
        )
    return short


def plot(found: Mapping[str, Any], path: Path) -> None:
    """Rows a second, memory and time against the rows, and two workers against one."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout="constrained")
    (rates, memory), (times, workers) = figure.subplots(2, 2)
    shown = [name for name in LABELS if name in found]
    colours = [ORANGE if name in ("embedded", "distributed") else GREY for name in shown]
    bars = rates.barh(
        [LABELS[name] for name in shown], [median(found[name]).rate for name in shown], color=colours
    )
    rates.bar_label(bars, [f" {median(found[name]).rate:,.0f}" for name in shown], fontsize=8)
    rates.set(xlabel="rows a second", title=f"{found['rows']:,} rows of 32 floats")
    rates.invert_yaxis()
    rates.margins(x=0.25)
    rates.locator_params(axis="x", nbins=4)
    for name, colour, label in (("memory", ORANGE, "a worker"), ("scaling", GREY, "tt serve, whole process")):
        if not (runs := found.get(name, [])):
            continue
        memory.plot(
            [run.rows for run in runs], [run.peak_mb for run in runs], "o-", color=colour, label=label
        )
    if memory.lines:
        memory.set(xscale="log")
        memory.legend()
    memory.axhline(MOST_MEMORY, color="black", linewidth=0.6, linestyle=":")
    memory.set(xlabel="rows", ylabel="peak memory, MB", ylim=(0, MOST_MEMORY * 1.1), title="Memory")
    if "scaling" in found:
        a, b, _ = fit(found["scaling"])
        rows = np.geomspace(
            min(run.rows for run in found["scaling"]), max(run.rows for run in found["scaling"])
        )
        times.plot(rows, a + b * rows, color=GREY, label=f"{a:.2f} s + {b * 1e6:.2f} s a million")
        times.plot(
            [run.rows for run in found["scaling"]],
            [run.seconds for run in found["scaling"]],
            "o",
            color=ORANGE,
        )
        if any(run.disk for run in found["scaling"]):
            times.plot(
                [run.rows for run in found["scaling"]],
                [run.disk for run in found["scaling"]],
                ":",
                color=GREY,
                label="writing the file, nothing else",
            )
        times.legend()
        times.set(xscale="log", yscale="log")
    times.set(xlabel="rows", ylabel="seconds, upload to results", title="Time")
    if "workers_1" in found and "workers_2" in found:
        counts = [statistics.median(run.rows / run.scoring for run in found[f"workers_{n}"]) for n in (1, 2)]
        bars = workers.bar(["one worker", "two workers"], counts, 0.5, color=[GREY, ORANGE])
        workers.bar_label(bars, ["", f"{speedup(found):.2f} x"])
        workers.margins(y=0.12)
    workers.set(ylabel="rows a second while scoring", title="Workers of one thread, on S3")
    figure.suptitle(found["machine"], fontsize=8)
    figure.savefig(path, dpi=120)
