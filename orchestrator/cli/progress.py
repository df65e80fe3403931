"""A run while it goes on: a live bar on a terminal, a line now and then in a pipe."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.cli import show

if TYPE_CHECKING:
    from workflows.progress import RunProgress

_EVERY = 5.0
_PHASE = {
    "preflight": "asking the Hub",
    "inventory": "reading the namespace",
    "plan": "making the plan",
    "work": "working",
    "report": "closing the account",
    "over": "over",
}


@contextmanager
def live() -> Iterator[Callable[["RunProgress"], None]]:
    """Give a function that shows a run's progress each time it is called."""
    if not show.err().is_terminal:
        yield _Lines()
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None, complete_style="cyan", finished_style="green"),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[detail]}", markup=False, style="dim"),
    )
    with Progress(*columns, console=show.err(), transient=True, expand=True) as bars:
        task = bars.add_task("starting", total=None, detail="")

        def update(progress: "RunProgress") -> None:
            planned = progress.status.plan is not None
            bars.update(
                task,
                description=headline(progress),
                total=progress.files or 1 if planned else None,
                completed=progress.counts.total,
                detail=detail(progress),
            )

        yield update


def headline(progress: "RunProgress") -> str:
    """What the run does now, in a few words."""
    state = str(progress.state)
    if state == "running":
        rounds = len(progress.status.rounds)
        doing = _PHASE[str(progress.status.phase)]
        return f"{doing}, round {rounds}" if rounds > 1 and progress.status.phase == "work" else doing
    return f"{state}: {progress.waits_for}"[:60] if progress.waits_for else state


def detail(progress: "RunProgress") -> str:
    """The figures of the run, shortest first."""
    parts = []
    if progress.files:
        parts.append(f"{show.number(min(progress.counts.total, progress.files))}/{show.number(progress.files)}")
        parts.append(show.size(progress.counts.bytes_done))
    if progress.bytes_per_second:
        parts.append(f"{show.size(progress.bytes_per_second)}/s")
    if progress.jobs:
        parts.append(show.counted(progress.jobs, "job"))
    failed = sum(progress.counts.failed.values())
    if failed:
        parts.append(f"{show.number(failed)} failed")
    if progress.eta is not None:
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
        share = f" {progress.share:.0%}" if progress.files else ""
        show.note(f"{time.strftime('%H:%M:%S')} {text}{share}{f'  {figures}' if figures else ''}", style=None)
