"""A run while it goes on: a live bar on a terminal, a line now and then in a pipe."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.cli import show
from orchestrator.cli.endings import plain

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import RenderableType

    from orchestrator.reporting.standing import Pace, Standing
    from workflows.progress import RunProgress
    from workflows.run import RunStatus

_EVERY = 5.0
_PHASE = {
    "preflight": "asking the Hub",
    "inventory": "reading the namespace",
    "plan": "making the plan",
    "work": "working",
    "verify": "asking the Hub where the files are",
    "report": "closing the account",
    "over": "over",
}


@contextmanager
def live() -> Iterator[Callable[["Standing"], None]]:
    """Give a function that shows where a run stands each time it is called."""
    if not show.err().is_terminal:
        yield _Lines()
        return
    from rich.live import Live

    with Live(console=show.err(), transient=True, refresh_per_second=8) as screen:
        view = _View()
        screen.update(view)
        yield view.take


class _View:
    """What a run does now, its bar, and its figures below."""

    def __init__(self) -> None:
        from rich.progress_bar import ProgressBar
        from rich.spinner import Spinner

        self._spinner = Spinner("dots", text="starting")
        self._bar = ProgressBar(total=None, pulse=True, complete_style="cyan", finished_style="green")
        self._share = ""
        self._facts: dict[str, str] = {}

    def take(self, standing: "Standing") -> None:
        """Show this from now on."""
        from rich.text import Text

        progress = standing.progress
        self._spinner.update(text=Text(show.harmless(headline(progress))))
        if progress.status.plan is not None:
            self._bar.pulse = False
            self._bar.update(completed=progress.share, total=1)
            self._share = f"{progress.share:.0%}"
        self._facts = {**facts(standing), **errors(standing, most=3)}

    def __rich__(self) -> "RenderableType":
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        bar = Table.grid(padding=(0, 1), expand=True)
        bar.add_column(ratio=1)
        bar.add_column(justify="right", width=4)
        bar.add_row(self._bar, self._share)
        lines = Table.grid(padding=(0, 2, 0, 0))
        lines.add_column(no_wrap=True, style="dim", min_width=max(map(len, self._facts), default=0))
        lines.add_column(no_wrap=True, overflow="ellipsis")
        for name, value in self._facts.items():
            lines.add_row(name, Text(value, overflow="ellipsis", no_wrap=True))
        return Group(self._spinner, bar, lines)


def facts(standing: "Standing") -> dict[str, str]:
    """Where a run stands, in a few lines: files, bytes, speed, end, jobs; only those that mean something."""
    progress = standing.progress
    found: dict[str, str] = {}
    if progress.files:
        found["Files"] = _files(standing)
        found["Bytes"] = f"{show.size(progress.counts.bytes_done)} of {show.size(progress.bytes)} done"
    if moves(progress) and not progress.state.final:
        found["Speed"] = _speed(standing)
    found["Ends"] = ends(standing)
    found["Jobs"] = _jobs(standing)
    if progress.status.bounds is not None and not progress.state.final:
        found["Adapts"] = concurrency_text(progress.status)
    return {name: value for name, value in found.items() if value}


def errors(standing: "Standing", most: int = 10) -> dict[str, str]:
    """The most frequent errors, one a line, with an example each."""
    from workflows.names import printable, shown

    lines = {}
    for number, one in enumerate(standing.errors[:most]):
        message = f": {printable(one.message)}" if one.message else ""
        example = f", such as {shown(one.examples[0])}" if one.examples else ""
        lines["Errors" if number == 0 else " " * number] = f"{show.number(one.files)} {one.reason}{message}{example}"
    return lines


def ends(standing: "Standing") -> str:
    """When it may end, as a range, or why nobody can say."""
    eta, left = standing.eta, standing.at
    if eta.start is None:
        return eta.note or ""
    least = show.span(max(0.0, (eta.start - left).total_seconds()))
    if eta.end is None:
        return f"after {_clock(eta.start, left)} (in {least} or more): {eta.note}"
    most = show.span(max(0.0, (eta.end - left).total_seconds()))
    note = f"; {eta.note}" if eta.note else ""
    return f"between {_clock(eta.start, left)} and {_clock(eta.end, left)}, in {least} to {most}{note}"


def _clock(when: "datetime", now: "datetime") -> str:
    """A moment, no more exactly than it needs to be read."""
    local, today = when.astimezone(), now.astimezone()
    if (when - now).total_seconds() < 600 and local.date() == today.date():
        return f"{local:%H:%M:%S}"
    return f"{local:%H:%M}" if local.date() == today.date() else f"{local:%a %d %b %H:%M}"


def _files(standing: "Standing") -> str:
    counts = standing.progress.counts
    parts = [f"{show.number(counts.done)} done"]
    others = (
        ("skipped", sum(counts.skipped.values())),
        ("failed", sum(counts.failed.values())),
        ("quarantined", counts.quarantined),
        ("cancelled", counts.cancelled),
    )
    parts += [f"{show.number(count)} {word}{_so_far(standing, word)}" for word, count in others if count]
    parts.append(f"{show.number(standing.files_left)} left of {show.number(standing.progress.files)}")
    return ", ".join(parts)


def _so_far(standing: "Standing", word: str) -> str:
    return " so far" if word == "failed" and not standing.progress.state.final else ""


def _speed(standing: "Standing") -> str:
    lately, overall = standing.lately, standing.overall
    parts = []
    is_news = lately is not None and overall is not None and lately.over_s < 0.9 * overall.over_s
    if lately is not None and is_news:
        parts.append(f"{_pace(lately)} in the last {show.span(round(lately.over_s))}")
    if overall is not None:
        parts.append(f"{_pace(overall)} overall")
    return "; ".join(parts)


def _pace(pace: "Pace") -> str:
    files = pace.files_per_second
    many = f"{files * 60:.1f} files/min" if files < 1 else f"{files:,.{1 if files < 100 else 0}f} files/s"
    return f"{many}, {show.size(pace.bytes_per_second)}/s"


def _jobs(standing: "Standing") -> str:
    progress, rounds = standing.progress, standing.progress.status.rounds
    if progress.state.final or not rounds:
        return ""
    begun = f"{show.number(progress.begun)} of {show.counted(rounds[-1].batches, 'batch', 'batches')} begun"
    if not progress.in_flight:
        return f"none in flight; {begun}" if progress.begun else ""
    oldest = min(one.since for one in progress.in_flight)
    age = show.span(max(0.0, (standing.at - oldest).total_seconds()))
    return f"{len(progress.in_flight)} of {progress.status.concurrency} in flight, the oldest for {age}; {begun}"


def concurrency_text(status: "RunStatus") -> str:
    """How many jobs a run may have in flight, and why so many where it finds the number itself."""
    text = f"{show.counted(status.concurrency, 'job')} at a time"
    if status.bounds is None:
        return text
    text += f", between {status.bounds.least} and {status.bounds.most}"
    return text if status.adapted is None else f"{text} (since {show.moment(status.adapted.at)}: {status.adapted.why})"


def headline(progress: "RunProgress") -> str:
    """What the run does now, and what keeps it from going on."""
    waits, now = waits_for(progress), doing(progress)
    if not waits:
        return now
    return f"{now}, waits for {waits}" if progress.status.waits_for else f"{now}: {waits}"


def doing(progress: "RunProgress") -> str:
    """What the run does now, in a few words."""
    state = str(progress.state)
    if state != "running":
        return state
    rounds = len(progress.status.rounds)
    now = f"{_PHASE[str(progress.status.phase)]}{_stage(progress.status)}"
    return f"{now}, round {rounds}" if rounds > 1 and progress.status.phase == "work" else now


def _stage(status: "RunStatus") -> str:
    """Which stage of a campaign is on."""
    stages = getattr(status, "stages", ())
    on = next((one for one in stages if str(one.state) in ("working", "waiting")), None)
    return "" if on is None else f", stage {on.number} of {len(stages)} ({on.what})"


def waits_for(progress: "RunProgress") -> str:
    """What the run waits for, where that says more than what it does."""
    return "" if progress.status.phase == "report" else plain(progress.waits_for or "")


def to_decide(status: "RunStatus") -> str:
    """The commands by which a person agrees to the plan that a run waits with, or not."""
    if status.approval is None:
        return ""
    digest = status.approval.digest
    return (
        f"To let it run:  orchestrator approve {status.run} --digest {digest}\n"
        f"To end it:      orchestrator reject {status.run} --digest {digest} --reason '...'"
    )


def moves(progress: "RunProgress") -> bool:
    """Whether its speed and the end that they promise mean something now."""
    return str(progress.state) not in ("paused", "waiting")


def detail(standing: "Standing") -> str:
    """The figures of the run on one line, shortest first."""
    progress, parts = standing.progress, []
    if progress.files:
        parts.append(f"{show.number(progress.settled)} of {show.counted(progress.files, 'file')}")
        parts.append(show.size(progress.counts.bytes_done))
    pace = standing.lately or standing.overall
    if pace is not None and moves(progress):
        parts.append(f"{show.size(pace.bytes_per_second)}/s")
    if progress.in_flight:
        parts.append(f"{show.counted(len(progress.in_flight), 'job')} in flight")
    failed = sum(progress.counts.failed.values())
    if failed:
        parts.append(f"{show.number(failed)} failed")
    if standing.eta.start is not None and not progress.state.final:
        parts.append(f"ends {ends(standing)}")
    return "  ".join(parts)


class _Lines:
    """A line when the headline changes, and every few seconds."""

    def __init__(self) -> None:
        self._last = ""
        self._due = 0.0

    def __call__(self, standing: "Standing") -> None:
        progress = standing.progress
        text = headline(progress)
        now = time.monotonic()
        if text == self._last and now < self._due:
            return
        self._last, self._due = text, now + _EVERY
        figures = detail(standing)
        share = f" {progress.share:.0%}" if progress.files else ""
        show.note(f"{time.strftime('%H:%M:%S')} {text}{share}{f'  {figures}' if figures else ''}", style=None)
