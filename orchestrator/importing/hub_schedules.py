"""A hub schedule as policies of ours: one for each of its hub workflows."""

from typing import Any

from orchestrator.importing.account import Account, Imported
from orchestrator.importing.estate import Estate
from orchestrator.importing.given import Given, as_flag, as_list, as_text, said
from orchestrator.importing.recurrence import FIELDS, cron_of
from orchestrator.importing.slugs import LONGEST, slug
from orchestrator.importing.wording import REPLACE, add_list, add_site, is_folder, is_line
from orchestrator.importing.yaml_text import Fields, Note, Unwritable, one_line

KIND = "hub schedule"


def import_schedule(found: Any, workflows: list[Any] | None, estate: Estate) -> list[Imported]:
    """Write a hub schedule; one without hub workflows gives a file that names none, None says they cannot be read."""
    steps: list[Any] = workflows or [None]
    return [_policy(found, step, len(steps), workflows is None, estate) for step in steps]


def _policy(found: Any, step: Any, steps: int, unread: bool, estate: Estate) -> Imported:
    given, work, account, body = Given(found), Given(step), Account(), Fields()
    number, title = given.text("id") or "?", given.text("name") or "(no name)"
    enabled, reference = as_flag(given.take("enabled")), given.take("site")
    workflow, own_site = work.text("workflow"), work.take("site")
    given.ignore("url", "created")
    work.ignore("id", "url", "schedule")
    site = estate.site(own_site if own_site is not None else reference)
    if own_site is not None and estate.site(reference) != site:
        body.note(account.lose(f"site {said(reference)} of the schedule", f"its hub workflow runs at {said(own_site)}"))
    add_site(body, site, own_site if own_site is not None else reference, account)
    add_list(body, "triggers", _triggers(given, account))
    body.blank().add("select", _select(given, workflow, estate, account))
    body.blank().add("run", _run(work, workflow, unread, account))
    if not isinstance(found, dict):
        body.note(account.lose(said(found), "it is not an object"))
    body.note(*account.lose_rest(given), *account.lose_rest(work))
    base = slug(title, f"hub-schedule-{number}")
    wanted = f"{base[: LONGEST - 21]}-{slug(workflow, 'run')[:20]}".rstrip("-") if steps > 1 else base
    return Imported(KIND, number, title, enabled, site, wanted, body, account)


def _triggers(given: Given, account: Account) -> list[Any]:
    words = {name: given.take(name) for name in FIELDS}
    zone = given.text("timezone")
    try:
        if zone not in (None, "UTC"):
            raise ValueError(f"of its time zone {said(zone)}: the Hub's reference knows none for schedules")
        cron = cron_of(Given(words))
    except ValueError as why:
        return [account.lose(f"cron {' '.join(as_text(word) or '*' for word in words.values())}", str(why))]
    account.keep(f"schedule {cron} UTC")
    note = Note("The Hub names no zone: its schedules run in UTC.")
    return [Fields().add("schedule", Fields().note(note).add("cron", cron).add("timezone", "UTC"))]


def _select(given: Given, workflow: str | None, estate: Estate, account: Account) -> Fields:
    select = Fields()
    discovery = given.text("discovery")
    if discovery not in (None, "recursive"):
        why = "here the Hub looks at every file below the paths (recursive)"
        if workflow == "site_sync":
            why += ", which `site_sync` does not do: this policy cannot take its place, keep the Hub's own schedule"
        select.note(account.lose(f"discovery {said(discovery)}", why))
    options = given.take("discovery_options")
    if options is not None:
        select.note(account.lose(f"discovery_options {said(options)}", "a policy has no words for them"))
    select.add("from", {"discovery": "recursive"})
    paths = _paths(given.take("managed_paths"), given.take("space"), select, estate, account)
    return select.add("paths", paths)


def _paths(found: Any, space: Any, select: Fields, estate: Estate, account: Account) -> list[str]:
    if isinstance(found, dict):
        found = found.get("paths") or found.get("path") or list(found)
    listed = as_list(found)
    if listed is None:
        listed = [found]
    paths: list[str] = []
    for one in listed:
        path = as_text(one.get("path") if isinstance(one, dict) else one)
        if not is_folder(path):
            select.note(account.lose(f"path {said(one)}", "it is not a folder from the root, written out in full"))
        else:
            paths.append(str(path).rstrip("/") or "/")
    outer = [one for one in dict.fromkeys(paths) if not any(_inside(one, other) for other in paths)]
    if outer:
        account.keep(f"{len(outer)} path{'s' if len(outer) > 1 else ''}")
        return outer
    known = estate.space(space)
    folder = known.folder if known and is_folder(known.folder) else f"/{REPLACE}"
    select.note(account.lose("managed_paths", f"there is none; {folder} stands here until you write which"))
    return [folder or "/"]


def _inside(path: str, folder: str) -> bool:
    return path != folder and path.startswith(folder.rstrip("/") + "/")


def _run(work: Given, workflow: str | None, unread: bool, account: Account) -> Fields:
    run = Fields()
    if not is_line(workflow):
        why = "the Hub did not tell them" if unread else "the schedule has none"
        run.note(account.lose(f"hub workflow {said(workflow)}", f"{why}: write one such as migrate"))
    else:
        account.keep(f"hub workflow {workflow}")
    run.add("workflow", workflow if is_line(workflow) else REPLACE)
    run.add("fields", _fields(work.take("fields"), run, account))
    queue = work.text("queue")
    if queue is not None and not is_line(queue):
        run.note(account.lose(f"queue {said(queue)}", "it is no name that a policy can hold"))
    return run.add("queue", queue if is_line(queue) and queue != "default" else None)


def _fields(found: Any, run: Fields, account: Account) -> dict[str, Any] | None:
    if not isinstance(found, dict):
        if found is not None:
            run.note(account.lose(f"fields {said(found)}", "they are not an object"))
        return None
    kept: dict[str, Any] = {}
    for key, value in found.items():
        try:
            if not is_line(key):
                raise Unwritable("it is no name that a policy can hold")
            one_line({key: value})
            kept[key] = value
        except Unwritable as why:
            run.note(account.lose(f"field {said(key)} = {said(value)}", str(why)))
    if kept:
        account.keep(f"fields {', '.join(kept)}")
    return kept or None
