"""The arguments and options that several commands share, and how their text is read."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import show
from orchestrator.cli.endings import Refusal

if TYPE_CHECKING:
    from orchestrator.catalog import LoadedPolicy
    from orchestrator.settings import Settings
    from workflows.policy import Policy


def _noted(text: str) -> str:
    if text:
        from activities.holds import check_note

        check_note(text)
    return text


PolicyArgument = Annotated[str, typer.Argument(metavar="POLICY", help="A policy's file, or its name in the catalog.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The run, as `runs list` shows it, or `latest`.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
AsOfOption = Annotated[
    str | None,
    typer.Option("--as-of", metavar="TIME", help="Measure ages from this time or date, e.g. 2026-11-23T22:00:00Z."),
]
SiteOption = Annotated[
    str | None, typer.Option("--site", metavar="SITE", help="The site, for a policy that has several.")
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for the audit.", callback=_noted)]


def read_policy(settings: "Settings", text: str) -> "Policy":
    """Read the policy that an argument names; raises PolicyError or Refusal."""
    return read_loaded(settings, text).policy


def read_loaded(settings: "Settings", text: str) -> "LoadedPolicy":
    """Read the policy that an argument names, and keep the places of its words; raises PolicyError or Refusal."""
    from orchestrator.catalog import find_loaded
    from orchestrator.catalog import read_policy as read_file

    file = Path(text)
    if file.suffix in (".yaml", ".yml") or "/" in text or file.is_file():
        return read_file(file)
    if not settings.policies_dir.is_dir():
        raise Refusal(
            f"no policy {text}: there is neither such a file nor the folder {settings.policies_dir}. "
            "Name a file, or set ORCHESTRATOR_POLICIES_DIR."
        )
    return find_loaded(settings.policies_dir, text)


def place_of(folder: Path, text: str) -> Path:
    """Give the file or folder that an argument names, or the file of a policy of the catalog."""
    from orchestrator.catalog import find_loaded

    place = Path(text)
    if place.suffix in (".yaml", ".yml") or "/" in text or place.exists() or not folder.is_dir():
        return place
    return Path(find_loaded(folder, text).document.name)


def narrowed(policy: "Policy", site: str | None) -> "Policy":
    """Give the policy for the one site that is meant; raises Refusal when that is not clear."""
    if site is None and len(policy.all_sites) > 1:
        raise Refusal(
            f"policy {policy.name} is for the sites {', '.join(policy.all_sites)}: "
            f"choose one, such as --site {policy.all_sites[0]}"
        )
    try:
        return policy.at(site or policy.one_site)
    except ValueError as error:
        raise Refusal(f"--site: {error}") from None


def refuse_wrong(places: list[Path]) -> "dict[str, LoadedPolicy]":
    """Let nothing be applied or run that `check` would refuse, its own tests included; repeat what it warns of.

    Gives exactly what was checked. One wrong file is enough to refuse all: what is left out would look as if somebody
    had removed it.
    """
    from orchestrator.catalog import PolicyError
    from orchestrator.check import check

    report = check(places)
    if report.problems:
        raise PolicyError(report.problems)
    for warning in report.warnings:
        show.note(warning.said("warning: "), style="yellow")
    return {one.loaded.policy.name: one.loaded for one in report.files if one.loaded is not None}


def refuse_unapplied(name: str, applied: Iterable[str]) -> None:
    """Refuse a policy that is not applied, and say which ones are."""
    from orchestrator.settings import load_settings
    from workflows.units import advice

    names = sorted(applied)
    if name not in names:
        if name in catalog_names(load_settings()):
            known = f"`orchestrator apply {name}` does that"
        else:
            known = advice(name, names) if names else "nothing is applied yet, `orchestrator apply` does that"
        raise Refusal(f"policy {name} is not applied: {known}")


def known_word(option: str, word: str | None, known: Iterable[str]) -> None:
    """Refuse a word of an option that is none of the known ones."""
    from workflows.units import advice

    words = list(known)
    if word is not None and word not in words:
        raise Refusal(f"{option} {word}: {advice(word, words)}")


def catalog_names(settings: "Settings") -> list[str]:
    """Name the policies of the catalog that can be read."""
    from orchestrator.catalog import PolicyError, load_policy, policy_files

    names = []
    for file in policy_files(settings.policies_dir) if settings.policies_dir.is_dir() else ():
        try:
            names.append(load_policy(file).name)
        except PolicyError:  # `check` tells about it
            continue
    return sorted(names)


def read_time(text: str | None, option: str = "--as-of") -> datetime | None:
    """Read an ISO 8601 time or date; without a zone it is UTC, and a date is its first moment."""
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(
            f"{option} {text}: expected a time such as 2026-11-23T22:00:00Z, or a date such as 2026-11-23"
        ) from None
    try:
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except OverflowError:
        raise Refusal(f"{option} {text}: beyond the calendar") from None
