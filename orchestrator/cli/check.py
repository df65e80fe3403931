"""`check`: are the policies right, and do their own tests hold? Offline."""

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption, known_word, place_of
from orchestrator.cli.endings import Ending

if TYPE_CHECKING:
    from orchestrator.check_report import CheckReport

FORMATS = ("text", "json", "github", "junit")


def check(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="[POLICY|FILE|FOLDER]...", help="What to check; default: all policies."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings fail the check, too.")] = False,
    as_json: JsonOption = False,
    form: Annotated[
        str,
        typer.Option("--format", metavar="FORMAT", help="text, json, github (annotations) or junit (XML)."),
    ] = "text",
) -> None:
    """Check policies, lint them and run their own tests, offline: file, line, column and what to write instead."""
    known_word("--format", form, FORMATS)
    from orchestrator.check import check as check_files
    from orchestrator.settings import load_settings

    folder = load_settings().policies_dir
    report = check_files([place_of(folder, text) for text in paths or ()] or [folder], strict=strict)
    if as_json or form == "json":
        show.document(report.to_json())
    elif form == "text":
        _print(report)
    else:
        from orchestrator.cli.check_formats import github, junit

        show.plain(github(report) if form == "github" else junit(report))
    if not report.ok:
        raise typer.Exit(Ending.BAD_INPUT)


def _print(report: "CheckReport") -> None:
    from orchestrator.linting.finding import Severity

    for file in report.files:
        for remark in file.all_remarks:
            if remark.severity is Severity.ERROR:
                show.say(str(remark.problem))
            else:
                show.say(remark.problem.said("warning: "), style="yellow")
        if not file.problems:
            tests = show.counted(len(file.tests), "test") if file.tests else "no tests"
            show.marked("[green]ok[/]", f"{file.file}  {file.policy}, {tests}")
    if report.problems:
        show.note(f"{show.counted(len(report.problems), 'problem')} found.", style="red")
    if report.warnings:
        fail = ": with --strict they fail the check" if report.strict else ""
        show.note(f"{show.counted(len(report.warnings), 'warning')}{fail}.", style="yellow")
