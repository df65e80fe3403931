"""The pools: how full they are against their marks, how that came, where it goes, and what was decided."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from activities.ledger.finding import Wanted
from activities.ledger.records import Stored, quoted
from orchestrator.pool_views import PoolView, pool_history
from orchestrator.reporting.figures import size
from orchestrator.web.pages.charts import Axes, Layer, Point, draw
from orchestrator.web.pages.frame import Frame, Refused
from orchestrator.web.pages.live import Live
from workflows.pools import Level

SPANS = {"1h": timedelta(hours=1), "6h": timedelta(hours=6), "24h": timedelta(days=1), "7d": timedelta(days=7),
         "30d": timedelta(days=30)}  # fmt: skip
MOST_POINTS = 240
MOST_DECISIONS = 100
BEGINS, ENDS = ("drain",), ("end", "block")


@dataclass(frozen=True)
class Drained:
    """A stretch of time in which the pool was drained; without an end it goes on."""

    start: datetime
    end: datetime | None
    policy: str | None


class PoolPages:
    """The list of pools, and the page of each."""

    def __init__(self, frame: Frame, live: Live) -> None:
        self._frame = frame
        self._live = live

    async def index(self, request: Request) -> Response:
        """Show all pools."""
        return await self._frame.page(request, "pools.html", pools=await self._live.pools.get())

    async def show(self, request: Request) -> Response:
        """Show one pool."""
        view, chosen, levels, decisions = await self._found(request)
        points = thinned(levels)
        drains = drains_of(decisions)
        return await self._frame.page(
            request,
            "pool.html",
            pool=view,
            chosen=chosen,
            spans=list(SPANS),
            levels=points,
            measured=len(levels),
            chart=chart(view, points, drains) if points else None,
            decisions=decisions[::-1],
            drains=drains,
        )

    async def _found(self, request: Request) -> tuple[PoolView, str, list[Level], list[Stored]]:
        name = request.path_params["pool"]
        view = next((one for one in await self._live.pools.get() if str(one.ref) == name), None)
        if view is None:
            raise Refused(404, "No such pool", f"No pool {name} was measured yet.", "/pools", "All pools")
        chosen = request.query_params.get("since", "7d")
        chosen = chosen if chosen in SPANS else "7d"
        since = datetime.now(UTC) - SPANS[chosen]
        levels = await asyncio.to_thread(pool_history, self._live.engine.settings, view.ref, since)
        decisions = await asyncio.to_thread(self._decisions, view, since)
        return view, chosen, levels, decisions

    def _decisions(self, view: PoolView, since: datetime) -> list[Stored]:
        log = self._live.engine.log
        if not log.is_there():
            return []
        said = f'"pool":{quoted(view.ref.pool)}'
        found = log.find(Wanted(event="pool.*", said=(said,), since=since), limit=MOST_DECISIONS).records
        ref = view.ref
        return [
            one for one in found
            if (one.body.get("site"), one.body.get("pool")) == (ref.site, ref.pool)
            and one.body.get("filesystem") in (None, ref.filesystem)
        ]  # fmt: skip


def thinned(levels: list[Level], most: int = MOST_POINTS) -> list[Level]:
    """Leave out samples until a chart can show them; of each stretch the lowest and the highest stay, and the last."""
    if len(levels) <= most:
        return levels
    step = -(-2 * len(levels) // (most - 1))
    kept: dict[datetime, Level] = {}
    for start in range(0, len(levels), step):
        some = levels[start : start + step]
        for one in sorted((min(some, key=_percent), max(some, key=_percent)), key=lambda level: level.at):
            kept[one.at] = one
    kept[levels[-1].at] = levels[-1]
    return list(kept.values())


def drains_of(decisions: list[Stored]) -> list[Drained]:
    """Read from the decisions when the pool was drained."""
    found: list[Drained] = []
    began: tuple[datetime, str | None] | None = None
    for record in decisions:
        act = record.body.get("act")
        at = datetime.fromisoformat(record.at)
        if act in BEGINS and began is None:
            began = (at, record.body.get("policy"))
        elif act in ENDS and began is not None:
            found.append(Drained(began[0], at, began[1]))
            began = None
    return [*found, Drained(began[0], None, began[1])] if began is not None else found


def chart(view: PoolView, levels: list[Level], drains: list[Drained]) -> Markup:
    """Draw the level over time with its marks, its drains, and the range in which it will be."""
    start, last = levels[0].at.timestamp(), levels[-1].at.timestamp()
    width = max(last - start, 60.0)
    layers: list[Layer] = []
    until = last
    ahead: list[Layer] = []
    values = [one.percent for one in levels]
    values += [mark for mark in (view.upper, view.lower) if mark is not None]
    if view.trend is not None and view.level is not None:
        until = last + width / 4
        length, full = until - last, view.level.capacity

        def at(slope: float) -> float:
            return min(110.0, max(0.0, 100 * (levels[-1].used + slope * length) / full))

        low, middle, high = at(view.trend.low), at(view.trend.slope), at(view.trend.high)
        values += [low, high]
        now = levels[-1].percent
        ahead.append(Layer("band", [(last, now), (until, high), (until, low), (last, now)]))
        ahead.append(Layer("forecast", [(last, now), (until, middle)]))
    spare = max((max(values) - min(values)) * 0.12, 0.5)
    bottom, top = max(0.0, min(values) - spare), max(values) + spare
    for drain in drains:
        left = max(start, drain.start.timestamp())
        right = min(until, drain.end.timestamp() if drain.end is not None else last)
        if right > left:
            layers.append(Layer("drain", [(left, bottom), (left, top), (right, top), (right, bottom), (left, bottom)]))
    layers += ahead
    for name, mark in (("upper", view.upper), ("lower", view.lower)):
        if mark is not None:
            layers.append(Layer(f"mark {name}", [(start, mark), (until, mark)]))
    points = [
        Point(
            one.at.timestamp(),
            one.percent,
            f"{one.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC: {one.percent:.2f} %, "
            f"{size(one.used)} of {size(one.capacity)}",
            (("at", one.at.astimezone(UTC).isoformat()), ("used", str(one.used)), ("capacity", str(one.capacity))),
        )
        for one in levels
    ]
    layers.append(Layer("level", points=points, gap=_gap(levels)))
    digits = 0 if top - bottom >= 5 else 1 if top - bottom >= 0.5 else 2
    return draw(
        f"Level of pool {view.ref}: {levels[-1].percent:.1f} % now",
        Axes(start, until, bottom, top, lambda value: f"{value:.{digits}f} %"),
        layers,
    )


def _gap(levels: list[Level]) -> float | None:
    """Tell from which distance on two samples are not joined: nobody measured between them."""
    apart = sorted((b.at - a.at).total_seconds() for a, b in pairwise(levels))
    return None if len(apart) < 8 else max(20 * apart[len(apart) // 2], 600.0)


def _percent(level: Level) -> float:
    return level.percent
