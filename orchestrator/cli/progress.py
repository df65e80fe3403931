"""A run while it goes on: a live bar on a terminal, a line now and then in a pipe."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.cli import show
from orchestrator.cli.endings import plain

if TYPE_CHECKING:
    from rich.console import RenderableType

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
def live() -> Iterator[Callable[["RunProgress"], None]]:
    """Give a function that shows a run's progress each time it is called."""
    if not show.err().is_terminal:
        yield _Lines()
        return
    from rich.live import Live

    with Live(console=show.err(), transient=True, refresh_per_second=8) as screen:
        view = _View()
        screen.update(view)
        yield view.take


class _View:
    """What a run does now, its bar, and its figures, each on a line."""

    def __init__(self) -> None:
        from rich.progress_bar import ProgressBar
        from rich.spinner import Spinner

        self._spinner = Spinner("dots", text="starting")
        self._bar = ProgressBar(total=None, pulse=True, complete_style="cyan", finished_style="green")
        self._share, self._figures = "", ""

    def take(self, progress: "RunProgress") -> None:
        """Show this progress from now on."""
        from rich.text import Text

        self._spinner.update(text=Text(headline(progress)))
        if progress.status.plan is not None:
            self._bar.pulse = False
            self._bar.update(completed=settled(progress), total=progress.files or 1)
            self._share = f"{settled(progress) / (progress.files or 1):.0%}"
        self._figures = detail(progress)

    def __rich__(self) -> "RenderableType":
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        bar = Table.grid(padding=(0, 1), expand=True)
        bar.add_column(ratio=1)
        bar.add_column(justify="right", width=4)
        bar.add_row(self._bar, self._share)
        return Group(self._spinner, bar, Text(self._figures, style="dim", overflow="ellipsis", no_wrap=True))


def settled(progress: "RunProgress") -> int:
    """The files that need nothing more; a failed one may be tried again as long as the run is open."""
    failed = 0 if progress.state.final else sum(progress.counts.failed.values())
    return min(progress.counts.total - failed, progress.files)


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
    now = _PHASE[str(progress.status.phase)]
    return f"{now}, round {rounds}" if rounds > 1 and progress.status.phase == "work" else now


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


def detail(progress: "RunProgress") -> str:
    """The figures of the run, shortest first."""
    parts = []
    if progress.files:
        parts.append(f"{show.number(settled(progress))} of {show.counted(progress.files, 'file')}")
        parts.append(show.size(progress.counts.bytes_done))
    if progress.bytes_per_second and moves(progress):
        parts.append(f"{show.size(progress.bytes_per_second)}/s")
    if progress.jobs:
        parts.append(show.counted(progress.jobs, "job"))
    failed = sum(progress.counts.failed.values())
    if failed:
        parts.append(f"{show.number(failed)} failed")
    if progress.eta is not None and moves(progress):
        left = progress.eta.timestamp() - time.time()
        if left > 1:
            parts.append(f"{show.span(round(left))} left")
    return "  ".join(parts)


class _Lines:
    """A line when the headline changes, and every few seconds."""

    def __init__(self) -> None:
        self._last = ""
        self._due = 0.0

    def __call__(self, progress: "RunProgress") -> None:
        text = headline(progress)
        now = time.monotonic()
        if text == self._last and now < self._due:
            return
        self._last, self._due = text, now + _EVERY
        figures = detail(progress)
        share = f" {settled(progress) / progress.files:.0%}" if progress.files else ""
        show.note(f"{time.strftime('%H:%M:%S')} {text}{share}{f'  {figures}' if figures else ''}", style=None)
