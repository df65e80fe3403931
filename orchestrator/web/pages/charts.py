"""Charts as SVG without a style or script of their own: classes for the stylesheet, and the numbers in each point."""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pygal
from markupsafe import Markup

_WIDE, _NARROW = (1000, 270), (420, 260)
_INLINE = ("defs", "script", "style", "title")
_CLUTTER = ("titles", "plot text-overlay", "plot tooltip-overlay")

Value = tuple[float, float | None]


@dataclass(frozen=True)
class Point:
    """A drawn number: where it is, what it says to whoever points at it, and the stored numbers behind it."""

    at: float
    value: float
    said: str
    stored: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Layer:
    """A line, or an area that its points go around, by the class that the stylesheet knows; or points to be read."""

    kind: str
    values: Sequence[Value] = ()
    points: Sequence[Point] = ()
    gap: float | None = None
    """Points of a line that lie farther apart are not joined."""


@dataclass(frozen=True)
class Axes:
    """What the chart shows: stretches of time (seconds since the epoch) and of values, and how a value is written."""

    start: float
    end: float
    low: float
    high: float
    written: Callable[[float], str]


def draw(title: str, axes: Axes, layers: Sequence[Layer]) -> Markup:
    """Draw the chart for a wide and for a narrow screen; the stylesheet shows one of them."""
    wide = _drawn(title, axes, layers, _WIDE, labels=7, dots=True)
    narrow = _drawn(title, axes, layers, _NARROW, labels=4, dots=False)
    return Markup('<div class="wide">{}</div><div class="narrow">{}</div>').format(wide, narrow)


def _drawn(title: str, axes: Axes, layers: Sequence[Layer], size: tuple[int, int], labels: int, dots: bool) -> Markup:
    chart = pygal.XY(
        width=size[0],
        height=size[1],
        css=[],
        js=[],
        classes=("chart",),
        show_legend=False,
        dots_size=4,
        margin=8,
        margin_right=14,
        range=(axes.low, axes.high),
        xrange=(axes.start, axes.end),
        y_labels=steps(axes.low, axes.high, 5),
        x_labels=_moments(axes.start, axes.end, labels),
        y_value_formatter=axes.written,
        value_formatter=axes.written,
        x_value_formatter=_clock(axes.end - axes.start),
        show_x_guides=False,
        allow_interruptions=True,
    )
    for layer in layers:
        values: list[Value | dict[str, object] | None] = list(layer.values)
        last: float | None = None
        for point in layer.points:
            if layer.gap is not None and last is not None and point.at - last > layer.gap:
                values.append((point.at, None))
            last = point.at
            node = {f"data-{name}": stored for name, stored in point.stored}
            values.append({"value": (point.at, point.value), "label": point.said, "node": node})
        chart.add(layer.kind, values, show_dots=dots and bool(layer.points))
    return Markup(ET.tostring(_plain(chart.render_tree(), title, layers), encoding="unicode"))


def _plain(tree: ET.Element, title: str, layers: Sequence[Layer]) -> ET.Element:
    """Take out what a strict content security policy would refuse, and give each point its words as a title."""
    tree.attrib.pop("id", None)
    tree.set("role", "img")
    tree.set("aria-label", title)
    for parent in list(tree.iter()):
        for child in list(parent):
            if (
                callable(child.tag)
                or child.tag in ("defs", "script", "style", "title")
                or child.get("class", "") in _CLUTTER
            ):
                parent.remove(child)
    for group in tree.iter("g"):
        kind = group.get("class", "")
        if kind.startswith("series"):
            number = int(kind.split("serie-")[1].split()[0])
            group.set("class", f"layer {layers[number].kind}")
        elif kind == "dots":
            _titled(group)
    for text in tree.iter("text"):
        text.attrib.pop("class", None)
    return tree


def _titled(group: ET.Element) -> None:
    words = next((one.text or "" for one in group if one.get("class", "").startswith("label")), "")
    for child in list(group):
        if child.tag == "desc":
            group.remove(child)
        else:
            child.set("class", "point")
            child.set("cx", f"{float(child.get('cx', '0')):.1f}")
            child.set("cy", f"{float(child.get('cy', '0')):.1f}")
            ET.SubElement(child, "title").text = words


def steps(low: float, high: float, most: int) -> list[float]:
    """Give round values between two bounds, at most so many, for the labels of an axis."""
    width = (high - low) or 1.0
    power = 10.0 ** (len(f"{int(width)}") - 1) if width >= 1 else 10.0 ** -len(f"{int(1 / width)}")
    step = next(one * power for one in (0.1, 0.2, 0.25, 0.5, 1, 2, 2.5, 5, 10, 20, 50) if width / (one * power) <= most)
    first = -(-low // step) * step
    return [round(first + index * step, 9) for index in range(most + 1) if first + index * step <= high + step * 1e-6]


_MINUTES, _HOURS, _DAYS = (1, 2, 5, 10, 15, 30), (1, 2, 3, 6, 12), (1, 2, 7, 14, 30, 90, 180, 365)
_LENGTHS = [
    *_MINUTES,
    *(60 * each for each in _MINUTES),
    *(3600 * each for each in _HOURS),
    *(86_400 * each for each in _DAYS),
]


def _moments(start: float, end: float, most: int) -> list[float]:
    """Give round moments of UTC between two bounds."""
    width = end - start
    step = next((one for one in _LENGTHS if width / one <= most), width / most)
    first = -(-start // step) * step
    return [first + index * step for index in range(most + 1) if first + index * step <= end]


def _clock(width: float) -> Callable[[float], str]:
    length = timedelta(seconds=width)
    if length > timedelta(days=4):
        pattern = "%d %b"
    elif length > timedelta(hours=20):
        pattern = "%d %b %H:%M"
    else:
        pattern = "%H:%M" if length > timedelta(minutes=8) else "%H:%M:%S"
    return lambda at: f"{datetime.fromtimestamp(at, UTC):{pattern}}"
