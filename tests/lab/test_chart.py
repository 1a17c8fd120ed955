"""Curves as SVG: well formed, escaped, legible, and not larger than the page."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensortrigger_lab.chart import COLOURS, DASHES, line_chart

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*series: tuple[str, list[float], list[float | None]], log: bool = False) -> ElementTree.Element:
    return ElementTree.fromstring(line_chart(series, width=400, height=200, log=log, title="Run"))


def texts(svg: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in svg.iter(f"{SVG}text")]


def numbers(svg: ElementTree.Element) -> list[float]:
    """Every coordinate of the curves."""
    paths = [path.get("d", "") for group in svg.iter(f"{SVG}g") for path in group.findall(f"{SVG}path")]
    return [float(found) for path in paths for found in re.findall(r"-?\d+\.\d", path)]


def test_it_says_what_it_is_to_who_cannot_see_it() -> None:
    svg = drawn(("loss", [1, 2], [0.7, 0.5]), ("val_loss", [1, 2], [0.8, None]))
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == svg.findtext(f"{SVG}title") == "Run"
    assert svg.findtext(f"{SVG}desc") == "loss: latest 0.5; val_loss: latest 0.8"
    assert {"Run", "loss", "val_loss"} <= set(texts(svg))


def test_what_comes_from_outside_is_escaped() -> None:
    hostile = "</text><script>alert(1)</script>\"'&"
    svg = line_chart([(hostile, [1], [1.0])], width=400, height=200, title=hostile)
    assert "<script" not in svg
    assert hostile in texts(ElementTree.fromstring(svg))


@given(
    st.lists(
        st.tuples(
            st.text(max_size=60).filter(lambda text: text.isprintable()),
            st.lists(st.one_of(st.none(), st.floats()), max_size=30),
        ),
        max_size=8,
    ),
    st.booleans(),
)
def test_any_numbers_give_a_picture_within_its_frame(
    series: list[tuple[str, list[float | None]]], log: bool
) -> None:
    svg = drawn(*((label, list(map(float, range(len(ys)))), ys) for label, ys in series), log=log)
    assert all(-1 <= number <= 401 for number in numbers(svg))
    assert "nan" not in ElementTree.tostring(svg, "unicode").replace("Nan", "").partition("<desc>")[0]


def test_without_points_it_says_so() -> None:
    assert "no points yet" in texts(drawn())
    assert "no points yet" in texts(drawn(("loss", [1, 2], [None, math.nan])))
    assert "no points yet" in texts(drawn(("loss", [1, 2], [0.0, -1.0]), log=True))


def test_a_gap_parts_the_line_and_a_lone_point_is_a_dot() -> None:
    svg = drawn(("loss", [1, 2, 3, 4, 5], [5.0, 4.0, None, 3.0, math.inf]))
    (line,) = [path.get("d", "") for path in svg.iter(f"{SVG}path") if path.get("stroke-width") == "1.6"]
    assert line.count("M") == 1
    assert line.count("L") == 1
    assert len(list(svg.iter(f"{SVG}circle"))) == 1


def test_a_logarithmic_axis_goes_beyond_the_largest_number() -> None:
    assert "1e+310" in " ".join(texts(drawn(("loss", [1, 2], [1e-300, 1.29e281]), log=True)))


def test_a_logarithmic_axis_is_marked_by_powers_of_ten() -> None:
    svg = drawn(("loss", [1, 2, 3], [100.0, 1.0, 0.001]), log=True)
    assert {"100", "1", "0.001"} <= set(texts(svg))


def test_a_million_points_are_thinned_and_keep_their_peaks() -> None:
    ys: list[float | None] = [0.0] * 1_000_000
    ys[123_456], ys[654_321] = 7.0, -7.0
    svg = line_chart([("loss", range(len(ys)), ys)], width=400, height=200)
    assert len(svg) < 50_000
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", svg)]
    spread = max(heights) - min(heights)
    assert spread > 0.85 * (200 - 28 - 26 - 18)


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("background", ["#ffffff", "#111111", "#1e1e1e"])
@pytest.mark.parametrize("colour", COLOURS)
def test_every_line_stands_out_on_light_and_on_dark(colour: str, background: str) -> None:
    light, dark = sorted((luminance(colour), luminance(background)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 3.0


def test_lines_are_told_by_their_dashes_too() -> None:
    assert len(set(DASHES)) == len(DASHES) >= len(COLOURS)
