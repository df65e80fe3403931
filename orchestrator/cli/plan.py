"""`plan`: exactly what a run of this policy would do now, and what stands in its way; nothing moves."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import (
    AsOfOption,
    JsonOption,
    PolicyArgument,
    SiteOption,
    narrowed,
    read_loaded,
    read_time,
)
from orchestrator.cli.endings import Ending, Refusal

if TYPE_CHECKING:
    from orchestrator.other_plans import OtherPlan, OtherPolicy
    from orchestrator.previews import Preview, Wish
    from orchestrator.settings import Settings
    from workflows.policy import Policy


def plan(
    policy_name: PolicyArgument,
    files: Annotated[int, typer.Option("--files", min=0, help="Show so many files of the plan, the first ones.")] = 0,
    full: Annotated[
        bool, typer.Option("--full", help="Show all that is known: ten owners a rule, ten files of each kind.")
    ] = False,
    diff: Annotated[
        str | None,
        typer.Option(
            "--diff",
            metavar="OTHER",
            help="Compare with the `last` plan, an applied version (v3), a YAML file, a run, or a digest.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Write the list of files: .csv, .jsonl or .parquet; replaces an earlier list, nothing else.",
        ),
    ] = None,
    site: SiteOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Plan a policy: which files, whose, by which rule, how long it takes, what the guards say. Nothing moves."""
    from orchestrator.settings import load_settings

    settings = load_settings()
    loaded, moment = read_loaded(settings, policy_name), read_time(as_of)
    policy = narrowed(loaded.policy, site)
    if out is not None:
        _check_target(out)
    from orchestrator.previews import Wish, first_files

    if loaded.document.name != policy_name:
        show.note(f"policy {policy.name} of {loaded.document.name}")
    other = None if diff is None else _other(settings, policy, diff)
    found = _made(settings, policy, Wish(as_of=moment, other=other, out=None if out is None else out.resolve()))
    first = first_files(settings, found.plan, files)
    if as_json:
        from orchestrator.cli.plan_document import document

        show.document(document(found, first, out))
    else:
        from orchestrator.cli.plan_screen import print_preview

        print_preview(found, first, full=full)
        if out is not None:
            show.note(f"The list of {show.counted(found.plan.files, 'file')} is in {out}.")
    if found.standing.refused_by is not None:
        raise typer.Exit(Ending.ENDED_BADLY)


def _made(settings: "Settings", policy: "Policy", wish: "Wish") -> "Preview":
    from activities.file_list import UnwritableName
    from orchestrator.previews import preview
    from orchestrator.stack import HUB, Stack

    with Stack(settings, HUB, tell=show.note) as stack, show.waiting("asking the Hub") as status:
        tell = (lambda line: status.update(line)) if status is not None else (lambda line: None)
        try:
            return asyncio.run(preview(stack.settings, policy, wish, tell))
        except UnwritableName as error:
            raise Refusal(f"--out {wish.out}: {error}") from None


def _other(settings: "Settings", policy: "Policy", text: str) -> "OtherPlan | OtherPolicy | None":
    from orchestrator.other_plans import NoOtherPlan, find_other

    try:
        other = find_other(settings, policy, text)
    except NoOtherPlan as error:
        raise Refusal(f"--diff {error}") from None
    if other is None:
        show.note(f"There is no earlier plan of {policy.name} to compare with: this one is the first.")
    return other


def _check_target(out: Path) -> None:
    """Refuse before anything is listed what could not be written at the end."""
    from activities.file_list import KINDS, is_list

    if out.suffix.lower() not in KINDS:
        raise Refusal(f"--out {out}: expected a name that ends in {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    if not out.parent.is_dir():
        raise Refusal(f"--out {out}: there is no folder {out.parent}; make it first")
    if not os.access(out.parent, os.W_OK):
        raise Refusal(f"--out {out}: the folder {out.parent} cannot be written")
    if out.exists() and not (out.is_file() and is_list(out)):
        raise Refusal(f"--out {out}: is there already and is no list of a plan; name another file, or remove it first")
