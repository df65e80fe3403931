"""A curve of levels in the terminal: bars of eighths of a character, and a line for each mark."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

    from workflows.pools import Level

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_ROWS = 14


def plot(levels: "Sequence[Level]", marks: Mapping[str, float], *, width: int) -> "Iterator[Text]":
    """Draw levels over time; a column without a sample stays empty."""
    from rich.text import Text

    bottom, top = _reach(levels, marks)
    columns = _columns(levels, width)
    step = (top - bottom) / _ROWS
    digits = 1 if step >= 0.1 else 2 if step >= 0.01 else 3
    for row in range(_ROWS - 1, -1, -1):
        low = bottom + row * step
        mark = next((name for name, percent in marks.items() if low <= percent < low + step), None)
        line = Text(f"{marks[mark] if mark else low:5.{digits}f}% ", style="bold" if mark else "dim")
        line.append("┤" if mark else "│", style="dim")
        for value in columns:
            part = 0 if value is None else round(8 * min(1.0, max(0.0, (value - low) / step)))
            if part == 0 and mark:
                line.append("─", style="red" if mark == "upper" else "yellow")
            else:
                over = "upper" in marks and value is not None and value >= marks["upper"]
                line.append(_EIGHTHS[part], style="red" if over else "cyan")
        if mark:
            line.append(f" {mark}", style="bold")
        yield line
    first, last = (one.at.astimezone() for one in (levels[0], levels[-1]))
    pattern = "%H:%M:%S" if (last - first).total_seconds() < 3600 else "%Y-%m-%d %H:%M"
    left, right = first.strftime(pattern), last.strftime(pattern)
    yield Text(f"       └{left}{right:>{max(1, width - len(left))}}", style="dim")


def _reach(levels: "Sequence[Level]", marks: Mapping[str, float]) -> tuple[float, float]:
    values = [one.percent for one in levels] + list(marks.values())
    low, high = min(values), max(values)
    spare = (high - low) * 0.1 or 1.0
    return max(0.0, low - spare), high + spare


def _columns(levels: "Sequence[Level]", width: int) -> list[float | None]:
    first, last = levels[0].at, levels[-1].at
    length = (last - first).total_seconds()
    if not length:
        return [levels[0].percent]
    sums, counts = [0.0] * width, [0] * width
    for one in levels:
        column = min(width - 1, int((one.at - first).total_seconds() / length * width))
        sums[column] += one.percent
        counts[column] += 1
    found: list[float | None] = [total / count if count else None for total, count in zip(sums, counts, strict=True)]
    if len(levels) < width:  # fewer samples than columns: each holds until the next
        held: float | None = None
        for index, value in enumerate(found):
            held = found[index] = value if value is not None else held
    return found
