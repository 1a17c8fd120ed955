"""The points of a run as tables and as the lines of a chart."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tensortrigger_lab.chart import Series
from tensortrigger_lab.wire import PointRecord

if TYPE_CHECKING:
    import pandas as pd

VALIDATION = "val_"
NAN = float("nan")


class Curves:
    """Collects points as they come: two numbers a metric and point, so that a million of them stay small."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], tuple[array[float], array[float]]] = {}
        self.last_seq = 0

    def add(self, points: Iterable[PointRecord]) -> None:
        """Take points in, in their order."""
        for point in points:
            self.last_seq = max(self.last_seq, point.seq)
            for name, value in point.metrics.items():
                xs, ys = self._lines.setdefault((name, point.kind), (array("d"), array("d")))
                xs.append(point.step)
                ys.append(NAN if value is None else value)

    @property
    def charts(self) -> list[tuple[str, list[Series]]]:
        """Title and lines of each chart: a metric and its validation share one; the loss comes first.

        The x axis is the optimizer's step. Batches are drawn beside the epochs' values, unless all there is
        comes once an epoch.
        """
        names = sorted({_metric(name) for name, _ in self._lines}, key=lambda name: (name != "loss", name))
        return [(name, list(self._of(name))) for name in names]

    def _of(self, metric: str) -> Iterable[Series]:
        wanted = [(metric, "epoch", metric), (VALIDATION + metric, "epoch", VALIDATION + metric)]
        for name, kind, label in [*wanted, (metric, "batch", f"{metric} (batch)")]:
            line = self._lines.get((name, kind))
            if line is not None:
                yield label, line[0], line[1]


def frame_of(points: Sequence[PointRecord]) -> pd.DataFrame:
    """One row a point, indexed by its number: kind, step, epoch, time (UTC), then a column a metric."""
    import pandas as pd

    names = list(dict.fromkeys(name for point in points for name in point.metrics))
    columns: dict[str, object] = {
        "kind": [point.kind for point in points],
        "step": [point.step for point in points],
        "epoch": [point.epoch for point in points],
        "time": pd.to_datetime([point.t for point in points], unit="s", utc=True),
    }
    for name in names:
        values = [point.metrics.get(name) for point in points]
        columns[name] = pd.array([NAN if value is None else value for value in values], dtype="float64")
    return pd.DataFrame(columns, index=pd.Index([point.seq for point in points], name="seq", dtype="int64"))


def history_of(points: Sequence[PointRecord]) -> pd.DataFrame:
    """One row an epoch, indexed by it, one column a metric: what Keras' ``fit`` gives as its history."""
    table = frame_of([point for point in points if point.kind == "epoch"])
    return table.set_index("epoch").drop(columns=["kind", "step", "time"])


def metrics_told(metrics: dict[str, float | None] | None, most: int | None = None) -> str:
    """Metrics in one line, the loss first; ``most`` of them, where that is given."""
    ordered = sorted((metrics or {}).items(), key=lambda entry: (_metric(entry[0]) != "loss", entry[0]))
    return "  ".join(
        f"{name} {'not finite' if value is None else f'{value:.4g}'}" for name, value in ordered[:most]
    )


def _metric(name: str) -> str:
    """The metric that a validation value belongs to."""
    return name.removeprefix(VALIDATION)
