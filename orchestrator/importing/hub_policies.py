"""A hub policy as a policy of ours."""

import os
from typing import Any

from orchestrator.importing.account import Account, Imported
from orchestrator.importing.conditions import READING, rules_of
from orchestrator.importing.estate import Estate, KnownSpace
from orchestrator.importing.given import Given, as_flag, as_list, as_text, as_whole, is_blank, said
from orchestrator.importing.pool_marks import PoolMarks, pool_marks
from orchestrator.importing.recurrence import trigger_of
from orchestrator.importing.slugs import slug
from orchestrator.importing.wording import REPLACE, add_list, add_site, is_folder, is_line
from orchestrator.importing.yaml_text import Fields, Note

KIND = "hub policy"
_MIGRATES = {"migration", "migrate", "tiering", "tier", "policy-based tiering"}
_KNOWN_TYPES = {"premigration": "premigrate", "premigrate": "premigrate", "recall": "recall"}
_ORDERS = {
    "atime": "accessed", "accesstime": "accessed", "accessed": "accessed",
    "mtime": "modified", "modificationtime": "modified", "modified": "modified",
    "ctime": "changed", "changetime": "changed", "changed": "changed",
    "size": "size", "filesize": "size", "path": "path",
}  # fmt: skip


def import_policy(found: Any, estate: Estate) -> Imported:
    """Write a hub policy as one of ours; whatever the Hub gave, there is a file, with a comment for what is missing."""
    given, account, body = Given(found), Account(), Fields()
    number, title = given.text("id") or "?", given.text("name") or "(no name)"
    reference, enabled = given.take("site"), as_flag(given.take("enabled"))
    filesystem = given.text("filesystem")
    given.ignore("created", "url")
    site = estate.site(reference)
    add_site(body, site, reference, account)
    marks = pool_marks(given.take("triggers"), filesystem if is_line(filesystem) else None, account)
    add_list(body, "triggers", _triggers(given.take("schedule"), marks, account))
    body.blank().add("select", _select(given, filesystem, marks, estate, account))
    body.blank().add("run", _run(given, marks, account))
    if not isinstance(found, dict):
        body.note(account.lose(said(found), "it is not an object"))
    body.note(*account.lose_rest(given))
    return Imported(KIND, number, title, enabled, site, slug(title, f"hub-policy-{number}"), body, account)


def _triggers(schedule: Any, marks: PoolMarks, account: Account) -> list[Any]:
    """Marks and a schedule together mean at the Hub: look at the marks at those times; here each starts by itself."""
    if not marks.marked:
        return [*marks.triggers, *trigger_of(schedule, account)]
    if is_blank(schedule):
        return marks.triggers
    cron = trigger_of(schedule, Account())
    words = next((dict(one.pairs)["schedule"] for one in cron if isinstance(one, Fields)), None)
    when = " ".join(map(str, (dict(words.pairs)[key] for key in ("cron", "timezone")))) if words else said(schedule)
    why = (
        "at the Hub it says when the marks are looked at, and here the pool is measured all the time; a schedule "
        "of its own would move every matching file, also from a pool below its marks. For quiet hours add `run.windows`"
    )
    return [*marks.triggers, account.lose(f"schedule {when}", why)]


def _select(given: Given, filesystem: str | None, marks: PoolMarks, estate: Estate, account: Account) -> Fields:
    select = Fields()
    _add_scope(select, given.take("spaces"), filesystem, estate, account)
    if marks.marked:
        why = "no attribute of a file says in which pool it is: files of other pools match as well"
        select.note(account.lose("the source pool as a condition", why))
    groups = given.take("condition_groups")
    rules = rules_of(groups, account)
    if rules:
        select.note(Note(READING))
        select.add("rules", rules)
    else:
        select.note(Note("The Hub's policy has no conditions: every file is taken."))
    return select.note(*_order(given.take("order"), select, account))


def _add_scope(select: Fields, found: Any, filesystem: str | None, estate: Estate, account: Account) -> None:
    listed = as_list(found)
    references = [found] if listed is None else listed
    spaces: list[KnownSpace] = []
    for one in references:
        space = estate.space(one)
        if space is None or not is_line(space.name):
            select.note(account.lose(f"space {said(one)}", "the Hub lists no space with that number"))
        elif space not in spaces:
            spaces.append(space)
    folders = [space.folder for space in spaces if is_folder(space.folder)]
    if len(spaces) == 1:
        select.add("from", {"space": spaces[0].name})
    elif spaces and len(folders) == len(spaces):
        outer = [one for one in folders if one and not any(one != o and one.startswith(f"{o}/") for o in folders)]
        select.note(Note(f"the spaces {', '.join(space.name for space in spaces)}"))
        select.add("from", {"path": os.path.commonpath(map(str, outer))}).add("paths", list(dict.fromkeys(outer)))
    elif spaces:
        lost = account.lose(f"spaces {', '.join(one.name for one in spaces[1:])}", "the Hub does not say their folders")
        select.note(lost).add("from", {"space": spaces[0].name})
    elif not references and is_folder(f"/{filesystem}"):
        select.note(Note(f"no space: the whole file system {filesystem}, whose folder is taken to have its name"))
        select.add("from", {"path": f"/{filesystem}"})
    else:
        if not references:
            select.note(account.lose(f"file system {said(filesystem)}", "no folder can be told from it"))
        select.add("from", {"space": REPLACE})
        return
    account.keep(f"{len(spaces)} space{'s' if len(spaces) != 1 else ''}" if spaces else f"file system {filesystem}")


def _order(found: Any, select: Fields, account: Account) -> list[Note]:
    if is_blank(found):
        return []
    order = Given(found)
    order.ignore("id")
    by, reverse = as_text(order.take("by")), order.take("reverse")
    key = _ORDERS.get((by or "").lower().replace("_", "").replace(" ", ""))
    flag = False if reverse is None else as_flag(reverse)
    if key is None or flag is None:
        return [account.lose(f"order {said(found)}", "the import does not know it"), *account.lose_rest(order)]
    select.add("order_by", [f"-{key}" if flag else key])
    account.keep(f"order by {by}")
    return account.lose_rest(order)


def _run(given: Given, marks: PoolMarks, account: Account) -> Fields:
    run = Fields()
    kind = given.text("policy_type")
    word = (kind or "migration").lower()
    workflow = "migrate" if word in _MIGRATES else _KNOWN_TYPES.get(word, REPLACE)
    if workflow == REPLACE:
        run.note(account.lose(f"policy_type {said(kind)}", "the import does not know which hub workflow does it"))
    elif marks.destination is not None:
        workflow = REPLACE
        why = "a run asks for a hub workflow, and `migrate` goes to the Hub's target: name one that moves to that pool"
        run.note(account.lose(f"the move into the pool {marks.destination}", why))
    elif marks.marked and not marks.to_target:
        run.note(Note("The Hub names no pool after the first one: read as its target, to which `migrate` goes."))
    run.add("workflow", workflow)
    threads = given.take("threads")
    if threads is not None:
        count = as_whole(threads)
        why = "they are the Hub's own: `run.concurrency` counts jobs in flight"
        run.note(account.lose(f"threads {said(threads if count is None else count)}", why))
    return run
