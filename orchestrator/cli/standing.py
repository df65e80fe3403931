"""Where an open run stands, on a page."""

from typing import TYPE_CHECKING

from orchestrator.cli import show
from orchestrator.cli.progress import doing, errors, facts, to_decide, waits_for

if TYPE_CHECKING:
    from orchestrator.reporting.standing import Standing
    from workflows.progress import RunProgress
    from workflows.run import StageRecord

_MOST_JOBS = 20


def print_standing(standing: "Standing") -> None:
    """Print it for people."""
    progress = standing.progress
    status = progress.status
    show.marked(show.state(progress.state), f"{status.run}, started {show.moment(status.started)} by {status.actor}")
    if progress.files:
        _print_bar(progress)
    lines = {"Now": doing(progress), "Waits for": waits_for(progress), **facts(standing)}
    if status.plan is not None:
        batches = show.counted(status.plan.batches, "batch", "batches")
        lines["Plan"] = f"{show.counted(status.plan.files, 'file')}, {show.size(status.plan.bytes)}, {batches}"
        lines["Digest"] = status.plan.digest
    show.facts({name: value for name, value in {**lines, **errors(standing)}.items() if value})
    print_stages(status.stages)
    if status.approval is not None:
        show.note(f"\n{to_decide(status)}")
    if progress.in_flight:
        _print_jobs(standing)


def print_stages(stages: "tuple[StageRecord, ...]") -> None:
    """Print how far each stage of a campaign is; nothing for a run without stages."""
    if not stages:
        return
    table = show.grid(">stage", "what", "state", ">files")
    for one in stages:
        table.add_row(str(one.number), one.what, str(one.state), "" if one.files is None else show.number(one.files))
    show.table(table)


def _print_bar(progress: "RunProgress") -> None:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    if not show.out().is_terminal:
        return
    bar = Table.grid(padding=(0, 1), expand=True)
    bar.add_column(ratio=1)
    bar.add_column(justify="right", width=4)
    bar.add_row(ProgressBar(total=1, completed=progress.share, complete_style="cyan"), f"{progress.share:.0%}")
    show.table(bar)


def _print_jobs(standing: "Standing") -> None:
    flights = sorted(standing.progress.in_flight, key=lambda one: one.since)
    table = show.grid(">job", ">batch", ">round", "state", ">progress", ">for")
    for one in flights[:_MOST_JOBS]:
        share = "-" if one.progress is None else f"{one.progress:.0f}%"
        age = show.span(max(0.0, (standing.at - one.since).total_seconds()))
        table.add_row(str(one.job or "-"), str(one.batch), str(one.round), one.word or "-", share, age)
    show.table(table)
    if len(flights) > _MOST_JOBS:
        show.note(f"{show.number(len(flights) - _MOST_JOBS)} more are in flight, none of them for longer.")
