"""The quickstart's story in the terminal: train, publish, ask, score 200,000 rows, and tell what was measured.

It starts a backend of its own on a free port with a throw-away folder, ends it, and leaves nothing behind.
Exit status 0 if every check passed, 1 if one failed.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

import tensortrigger_lab as tt
from tensortrigger_lab.comparison import ATOL, RTOL

ROWS = 200_000
EPOCHS = 30
ENDPOINT_CALLS, PREDICT_CALLS = 300, 30
READY = "TensorTrigger backend ready at "
LEAST_ACCURACY = 0.93
"""Far below what the model reaches, far above the 63 % of always saying benign."""


@dataclass
class Report:
    """What was measured, and which checks failed."""

    rows: list[tuple[str, str]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def measured(self, what: str, value: str) -> None:
        """Add a line to the table."""
        self.rows.append((what, value))

    def check(self, passed: bool, otherwise: str) -> None:
        """Remember a failed check."""
        if not passed:
            self.failed.append(otherwise)


@contextmanager
def backend(folder: Path) -> Iterator[str]:
    """The URL of a backend that lives as long as the block, and no longer than this process."""
    command = [sys.executable, "-m", "tensortrigger_backend", "serve", "--port", "0"]
    command += ["--data-dir", str(folder), "--exit-with-parent"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TENSORTRIGGER_")}
    log = folder / "backend.log"
    with log.open("wb") as errors:
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        )
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            line = child.stdout.readline()
            if not line.startswith(READY):
                raise RuntimeError(f"The backend did not start:\n{log.read_text(errors='replace')[-2000:]}")
            yield line.removeprefix(READY).strip()
        finally:
            child.terminate()
            try:
                child.wait(timeout=20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            child.stdin.close()
            child.stdout.close()


def trained(console: Console, x: pd.DataFrame, y: Any) -> Any:
    """A small network with its own normalisation."""
    # TensorFlow's notes about this machine's CPU would stand in the middle of the story.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with console.status("importing TensorFlow"):
        import keras

    keras.utils.set_random_seed(7)
    normalize = keras.layers.Normalization()
    normalize.adapt(x.to_numpy("float32"))
    model = keras.Sequential(
        [
            keras.Input((x.shape[1],)),
            normalize,
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(1, activation="sigmoid", name="malignant"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="binary_crossentropy")
    columns = (TextColumn("training"), BarColumn(), TextColumn("epoch {task.completed} of {task.total}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("training", total=EPOCHS)
        advance = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: bar.advance(task))
        model.fit(x.to_numpy("float32"), y, epochs=EPOCHS, batch_size=32, verbose=0, callbacks=[advance])
    return model


def median_latency(call: Callable[[], Any], calls: int) -> float:
    """Seconds of the median call, after three that only warm up."""
    for _ in range(3):
        call()
    spent = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent)


def within_tolerance(y: Any, y0: Any) -> bool:
    """Whether |y - y0| <= 1e-5 + 1e-4 |y0| everywhere; False where a value is missing."""
    return bool(np.allclose(y, y0, rtol=RTOL, atol=ATOL))


def publish(console: Console, report: Report, network: Any, example: pd.DataFrame) -> tt.Model:
    """Publish it and see that it answers alike."""
    began = time.perf_counter()
    model = tt.publish(network, "tumours", example, "Is a breast tumour malignant?")
    report.measured("publish: upload, check, rebuild, verify", f"{time.perf_counter() - began:.1f} s")
    report.measured("engine", str(model.engine))
    report.check(model.check is not None and bool(model.check.equal), f"The endpoint {model.check}.")
    console.print(repr(model), soft_wrap=True, highlight=False, markup=False)
    return model


def ask(console: Console, report: Report, model: tt.Model, network: Any, patients: pd.DataFrame) -> None:
    """One patient, and how long that takes on either side."""
    patient = patients.iloc[0]
    vector = {str(name): float(value) for name, value in patient.items()}
    row = patient.to_numpy("float32")[None]
    answer, predicted = tt.run(model, vector), network.predict(row, verbose=0)
    console.print(f"\none patient: malignant with probability {answer[0]:.4f}")
    report.check(within_tolerance(answer, predicted[0]), "The endpoint answers one patient otherwise.")
    with console.status("timing single answers"):
        served = median_latency(lambda: tt.run(model, vector), ENDPOINT_CALLS)
        local = median_latency(lambda: network.predict(row, verbose=0), PREDICT_CALLS)
    report.measured("one answer through the API, median", f"{served * 1e3:.2f} ms")
    report.measured("one model.predict in this process, median", f"{local * 1e3:.1f} ms")
    report.measured("ratio", f"{local / served:.0f} times")


def score(
    console: Console,
    report: Report,
    model: tt.Model,
    network: Any,
    patients: pd.DataFrame,
    truth: Any,
    path: Path,
) -> None:
    """Real patients drawn with replacement, as a large CSV file."""
    drawn = np.random.default_rng(7).integers(0, len(patients), ROWS)
    with console.status(f"writing a CSV of {ROWS:,} rows"):
        patients.iloc[drawn].to_csv(path, index=False)
    began = time.perf_counter()
    scores = tt.score_csv(model, path)["malignant"].to_numpy()
    seconds = time.perf_counter() - began
    expected = network.predict(patients.to_numpy("float32"), verbose=0)[:, 0][drawn]
    accuracy = float(np.mean((scores > 0.5) == truth[drawn]))
    report.measured(
        f"CSV of {path.stat().st_size / 1e6:.0f} MB, upload to table", f"{ROWS / seconds:,.0f} rows/s"
    )
    report.measured("largest deviation from model.predict", f"{np.max(np.abs(scores - expected)):.1e}")
    report.measured("accuracy on patients not trained on", f"{accuracy:.1%}")
    report.check(len(scores) == ROWS, f"{len(scores):,} of {ROWS:,} rows came back.")
    report.check(within_tolerance(scores, expected), "A score differs from model.predict.")
    report.check(accuracy >= LEAST_ACCURACY, f"The accuracy of {accuracy:.1%} is under {LEAST_ACCURACY:.0%}.")


def main() -> int:
    """Tell the story; 0 if every check passed."""
    console, report = Console(), Report()
    tumours = load_breast_cancer(as_frame=True)
    malignant = (tumours.target == 0).to_numpy()
    x_train, x_test, y_train, y_test = train_test_split(
        tumours.data, malignant, test_size=0.3, random_state=7, stratify=malignant
    )
    with TemporaryDirectory(prefix="tensortrigger-demo-") as name, backend(Path(name)) as url:
        tt.login(url)
        network = trained(console, x_train, y_train)
        model = publish(console, report, network, x_train)
        ask(console, report, model, network, x_test)
        score(console, report, model, network, x_test, y_test, Path(name) / "patients.csv")

    table = Table("measured", "", title=f"TensorTrigger Lab {tt.__version__}", title_justify="left")
    for row in report.rows:
        table.add_row(*row)
    console.print(table)
    for failure in report.failed:
        console.print(f"[red]failed:[/red] {failure}")
    return 1 if report.failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
