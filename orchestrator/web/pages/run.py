"""The page of one run: where it stands, its curve, who did what, and the forms that steer it."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from temporalio.service import RPCError

from activities.manifests import ManifestDamaged
from activities.storage import Missing
from orchestrator.outcome_files import (
    OUTCOMES,
    NoOutcomes,
    Wanted,
    count_files,
    files_so_far,
    read_files,
    reasons_of,
)
from orchestrator.reporting.errors import ErrorKind, bulk_in, errors_of, with_every_reason
from orchestrator.reporting.figures import size
from orchestrator.reporting.standing import Standing
from orchestrator.run_pages import known_run
from orchestrator.runs import RunError, run_status
from orchestrator.web.pages.charts import Axes, Layer, Point, draw
from orchestrator.web.pages.frame import Frame, Refused
from orchestrator.web.pages.live import Live, Told
from orchestrator.web.pages.words import counted, number
from workflows.plan import OutcomeCounts
from workflows.run import RunState

FILES_A_PAGE = 100
LISTED_WHILE_OPEN = 1_000_000
"""Files of a plan up to which an open run's are listed: their table is made anew for each page, a second a million."""
ANSWERED_WITHIN = 8.0
"""Seconds that a page waits for a run to tell where it stands; after that it shows what the audit knows."""


@dataclass(frozen=True)
class Part:
    """A part of the bar: its outcome, files, and where it lies on a bar of 1,000."""

    kind: str
    files: int
    x: float
    width: float


@dataclass(frozen=True)
class Bar:
    """A run's files by what became of them."""

    files: int
    settled: int
    parts: list[Part]

    @property
    def percent(self) -> float:
        """How much of it needs nothing more."""
        return 100 * self.settled / self.files if self.files else 0.0


@dataclass(frozen=True)
class View:
    """A run as its page shows it: what the audit told, and where it stands when it is open and answers."""

    told: Told
    standing: Standing | None
    silent: str | None
    counts: OutcomeCounts
    files: int
    bytes: int
    state: str
    bar: Bar
    errors: tuple[ErrorKind, ...]

    @property
    def is_open(self) -> bool:
        """Whether something can still happen."""
        return self.told.ended is None and self.state not in {str(one) for one in RunState if one.final}

    @property
    def mark(self) -> str:
        """What the forms around the live part hang on: with another mark the whole page is another."""
        if not self.is_open:
            return "over"
        wanted = self.standing.progress.status.approval if self.standing is not None else None
        return f"{'paused' if self.state == RunState.PAUSED else 'open'} {wanted.digest if wanted is not None else ''}"


class RunPage:
    """One run."""

    def __init__(self, frame: Frame, live: Live) -> None:
        self._frame = frame
        self._live = live

    async def show(self, request: Request) -> Response:
        """Show the whole page."""
        view = await self.view(request.path_params["run"])
        return await self._frame.page(
            request, "run.html", view=view, told=view.told, standing=view.standing, curve=curve(view)
        )

    async def fresh(self, request: Request) -> Response:
        """Show the part of the page that changes from moment to moment."""
        view = await self.view(request.path_params["run"])
        return await self._frame.part(request, "run_now.html", view=view, told=view.told, standing=view.standing)

    async def fresh_curve(self, request: Request) -> Response:
        """Show the curve as it is now."""
        view = await self.view(request.path_params["run"])
        return await self._frame.part(request, "run_curve.html", view=view, curve=curve(view))

    async def files(self, request: Request) -> Response:
        """Show how the files of a run ended, while it is open those that have: some, and the way to the next ones."""
        run, query = request.path_params["run"], request.query_params
        told = await self._live.story(run)
        if told.started is None:
            raise no_run(run)
        after = int(query["after"]) if query.get("after", "").isdecimal() and len(query["after"]) < 18 else None
        wanted = Wanted(query.get("outcome") or None, query.get("reason") or None, query.get("error") or None)
        found, silent = None, None
        try:
            if told.ended is None:
                found = await self._files_so_far(run, wanted, after)
            else:
                found = await asyncio.to_thread(self._files, run, wanted, after)
        except NoOutcomes:
            pass
        except (RunError, RPCError, TimeoutError, ManifestDamaged, Missing):
            silent = f"They cannot be listed now: no worker answers for the run. `orchestrator runs files {run}` tries."
        return await self._frame.page(
            request, "run_files.html", run=run, told=told, found=found, silent=silent, wanted=wanted, outcomes=OUTCOMES,
            after=after, most=LISTED_WHILE_OPEN,
        )  # fmt: skip

    async def view(self, run: str) -> View:
        """Look at a run. Raises Refused for one that nobody knows."""
        told = await self._live.story(run)
        standing, silent = None, None
        if told.ended is None:
            try:
                async with asyncio.timeout(ANSWERED_WITHIN):
                    if told.started is None:  # A name that only Temporal knows may be another installation's.
                        engine = self._live.engine
                        await known_run(engine.client, engine.settings.task_queue, run)
                    standing = await self._live.standing(run)
            except TimeoutError:
                silent = "no worker answers for it; `orchestrator doctor` shows whether one runs"
            except (RunError, RPCError) as error:
                silent = str(error)
        if told.started is None and standing is None:
            raise no_run(run)
        errors = () if standing is None else standing.errors
        if told.ended is not None:
            errors = tuple(await asyncio.to_thread(self._errors, told))
        return _view(told, standing, silent, errors)

    def _errors(self, told: Told) -> list[ErrorKind]:
        assert told.ended is not None
        failed = OutcomeCounts.model_validate(told.ended.body["outcomes"]).failed
        if not failed:
            return []
        settings = self._live.engine.settings
        bulk = bulk_in(settings.spill_dir, int(settings.selection_memory))
        try:
            return errors_of(self._live.storage, bulk, told.run)
        except (Missing, ManifestDamaged, OSError):
            return with_every_reason((), failed)

    async def _files_so_far(self, run: str, wanted: Wanted, after: int | None) -> dict[str, Any] | None:
        async with asyncio.timeout(ANSWERED_WITHIN):
            status = await run_status(self._live.engine.client, run)
        if status.plan is None or status.plan.files > LISTED_WHILE_OPEN:
            return None

        def read() -> dict[str, Any] | None:
            with files_so_far(self._live.engine.settings, status) as table:
                return None if table is None else self._files(run, wanted, after, table)

        return await asyncio.to_thread(read)

    def _files(self, run: str, wanted: Wanted, after: int | None, table: Path | None = None) -> dict[str, Any]:
        settings = self._live.engine.settings
        total = count_files(settings, run, wanted, table)
        rows = list(islice(read_files(settings, run, wanted._replace(after=after), table=table), FILES_A_PAGE + 1))
        more = len(rows) > FILES_A_PAGE
        return {
            "total": total,
            "rows": rows[:FILES_A_PAGE],
            "next": rows[FILES_A_PAGE - 1]["ordinal"] if more else None,
            "reasons": sorted(reasons_of(settings, run, table)),
        }


def no_run(run: str) -> Refused:
    """Say that there is no such run."""
    return Refused(404, "No such run", f"Nothing is known of a run {run}.", "/runs", "All runs")


def _view(told: Told, standing: Standing | None, silent: str | None, errors: tuple[ErrorKind, ...]) -> View:
    ended = told.ended.body if told.ended is not None else None
    plan = told.plan or {}
    counts = OutcomeCounts()
    files, size_of = int(plan.get("files") or 0), int(plan.get("bytes") or 0)
    state = "open"
    if ended is not None:
        counts, state = OutcomeCounts.model_validate(ended["outcomes"]), str(ended["state"])
    elif standing is not None:
        progress = standing.progress
        counts, state = progress.counts, str(progress.state)
        files, size_of = progress.files or files, progress.bytes or size_of
    return View(
        told=told,
        standing=standing,
        silent=silent,
        counts=counts,
        files=files,
        bytes=size_of,
        state=state,
        bar=bar_of(counts, files, final=ended is not None),
        errors=errors,
    )


def bar_of(counts: OutcomeCounts, files: int, *, final: bool) -> Bar:
    """Lay the outcomes side by side; a failed file of an open run may be tried again."""
    failed = sum(counts.failed.values())
    amounts = {
        "done": counts.done,
        "skipped": sum(counts.skipped.values()),
        "failed": failed,
        "quarantined": counts.quarantined,
        "cancelled": counts.cancelled,
    }
    parts, x = [], 0.0
    for kind, count in amounts.items():
        if count and files:
            width = min(1000.0 - x, 1000 * count / files)
            parts.append(Part(kind, count, round(x, 2), round(width, 2)))
            x += width
    settled = counts.total - (0 if final else failed)
    return Bar(files, min(settled, files), parts)


@dataclass(frozen=True)
class Curve:
    """The run's files over time: both drawings, and the numbers that they show."""

    total: Markup
    rate: Markup
    bins: list[dict[str, Any]]
    bin_s: float


def curve(view: View) -> Curve | None:
    """Draw how many files are done over time with the range of the end, and how fast that went."""
    bins, width = view.told.bins, view.told.bin_s
    if not bins:
        return None
    total, points, bars, rows = 0, [], [], []
    for at, files, done_bytes, failed in bins:
        total += files
        end = at + width
        clock = f"{datetime.fromtimestamp(end, UTC):%Y-%m-%d %H:%M:%S} UTC"
        stored = (("at", str(at)), ("files", str(files)), ("bytes", str(done_bytes)), ("failed", str(failed)))
        said = f"{clock}: {counted(total, 'file')} done"
        points.append(Point(end, total, said, (*stored, ("total", str(total)))))
        spoken = f"{clock}: {files / width:,.4g} files/s, {size(done_bytes / width)}/s"
        bars.append(Point(at + width / 2, files / width, spoken, stored))
        rows.append({"at": at, "files": files, "bytes": done_bytes, "failed": failed, "total": total})
    start, last = bins[0][0], bins[-1][0] + width
    layers, until = [], last
    eta = view.standing.eta if view.standing is not None else None
    if eta is not None and eta.likely is not None and view.standing is not None:
        now = view.standing.at.timestamp()
        soon, likely = (eta.start or eta.likely).timestamp(), eta.likely.timestamp()
        late = eta.end.timestamp() if eta.end is not None else likely + (likely - now)
        goal = view.files
        until = max(last, late)
        layers.append(Layer("band", [(now, total), (soon, goal), (late, goal), (now, total)]))
        layers.append(Layer("forecast", [(now, total), (likely, goal)]))
    top = max(view.files, total, 1)
    layers.append(Layer("mark upper", [(start, top), (until, top)]))
    layers.append(Layer("level area", [(start, 0), *((one.at, one.value) for one in points), (points[-1].at, 0)]))
    layers.append(Layer("level", points=[Point(start, 0, "the first job ended", ()), *points]))
    most = max(one.value for one in bars)
    return Curve(
        total=draw(
            f"Files done over time: {number(total)} of {number(view.files)}",
            Axes(start, until, 0, top * 1.02, lambda value: number(value)),
            layers,
        ),
        rate=draw(
            f"Files a second, at most {most:,.4g}",
            Axes(start, last, 0, (most or 1) * 1.08, lambda value: f"{value:,.4g}"),
            [
                Layer("rate area", [(start, 0), *_stairs(bars, width), (last, 0)]),
                Layer("rate", points=bars),
            ],
        ),
        bins=rows,
        bin_s=width,
    )


def _stairs(bars: list[Point], width: float) -> list[tuple[float, float | None]]:
    return [corner for one in bars for corner in ((one.at - width / 2, one.value), (one.at + width / 2, one.value))]
