"""`demo`: the whole job on this machine, and the proof that nothing was lost."""

import asyncio
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption, read_policy
from orchestrator.cli.endings import Ending

if TYPE_CHECKING:
    from orchestrator.demo.project import Project
    from orchestrator.settings import Settings
    from workflows.run import RunReport

_POLICY = "archive-cold-media"


def demo(
    files: Annotated[int, typer.Option("--files", min=30, max=1_000_000, help="Files in the project tree.")] = 2000,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the folder with everything in it.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the whole job on this machine: a project tree, a run, and the proof that nothing was lost."""
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-demo-"))
    needless = False
    try:
        found = _rehearse(folder, files, quiet=as_json)
        proved = found["proved"]
        needless = proved and not keep
        if as_json:
            show.document({**found, "seconds": round(time.monotonic() - began, 1)})
        else:
            took = show.span(time.monotonic() - began)
            show.say(f"\n{'Proved' if proved else 'NOT proved'} in {took}.", "bold green" if proved else "bold red")
    except KeyboardInterrupt:
        needless = not keep
        if needless:
            show.note(f"\nThe services are stopped; the demo's folder {folder} goes away.", style=None)
        raise
    finally:
        if needless:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            show.note(f"Logs, state and files are in {folder}.")
    if not proved:
        raise typer.Exit(Ending.ENDED_BADLY)


def _rehearse(folder: Path, count: int, *, quiet: bool) -> dict[str, Any]:
    from orchestrator.cli.run import print_report, stay
    from orchestrator.demo import rehearsal
    from orchestrator.stack import HUB, TEMPORAL, WORKER, Stack

    settings = rehearsal.own_settings(folder)
    policy = read_policy(settings, _POLICY)
    project = _make(settings, count)
    with Stack(settings, TEMPORAL, HUB, WORKER, tell=show.note, embedded=True) as stack:
        before = asyncio.run(rehearsal.pools(stack.settings))
        report = asyncio.run(rehearsal.run(stack.settings, policy, partial(stay, stack=stack, kept=False)))
        after = asyncio.run(rehearsal.pools(stack.settings))
        if not quiet:
            print_report(report)
            _print_pools(before, after, report)
        claims = []
        for claim in rehearsal.proof(stack.settings, project, report, show.size):
            claims.append(claim)
            if not quiet:
                show.out().print("[green]ok  [/]" if claim.holds else "[bold red]no  [/]", end="")
                show.say("; not so: ".join((claim.text, *claim.against)))
    return {
        "run_id": report.run,
        "state": str(report.state),
        "files": len(project.files),
        "bytes": project.size,
        "hard_names": project.hard_names,
        "planned": report.plan.files if report.plan else 0,
        "done": report.outcomes.done,
        "jobs": report.jobs,
        "retried": _retried(report),
        "pools": {name: {"before": before[name][0], "after": used} for name, (used, _) in after.items()},
        "proof": [{"claim": claim.text, "holds": claim.holds, "against": claim.against} for claim in claims],
        "proved": report.state == "succeeded" and all(claim.holds for claim in claims),
    }


def _make(settings: "Settings", count: int) -> "Project":
    from rich.progress import Progress

    from orchestrator.demo.project import make_project
    from orchestrator.demo.rehearsal import projects_folder

    with Progress(console=show.err(), transient=True) as progress:
        task = progress.add_task("making a project tree", total=count)
        project = make_project(projects_folder(settings), count, step=lambda: progress.advance(task))
    tree = f"{show.counted(len(project.files), 'file')}, {show.size(project.size)}"
    show.note(f"made a project tree of {tree}, {project.hard_names} with names that hurt")
    return project


def _print_pools(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]], report: "RunReport") -> None:
    lines = {"Retried": f"{show.counted(_retried(report), 'file')} that failed at first"} if _retried(report) else {}
    for name, (used, capacity) in after.items():
        lines[f"Pool {name}"] = f"{show.size(before[name][0])} -> {show.size(used)} of {show.size(capacity)}"
    show.facts(lines)
    show.say("\nThe proof", "bold")


def _retried(report: "RunReport") -> int:
    return sum(one.files for one in report.rounds[1:])
