"""Curves as one SVG text: no script, no style sheet, and legible on a light page as on a dark one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

Series = tuple[str, Sequence[float], Sequence[float | None]]
"""Label, places on the x axis in ascending order, and the values there; None or NaN leaves a gap."""

COLOURS = ("#2b7bba", "#c4641f", "#1f9362", "#a855c7", "#c94f5c", "#7d7f86")
"""Each has a contrast of 3 and more with white and with the backgrounds of dark themes."""
DASHES = ("", "7 4", "2 3", "9 3 2 3", "4 2", "1 4")
"""A line is told by its dashes too, for those who do not see its colour."""
LEFT, RIGHT, TOP, BOTTOM, LEGEND_LINE = 58, 14, 28, 26, 18
CHARACTER = 6.6
"""Pixels of one, about, at the size used here."""
LONGEST_LABEL = 40
LARGEST = 1e300
LARGEST_EXPONENT = 308
"""Of a power of ten that a float can hold."""


def line_chart(
    series: Sequence[Series], *, width: int, height: int, log: bool = False, title: str | None = None
) -> str:
    """The curves, a line each, with axes and a legend, all in the colour of the text around.

    Args:
        series: what is drawn; long ones are thinned out so that every peak stays.
        width, height: in pixels.
        log: whether the y axis is logarithmic; what is not above 0 is left out then.
        title: stands above, and is what a screen reader says first.

    Example:
        >>> svg = line_chart([("loss", [1, 2], [0.7, 0.6])], width=400, height=200, title="Training")
    """
    drawn = [_curve(label, xs, ys, log) for label, xs, ys in series]
    rows = _legend_rows([curve.label for curve in drawn], width)
    frame = _frame(drawn, width, height - LEGEND_LINE * len(rows), log)
    name = title or ", ".join(curve.label for curve in drawn) or "No curves"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(name)}" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}" style="max-width:100%;height:auto" '
        'fill="none" stroke="none" font-family="sans-serif" font-size="11">',
        f"<title>{escape(name)}</title><desc>{escape(_described(drawn))}</desc>",
    ]
    if title:
        parts.append(f'<text x="{LEFT}" y="17" fill="currentColor" font-size="13">{escape(title)}</text>')
    if frame is None:
        parts.append(
            f'<text x="{width / 2:g}" y="{height / 2:g}" fill="currentColor" text-anchor="middle">'
            "no points yet</text>"
        )
    else:
        parts += frame.axes()
        parts += [frame.line(curve, *_stroke(place)) for place, curve in enumerate(drawn)]
    parts += _legend(rows, height)
    return "".join([*parts, "</svg>"])


@dataclass(frozen=True, slots=True)
class _Curve:
    """A line's unbroken pieces, in data units (logarithms where the axis is one)."""

    label: str
    pieces: list[list[tuple[float, float]]]
    last: float | None

    @property
    def points(self) -> Iterator[tuple[float, float]]:
        for piece in self.pieces:
            yield from piece


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where data lies on the page."""

    x: tuple[float, float]
    y: tuple[float, float]
    right: float
    bottom: float
    log: bool

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return LEFT + across * (self.right - LEFT), self.bottom - up * (self.bottom - TOP)

    def axes(self) -> list[str]:
        parts = [f'<g stroke="currentColor"><path d="M{LEFT} {TOP}V{self.bottom:g}H{self.right:g}"/>']
        labels = []
        for value in _y_ticks(*self.y, self.log):
            _, y = self.at(self.x[0], value)
            parts.append(f'<path d="M{LEFT} {y:.1f}H{self.right:g}" stroke-opacity=".15"/>')
            told = _power(value) if self.log else _told(value)
            labels.append(f'<text x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{told}</text>')
        for value in _ticks(*self.x, 6):
            x, _ = self.at(value, self.y[0])
            parts.append(f'<path d="M{x:.1f} {self.bottom:g}v4"/>')
            labels.append(
                f'<text x="{x:.1f}" y="{self.bottom + 16:g}" text-anchor="middle">{_told(value)}</text>'
            )
        return [*parts, '</g><g fill="currentColor">', *labels, "</g>"]

    def line(self, curve: _Curve, colour: str, dashes: str) -> str:
        steps: list[str] = []
        dots: list[str] = []
        for piece in curve.pieces:
            placed = [self.at(x, y) for x, y in _thinned(piece, self.x, int(self.right - LEFT))]
            if len(placed) == 1:
                dots.append(f'<circle cx="{placed[0][0]:.1f}" cy="{placed[0][1]:.1f}" r="2.5"/>')
            else:
                steps.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in placed))
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        path = f'<path d="{"".join(steps)}" stroke-width="1.6"{dashed}/>' if steps else ""
        return (
            f'<g stroke="{colour}" stroke-linejoin="round">{path}<g fill="{colour}">{"".join(dots)}</g></g>'
        )


def _curve(label: str, xs: Sequence[float], ys: Sequence[float | None], log: bool) -> _Curve:
    pieces: list[list[tuple[float, float]]] = [[]]
    last = None
    for x, y in zip(xs, ys, strict=True):
        # A span of more than this has no width that a float could hold; NaN compares as false.
        if y is None or not abs(y) <= LARGEST or (log and y <= 0.0):
            if pieces[-1]:
                pieces.append([])
            continue
        last = float(y)
        pieces[-1].append((float(x), math.log10(y) if log else last))
    short = label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"
    return _Curve(short, [piece for piece in pieces if piece], last)


def _frame(curves: Sequence[_Curve], width: int, height: int, log: bool) -> _Frame | None:
    points = [point for curve in curves for point in curve.points]
    if not points:
        return None
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return _Frame(
        _widened(min(xs), max(xs), 0.0), _widened(min(ys), max(ys), 0.05), width - RIGHT, height - BOTTOM, log
    )


def _widened(low: float, high: float, margin: float) -> tuple[float, float]:
    """The range with some air; one value alone stands in the middle of its own."""
    span = high - low
    # Beside a large value, a smaller span than this is lost in rounding.
    if span <= abs(high) * 1e-12:
        half = abs(high) * 0.1 or 0.5
        return low - half, high + half
    return low - span * margin, high + span * margin


def _thinned(
    piece: list[tuple[float, float]], x: tuple[float, float], pixels: int
) -> list[tuple[float, float]]:
    """First, lowest, highest and last of each pixel's width: the line looks as if all were drawn."""
    if len(piece) <= 4 * max(1, pixels):
        return piece
    kept: list[tuple[float, float]] = []
    bucket: list[tuple[float, float]] = []
    column = -1
    for point in piece:
        place = int((point[0] - x[0]) / (x[1] - x[0]) * pixels)
        if place != column and bucket:
            kept += _corners(bucket)
            bucket = []
        column = place
        bucket.append(point)
    return kept + _corners(bucket)


def _corners(bucket: list[tuple[float, float]]) -> list[tuple[float, float]]:
    by_value = [bucket.index(extreme(bucket, key=lambda point: point[1])) for extreme in (min, max)]
    return [bucket[place] for place in sorted({0, len(bucket) - 1, *by_value})]


def _ticks(low: float, high: float, wanted: int) -> list[float]:
    """Round numbers within the range, a handful of them."""
    raw = (high - low) / max(1, wanted)
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw)
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    return [
        round((first + place) * step, 12) if step > 1e-9 else (first + place) * step for place in range(count)
    ]


def _y_ticks(low: float, high: float, log: bool) -> list[float]:
    """For a logarithmic axis the powers of ten, and the 2 and 5 between where few of them are in sight."""
    if not log:
        return _ticks(low, high, 5)
    factors = (1, 2, 5) if high - low < 2 else (1,)
    step = max(1, math.ceil((high - low) / 8))
    exponents = range(math.floor(low), math.ceil(high) + 1, step)
    found = [power + math.log10(factor) for power in exponents for factor in factors]
    inside = [value for value in found if low <= value <= high]
    return inside if len(inside) > 1 else _ticks(low, high, 4)


def _power(exponent: float) -> str:
    """A mark of a logarithmic axis, which may lie beyond what a float can hold."""
    return _told(10**exponent) if exponent <= LARGEST_EXPONENT else f"1e+{exponent:.0f}"


def _told(value: float) -> str:
    return f"{value:.3g}" if value and not 1e-3 <= abs(value) < 1e5 else f"{value:.6g}"


def _described(curves: Sequence[_Curve]) -> str:
    """The latest values in words."""
    return "; ".join(
        f"{curve.label}: {'no points' if curve.last is None else f'latest {curve.last:.4g}'}"
        for curve in curves
    )


def _stroke(place: int) -> tuple[str, str]:
    return COLOURS[place % len(COLOURS)], DASHES[place % len(DASHES)]


def _legend_rows(labels: Sequence[str], width: int) -> list[list[tuple[int, float, str]]]:
    """Each label with its place among the curves and its x, in as many rows as they need."""
    rows: list[list[tuple[int, float, str]]] = []
    x = float(width)
    for place, label in enumerate(labels):
        needed = 34 + len(label) * CHARACTER + 12
        if not rows or x + needed > width - RIGHT:
            rows.append([])
            x = float(LEFT)
        rows[-1].append((place, x, label))
        x += needed
    return rows


def _legend(rows: Sequence[Sequence[tuple[int, float, str]]], height: int) -> list[str]:
    parts = []
    for number, row in enumerate(rows):
        y = height - LEGEND_LINE * (len(rows) - number) + 10
        for place, x, label in row:
            colour, dashes = _stroke(place)
            dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
            parts.append(
                f'<path d="M{x:.1f} {y}h26" stroke="{colour}" stroke-width="1.8"{dashed}/>'
                f'<text x="{x + 32:.1f}" y="{y + 4}" fill="currentColor">{escape(label)}</text>'
            )
    return parts
