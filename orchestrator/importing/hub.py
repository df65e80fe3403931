"""Everything that the Hub schedules by itself, read and written as policies of ours, each with a name of its own."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from activities.errors import AuthError, HubError, Permanent
from activities.hub import policies, schedules
from activities.hub.client import Hub
from orchestrator.catalog import PolicyError, load_policy
from orchestrator.importing.account import Imported
from orchestrator.importing.estate import Estate
from orchestrator.importing.given import Given, as_text, said
from orchestrator.importing.hub_policies import import_policy
from orchestrator.importing.hub_schedules import import_schedule
from orchestrator.importing.recurrence import cron_of
from orchestrator.importing.slugs import LONGEST, Slugs
from orchestrator.importing.wording import text_of
from orchestrator.importing.yaml_text import Unwritable


@dataclass(frozen=True)
class HubWords:
    """What the Hub says of its own policies and schedules, as it says it."""

    sites: list[Any] = field(default_factory=list)
    spaces: list[Any] = field(default_factory=list)
    policies: list[Any] = field(default_factory=list)
    schedules: list[tuple[Any, list[Any] | None]] = field(default_factory=list)
    timetable: list[Any] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class PolicyFile:
    """One file to be written; without text it cannot be, and `why_not` says why."""

    name: str
    imported: Imported
    text: str | None
    why_not: str | None = None


@dataclass(frozen=True)
class Import:
    """The files of an import, and what is to be told of it as a whole."""

    files: list[PolicyFile]
    warnings: list[str]


async def read_hub(hub: Hub) -> HubWords:
    """Read everything; a list that this Hub does not give is a warning, not an end."""
    words = HubWords()
    for name, pages, found in (
        ("sites", policies.as_given(hub, "/sites/"), words.sites),
        ("spaces", policies.as_given(hub, "/spaces/"), words.spaces),
        ("policies", policies.as_given(hub), words.policies),
    ):
        await _fill(found, pages, name, words.warnings)
    listed: list[Any] = []
    await _fill(listed, schedules.as_given(hub), "schedules", words.warnings)
    await _fill(words.timetable, schedules.timetable_as_given(hub), "the timetable", words.warnings, HubError)
    for one in listed:
        words.schedules.append((one, await _workflows(hub, one, words.warnings)))
    return words


def import_hub(words: HubWords, *, site: str | None = None) -> Import:
    """Write everything as policies of ours, or what belongs to one site."""
    estate = Estate.of(words.sites, words.spaces)
    found = [import_policy(one, estate) for one in words.policies]
    found += [one for each, steps in words.schedules for one in import_schedule(each, steps, estate)]
    chosen = [one for one in found if site is None or one.site == site]
    warnings = [*words.warnings, *_timetable_warnings(words)]
    if len(chosen) < len(found):
        warnings.append(f"{len(found) - len(chosen)} of other sites left out, by --site {site}")
    return Import([_file(one, name) for one, name in zip(chosen, _names(chosen), strict=True)], warnings)


def _names(found: list[Imported]) -> list[str]:
    """Names that stay the same while others come and go: of equal ones each gets the Hub's number."""
    counts = Counter(one.wanted_name for one in found)
    slugs = Slugs()
    names = []
    for one in found:
        name = one.wanted_name
        if counts[name] > 1:
            end = f"-{one.kind.removeprefix('hub ')}-{one.number}"[:30]
            name = name[: LONGEST - len(end)] + "".join(c if c.isalnum() and c.isascii() else "-" for c in end.lower())
        names.append(slugs.unique(name.rstrip("-")))
    return names


def _file(imported: Imported, name: str) -> PolicyFile:
    """Nothing leaves that our own check would refuse."""
    try:
        text = text_of(imported, name)
        load_policy(text.encode(), name)
    except (Unwritable, UnicodeEncodeError) as error:
        return PolicyFile(name, imported, None, str(error))
    except PolicyError as error:
        return PolicyFile(name, imported, None, error.problems[0].message)
    return PolicyFile(name, imported, text)


def _timetable_warnings(words: HubWords) -> list[str]:
    """The Hub's timetable is the cross-check: what stands in it and in neither list, or there at another time."""
    known = {("policy", as_text(Given(one).take("id"))): Given(one).take("schedule") for one in words.policies}
    known |= {("discovery", as_text(Given(one).take("id"))): one for one, _ in words.schedules}
    warnings = []
    for row in words.timetable:
        given = Given(row)
        policy, discovery = given.text("policy_id"), given.text("discovery_id")
        key = ("policy", policy) if policy else ("discovery", discovery)
        words_of_row = f"{said(given.text('name'))} ({said(given.text('schedule_type'))})"
        if key not in known:
            warnings.append(f"the Hub's timetable has {words_of_row}, which is no policy and no schedule: not imported")
        elif known[key] and _cron(row) != _cron(known[key]):
            warnings.append(f"the Hub's timetable has {words_of_row} at other times: look at it in the Hub")
    return warnings


def _cron(found: Any) -> str:
    try:
        return cron_of(Given(found))
    except ValueError:
        return ""


async def _workflows(hub: Hub, schedule: Any, warnings: list[str]) -> list[Any] | None:
    number = Given(schedule).text("id")
    found: list[Any] = []
    if number is None:
        return None
    good = await _fill(found, schedules.workflows_as_given(hub, number), f"workflows of schedule {number}", warnings)
    return found if good else None


async def _fill(
    found: list[Any],
    pages: AsyncIterator[Any],
    name: str,
    warnings: list[str],
    dispensable: type[HubError] = Permanent,
) -> bool:
    try:
        async for one in pages:
            found.append(one)
    except AuthError:
        raise
    except (dispensable, ValueError) as error:
        warnings.append(f"{name}: the Hub does not give them ({error})")
        return False
    return True
