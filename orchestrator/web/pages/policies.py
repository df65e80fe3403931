"""The policies: what is applied, its document, its versions, and when it starts."""

import asyncio
import difflib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from markupsafe import Markup
from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexers.data import YamlLexer
from starlette.requests import Request
from starlette.responses import Response

from activities.storage import Missing
from orchestrator.catalog import PolicyError, read_policy
from orchestrator.check import check_loaded
from orchestrator.check_report import Remark
from orchestrator.holding import holds_on
from orchestrator.planned_starts import PlannedStart, planned_starts
from orchestrator.versions import Version, VersionError
from orchestrator.web.pages.frame import Frame, Refused
from orchestrator.web.pages.live import Live
from orchestrator.web.pages.runs import ended_runs, row_of
from workflows.policy import Policy
from workflows.triggers import Trigger
from workflows.units import duration_text, percent_text

A_PAGE = 50
MOST_STARTS = 400
MOST_KEPT = 64


@dataclass(frozen=True)
class Line:
    """A policy in the list; without a policy its document cannot be read."""

    version: Version
    policy: Policy | None
    starts: list[str]
    next: object
    held: bool


@dataclass(frozen=True)
class Day:
    """A day of the week view, by the policy's clock, and the starts of it."""

    day: date
    starts: list[PlannedStart]
    more: int


@dataclass(frozen=True)
class Document:
    """The document of a version in colours, what the lint says of it, and why it cannot be used."""

    source: Markup | None = None
    remarks: tuple[Remark, ...] = ()
    trouble: str | None = None


class PolicyPages:
    """The list of policies, and the page of each."""

    def __init__(self, frame: Frame, live: Live) -> None:
        self._frame = frame
        self._live = live
        self._documents: OrderedDict[tuple[str, date], Document] = OrderedDict()

    async def index(self, request: Request) -> Response:
        """Show the applied policies, some at a time, those of a name among them."""
        wanted = request.query_params.get("name", "").strip().lower()
        text = request.query_params.get("page", "1")
        versions = [one for one in (await self._live.versions.get()).values() if not one.removed]
        found = [one for one in versions if wanted in one.policy.lower()]
        pages = max(1, -(-len(found) // A_PAGE))
        page = min(max(1, int(text) if text.isdecimal() and len(text) < 9 else 1), pages)
        starts = await self._live.next_starts.get()
        holds = await asyncio.to_thread(self._live.engine.holds.standing)
        lines = []
        for version in found[(page - 1) * A_PAGE : page * A_PAGE]:
            try:
                policy: Policy | None = await self._live.policy(version)
            except (VersionError, Missing, ValueError):
                policy = None
            labels = policy.labels if policy is not None else {}
            held = any(hold.covers(version.policy, None, labels) for hold in holds)
            said = [] if policy is None else [trigger_said(one) for one in policy.triggers]
            lines.append(Line(version, policy, said, starts.get(version.policy), held))
        return await self._frame.page(
            request, "policies.html", lines=lines, page=page, last=pages, total=len(versions), found=len(found),
            name=wanted,
        )  # fmt: skip

    async def show(self, request: Request) -> Response:
        """Show one policy: its document, versions, starts and findings."""
        name = request.path_params["policy"]
        history = await asyncio.to_thread(self._history, name)
        if not history:
            raise no_policy(name)
        version = _chosen(history, request.query_params.get("version"))
        other = _chosen(history, request.query_params.get("against"), history[-2:][0] if len(history) > 1 else None)
        document = await asyncio.to_thread(self._document, version)
        trouble = document.trouble
        newest = history[-1]
        policy = None
        if not newest.removed:
            try:
                policy = await self._live.policy(newest)
            except (VersionError, Missing, ValueError) as error:
                trouble = trouble or str(error)
        diff = None
        if version is not None and other is not None and other.number != version.number:
            diff = await asyncio.to_thread(self._diff, other, version)
        engine = self._live.engine
        runs = [row_of(one) for one in await self._live.open_runs.get() if one.policy == name]
        ended = await asyncio.to_thread(ended_runs, engine.log, name, limit=8)
        holds = await asyncio.to_thread(holds_on, engine, name)
        now = datetime.now(UTC)
        return await self._frame.page(
            request,
            "policy.html",
            name=name,
            history=history[::-1],
            newest=newest,
            version=version,
            against=other,
            source=document.source,
            diff=diff,
            remarks=document.remarks,
            trouble=trouble,
            policy=policy,
            triggers=[trigger_said(one) for one in policy.triggers] if policy else [],
            week=week(policy, now) if policy else [],
            zone=zone_of(policy) if policy else "UTC",
            runs=[*(one for one in runs if one.run not in {each.run for each in ended.rows}), *ended.rows],
            policy_holds=holds,
            paused=any(hold.kind == "pause" for hold in holds),
        )

    def _history(self, policy: str) -> list[Version]:
        """Give all changes of a policy, the oldest first; their numbers follow each other."""
        engine, found = self._live.engine, list[Version]()
        while engine.log.is_there() and (change := engine.versions.change(policy, len(found) + 1)) is not None:
            found.append(change)
        return found

    def _document(self, version: Version | None) -> Document:
        """Read and check the document of a version; it never changes, what the lint says changes with the day alone."""
        if version is None or version.source_digest is None:
            return Document()
        key = (version.source_digest, datetime.now(UTC).date())
        found = self._documents.get(key)
        if found is None:
            try:
                source = self._live.engine.versions.read(version)
            except VersionError as error:
                return Document(trouble=str(error))  # It may be brought back: that is not remembered.
            found = _checked(source, f"{version.policy}.yaml")
            self._documents[key] = found
            while len(self._documents) > MOST_KEPT:
                self._documents.popitem(last=False)
        return found

    def _diff(self, old: Version, new: Version) -> list[tuple[str, str]]:
        texts = []
        for one in (old, new):
            try:
                texts.append("" if one.removed else self._live.engine.versions.read(one).decode(errors="replace"))
            except VersionError as error:
                texts.append(f"# {error}\n")
        return list(_lines(texts[0], texts[1], f"version {old.number}", f"version {new.number}"))


def _checked(source: bytes, name: str) -> Document:
    coloured = highlighted(source.decode(errors="replace"))
    try:
        loaded = read_policy(source, name)
    except PolicyError as error:
        return Document(coloured, trouble=str(error))
    return Document(coloured, check_loaded(loaded).all_remarks)


def no_policy(name: str) -> Refused:
    """Say that there is no such policy."""
    return Refused(404, "No such policy", f"No policy {name} was ever applied.", "/policies", "All policies")


def highlighted(source: str) -> Markup:
    """Colour a document by classes of the stylesheet, with a number and an anchor for each line."""
    lines = highlight(source, YamlLexer(stripnl=False), HtmlFormatter(nowrap=True)).splitlines()
    return Markup("").join(
        Markup('<span class="row" id="line-{}"><a class="no" href="#line-{}">{}</a>{}\n</span>').format(
            number, number, number, Markup(text)  # Pygments escapes what it marks up
        )
        for number, text in enumerate(lines, 1)
    )  # fmt: skip


def _lines(old: str, new: str, old_name: str, new_name: str) -> Iterator[tuple[str, str]]:
    """Give each line of the difference with its kind."""
    for text in difflib.unified_diff(old.splitlines(), new.splitlines(), old_name, new_name, lineterm="", n=4):
        if text.startswith(("---", "+++")):
            yield "head", text
        elif text.startswith("@@"):
            yield "place", text
        else:
            yield {"+": "added", "-": "gone"}.get(text[:1], "same"), text


def zone_of(policy: Policy) -> str:
    """Give the zone by which the week is shown: that of the first schedule."""
    return next((one.schedule.timezone for one in policy.triggers if one.schedule is not None), "UTC")


def week(policy: Policy, now: datetime, most: int = 6) -> list[Day]:
    """Give the next seven days of the policy's clock, with some of the starts of each."""
    from zoneinfo import ZoneInfo

    zone = ZoneInfo(zone_of(policy))
    first = now.astimezone(zone).date()
    days: dict[date, list[PlannedStart]] = {first + timedelta(days=number): [] for number in range(7)}
    for count, start in enumerate(planned_starts(policy, now, now + timedelta(days=7))):
        day = start.time.at.astimezone(zone).date()
        if day in days:
            days[day].append(start)
        if count > MOST_STARTS:
            break
    return [Day(day, starts[:most], max(0, len(starts) - most)) for day, starts in days.items()]


def trigger_said(trigger: Trigger) -> str:
    """Say in a few words why a policy starts by itself."""
    if trigger.schedule is not None:
        return f"{trigger.schedule.cron} ({trigger.schedule.timezone})"
    if trigger.threshold is not None:
        mark = trigger.threshold
        upper, lower, every = percent_text(mark.upper), percent_text(mark.lower), duration_text(mark.check_every)
        return f"pool {mark.pool} at {upper}, down to {lower}, looked at every {every}"
    if trigger.event is not None:
        return f"event {trigger.event.type}"
    if trigger.after is not None:
        return f"after {trigger.after.policy} {trigger.after.state}"
    return trigger.kind


def _chosen(history: Sequence[Version], text: str | None, default: Version | None = None) -> Version | None:
    """Give the version that an address names, or the newest, or the default."""
    if text is None:
        return default if default is not None or len(history) < 1 else history[-1]
    return next((one for one in history if str(one.number) == text), history[-1])
