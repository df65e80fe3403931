"""What charts show is what is stored: the SVG on the pages, and the plot in the terminal."""

import random
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import pytest

from activities.forecast import trend
from orchestrator.cli.pool_plot import plot
from orchestrator.pool_views import PoolView
from orchestrator.web.pages.charts import Axes, Layer, Point, draw, steps
from orchestrator.web.pages.pools import chart, thinned
from workflows.pools import Level, PoolRef

START = datetime(2026, 11, 1, tzinfo=UTC)
CAPACITY = 1 << 40


def levels_of(seed: int, count: int) -> list[Level]:
    chance = random.Random(seed)
    return [
        Level(at=START + timedelta(minutes=number), used=int(CAPACITY * chance.uniform(0.2, 0.9)), capacity=CAPACITY)
        for number in range(count)
    ]


def view_of(levels: list[Level]) -> PoolView:
    return PoolView(PoolRef(site="london", pool="sas1"), levels[-1], trend(levels), None)


def wide(drawn: str) -> ET.Element:
    found = ET.fromstring(f"<all>{drawn}</all>").find("div[@class='wide']/{*}svg")
    assert found is not None
    return found


def test_each_point_of_a_pools_chart_stands_where_its_stored_number_says() -> None:
    levels = levels_of(1, 150)
    svg = wide(chart(view_of(levels), levels, []))
    points = svg.findall(".//{*}circle")
    assert [int(one.attrib["data-used"]) for one in points] == [one.used for one in levels]
    assert [one.attrib["data-at"] for one in points] == [one.at.isoformat() for one in levels]
    guides = svg.findall(".//{*}g[@class='axis y always_show']/{*}g[@class='guides']")
    at = {float(one[1].text.rstrip(" %")): float(one[0].attrib["d"].split()[1]) for one in guides}  # type: ignore[union-attr]
    (low, y_low), (high, y_high) = min(at.items()), max(at.items())
    for point, level in zip(points, levels, strict=True):
        drawn = low + (float(point.attrib["cy"]) - y_low) * (high - low) / (y_high - y_low)
        assert drawn == pytest.approx(level.percent, abs=0.15)
        title = point.find("{*}title")
        assert title is not None and f"{level.percent:.2f} %" in str(title.text)


def test_a_chart_brings_no_style_and_no_script_of_its_own() -> None:
    levels = levels_of(2, 20)
    drawn = chart(view_of(levels), levels, [])
    assert not re.search(r"<style|<script|style=|\bid=|<!--|xlink", drawn)


def test_a_name_in_a_chart_stays_text() -> None:
    point = Point(1.0, 5.0, '<script>alert("1")</script>', (("used", '"><b>'),))
    drawn = draw('"><script>', Axes(0, 2, 0, 10, str), [Layer("level", points=[point])])
    assert "<script" not in drawn and "<b>" not in drawn


def test_a_thinned_curve_keeps_stored_samples_alone_and_no_peak_is_lost() -> None:
    levels = levels_of(3, 5000)
    kept = thinned(levels)
    assert len(kept) <= 241 and set(kept) <= set(levels) and kept == sorted(kept, key=lambda one: one.at)
    assert max(kept, key=lambda one: one.used) == max(levels, key=lambda one: one.used)
    assert min(kept, key=lambda one: one.used) == min(levels, key=lambda one: one.used)
    assert kept[-1] == levels[-1]


def test_the_terminals_plot_has_the_means_of_the_stored_samples() -> None:
    levels, width = levels_of(4, 480), 60
    rows = [line.plain for line in plot(levels, {}, width=width)][:-1]
    bottom = float(rows[-1].split("%")[0])
    step = (float(rows[0].split("%")[0]) - bottom) / (len(rows) - 1)  # the labels are rounded
    bars = [row.split("│")[1] for row in rows]
    for column in range(width):
        eighths = sum(" ▁▂▃▄▅▆▇█".index(row[column]) for row in bars)
        mean = sum(one.percent for one in levels[column * 8 : column * 8 + 8]) / 8
        assert bottom + step * eighths / 8 == pytest.approx(mean, abs=step / 8 + 0.2)


def test_the_forecasts_range_ends_where_the_slopes_of_the_trend_lead() -> None:
    levels = [
        Level(at=START + timedelta(hours=hour), used=int(CAPACITY * (0.3 + 0.004 * hour)), capacity=CAPACITY)
        for hour in range(48)
    ]
    view = view_of(levels)
    assert view.trend is not None
    svg = wide(chart(view, levels, []))
    marks = svg.findall(".//{*}g[@class='axis y always_show']/{*}g[@class='guides']")
    at = {float(one[1].text.rstrip(" %")): float(one[0].attrib["d"].split()[1]) for one in marks}  # type: ignore[union-attr]
    (low, y_low), (high, y_high) = min(at.items()), max(at.items())
    line = svg.find(".//{*}g[@class='layer forecast']/{*}path")
    assert line is not None
    end = float(line.attrib["d"].split()[-1])
    quarter = (levels[-1].at - levels[0].at).total_seconds() / 4
    expected = 100 * (levels[-1].used + view.trend.slope * quarter) / CAPACITY
    assert low + (end - y_low) * (high - low) / (y_high - y_low) == pytest.approx(expected, abs=0.15)


def test_labels_of_an_axis_are_round_and_between_its_ends() -> None:
    for low, high in ((0, 100), (46.2, 71.9), (0, 0.03), (0, 1160), (99.4, 99.6)):
        found = steps(low, high, 5)
        assert 2 <= len(found) <= 6 and all(low <= one <= high * 1.0001 for one in found)
