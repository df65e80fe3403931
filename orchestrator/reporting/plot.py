"""The throughput of a run as a picture: an inline SVG for a page, a line of blocks for plain text."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from orchestrator.reporting.figures import size

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 860, 220, 62, 26, 14
_BLOCKS = "▁▂▃▄▅▆▇█"


def svg(throughput: dict[str, Any]) -> str:
    """Draw files a second over time, with what failed on top; its colours are those of the page."""
    bins, width = throughput["bins"], throughput["bin_s"]
    if not bins:
        return ""
    done = [one["files"] / width for one in bins]
    failed = [one["failed"] / width for one in bins]
    both = [good + bad for good, bad in zip(done, failed, strict=True)]
    top = _nice(max(*both, 1e-9))
    inner, high = _WIDTH - _LEFT - 8, _HEIGHT - _BOTTOM - _TOP
    step = inner / len(bins)

    def bars(values: Sequence[float], upon: Sequence[float], kind: str) -> str:
        drawn = []
        for index, (value, below) in enumerate(zip(values, upon, strict=True)):
            if value > 0:
                tall, x, foot = max(1.0, high * value / top), _LEFT + index * step, _TOP + high * (1 - below / top)
                drawn.append(f"M{x:.1f} {foot:.1f}v-{tall:.1f}h{max(0.5, step * 0.88):.2f}v{tall:.1f}z")
        return f'<path class="{kind}" d="{"".join(drawn)}"/>' if drawn else ""

    lines = "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - 8}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="axis" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{top * share:,.4g}</text>'
        for share in (0.0, 0.5, 1.0)
        for y in (_TOP + high * (1 - share),)
    )
    start = datetime.fromisoformat(bins[0]["at"])
    end = datetime.fromisoformat(bins[-1]["at"]) + timedelta(seconds=width)
    moments = "".join(
        f'<text class="axis" x="{_LEFT + inner * share:.0f}" y="{_HEIGHT - 8}" text-anchor="{anchor}">'
        f"{_moment(start + (end - start) * share, end - start)}</text>"
        for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end"))
    )
    most = max(one["bytes"] for one in bins) / width
    each = f"{len(bins)} bars of {width:g} s"
    told = f"Files a second over time, {each}; at most {max(done):,.4g} files and {size(most)} a second"
    return (
        f'<svg class="plot" role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-label="{told}"><title>{told}</title>'
        f"{lines}{bars(done, [0.0] * len(bins), 'done')}{bars(failed, done, 'failed')}{moments}</svg>"
    )


def sparkline(throughput: dict[str, Any], width: int = 60) -> str:
    """Draw files over time with blocks, one or more bins each; a dot is a time in which none was done."""
    files = [one["files"] for one in throughput["bins"]]
    if not files:
        return ""
    group = -(-len(files) // width)
    sums = [sum(files[index : index + group]) for index in range(0, len(files), group)]
    most = max(sums)
    if not most:
        return ""
    return "".join(_BLOCKS[min(7, count * 8 // (most + 1))] if count else "·" for count in sums)


def _nice(most: float) -> float:
    """Round up to a number that is easily read and halved."""
    power = 10.0 ** (len(f"{int(most)}") - 1) if most >= 1 else 10.0 ** -(len(f"{int(1 / most)}"))
    return next(step * power for step in (1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10, 20) if step * power >= most)


def _moment(when: datetime, length: timedelta) -> str:
    if length > timedelta(days=2):
        return f"{when:%d %b %H:%M}"
    return f"{when:%H:%M}" if length > timedelta(minutes=20) else f"{when:%H:%M:%S}"
