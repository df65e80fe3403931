"""`check`: are the policies right, and do their own tests hold? Offline."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption
from orchestrator.cli.endings import Ending


def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE|FOLDER]...", help="What to check; default: all policies.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check policies and run their own tests, offline: file, line, column and what is wrong."""
    from orchestrator.check import check as check_files
    from orchestrator.settings import load_settings

    report = check_files(paths or [load_settings().policies_dir])
    if as_json:
        show.document(report.to_json())
    else:
        for file in report.files:
            for problem in file.problems:
                show.say(str(problem))
            if not file.problems:
                tests = show.counted(file.tests_run, "test") if file.tests_run else "no tests"
                show.marked("[green]ok[/]", f"{file.file}  {file.policy}, {tests}")
        if not report.ok:
            show.note(f"{show.counted(len(report.problems), 'problem')} found.", style="red")
    if not report.ok:
        raise typer.Exit(Ending.BAD_INPUT)
