"""What does ``tt.callback`` cost a training? Paired fits with and without it, alternating, against a real backend.

    python benchmarks/callback_overhead.py

Prints the ratio of the medians and saves ``benchmarks/results/callback.json`` and ``callback.png``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

RESULTS = Path(__file__).parent / "results"
BAR = 1.02
PAIRS = 9
READY = "TensorTrigger backend ready at "


def main() -> None:
    """Measure every case, and exit with 1 where one is over the bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=PAIRS, help="fits of each kind")
    parser.add_argument("--no-save", action="store_true", help="only print")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        backend = subprocess.Popen(
            [sys.executable, "-m", "tensortrigger_backend", "serve", "--port", "0", "--data-dir", folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert backend.stdout is not None
            line = backend.stdout.readline()
            assert line.startswith(READY), "the backend did not start"
            found = {name: measured(name, line.removeprefix(READY).strip(), options.pairs) for name in CASES}
        finally:
            backend.terminate()
            backend.wait(timeout=30)
    if not options.no_save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "callback.json").write_text(
            json.dumps(
                {"bar": BAR, "cpus": os.cpu_count(), "machine": platform.machine(), "cases": found}, indent=2
            )
            + "\n"
        )
        draw(found)
    sys.exit(0 if all(case["ratio"] <= BAR for case in found.values()) else 1)


def dense() -> tuple[Any, Any, Any, dict[str, Any]]:
    """32-64-64-1 on a table: a step takes about a millisecond, which is as unkind as it gets."""
    import keras
    import numpy as np

    x = np.random.default_rng(7).normal(size=(32 * 1500, 32)).astype("float32")
    layers = [keras.Input((32,)), *(keras.layers.Dense(64, activation="relu") for _ in range(2))]
    model = keras.Sequential([*layers, keras.layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    return model, x, x.sum(axis=1), {"epochs": 2, "batch_size": 32}


def images() -> tuple[Any, Any, Any, dict[str, Any]]:
    """A small convolutional network: steps of tens of milliseconds."""
    import keras
    import numpy as np

    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(64 * 60, 28, 28, 1)).astype("float32"), rng.integers(0, 10, 64 * 60)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, x, y, {"epochs": 2, "batch_size": 64}


CASES = {"dense": dense, "images": images}


def measured(name: str, url: str, pairs: int) -> dict[str, Any]:
    """The seconds of each fit, and what the callback added at the median of the pairs."""
    import tensortrigger_lab as tt

    model, x, y, options = CASES[name]()
    steps = options["epochs"] * -(-len(x) // options["batch_size"])
    with tt.Client(url) as client:

        def fit(*callbacks: Any) -> tuple[float, float]:
            began, worked = time.perf_counter(), time.process_time()
            model.fit(x, y, verbose=0, callbacks=list(callbacks), **options)
            return time.perf_counter() - began, time.process_time() - worked

        def watched() -> tuple[float, float]:
            return fit(tt.callback(f"overhead, {name}", client=client))

        fit()
        watched()
        without: list[tuple[float, float]] = []
        with_it: list[tuple[float, float]] = []
        for pair in range(pairs):
            # Which of the two goes first alternates, so that neither always finds the warmer machine.
            for kind in (without, with_it) if pair % 2 else (with_it, without):
                kind.append(fit() if kind is without else watched())
        (newest, *_) = client.runs(limit=1)
        assert (newest.state, newest.points) == ("succeeded", steps + options["epochs"]), newest
    ratio, cpu_ratio = (
        statistics.median(b[of] / a[of] for a, b in zip(without, with_it, strict=True)) for of in (0, 1)
    )
    base = statistics.median(seconds for seconds, _ in without)
    print(
        f"{name:8} {steps} steps of {1e3 * base / steps:.2f} ms: {base:.3f} s without, "
        f"{statistics.median(seconds for seconds, _ in with_it):.3f} s with it, ratio {ratio:.4f}, "
        f"of processor time {cpu_ratio:.4f} (median of {pairs} pairs; bar {BAR})",
        flush=True,
    )
    return {
        "steps": steps,
        "step_ms": 1e3 * base / steps,
        "without_s": [seconds for seconds, _ in without],
        "with_s": [seconds for seconds, _ in with_it],
        "ratio": ratio,
        "cpu_ratio": cpu_ratio,
    }


def draw(found: dict[str, Any]) -> None:
    """The ratio of every pair, and the bar that the median stays below."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    for place, case in enumerate(found.values()):
        ratios = [b / a for a, b in zip(case["without_s"], case["with_s"], strict=True)]
        axes.scatter(ratios, [place] * len(ratios), alpha=0.5, label="a pair of fits" if place == 0 else None)
        axes.scatter(
            [case["ratio"]], [place], marker="|", s=600, color="black", label=None if place else "median"
        )
        axes.annotate(f"{case['ratio']:.3f}", (case["ratio"], place + 0.2), ha="center")
    axes.axvline(BAR, linestyle="--", color="firebrick", label="bar: 2 %")
    axes.set_yticks(
        range(len(found)), [f"{name}\n{case['step_ms']:.1f} ms a step" for name, case in found.items()]
    )
    axes.set(xlabel="time of fit with tt.callback / without", ylim=(-0.5, len(found) - 0.3))
    axes.legend(loc="upper right", fontsize="small")
    figure.savefig(RESULTS / "callback.png", dpi=120)


if __name__ == "__main__":
    main()
