"""Which attributes a plan missed: the reason why files were passed over, as a person can mend it."""

from collections.abc import Iterator, Mapping

from activities.bulk import Bulk, reading
from activities.inventory import inventory_parts
from activities.manifests import read_head
from activities.predicates import UNKNOWN, judged, predicate
from activities.storage import Missing, open_storage
from orchestrator.settings import Settings
from workflows.conditions import AllOf, AnyOf, Compare, Condition, Member, Named, Not
from workflows.plan import Plan
from workflows.policy import Policy
from workflows.selecting import Select

WORD = "unknown_attribute"
"""The reason under which a plan counts these files."""


def passed_over_line(settings: Settings, plan: Plan) -> str | None:
    """Say how many files were passed over for what is unknown of them, and what to do; None without any."""
    count = plan.passed_over.get(WORD, 0)
    if not count:
        return None
    policy = Policy.model_validate_json(read_head(open_storage(settings.storage), plan.manifest).policy or "")
    missing = unknown_attributes(settings, plan, policy.select)
    many = "1 file was" if count == 1 else f"{count:,} files were"
    what = ", ".join(f"`{name}` ({lacking:,})" for name, lacking in missing.items()) or "an attribute"
    source = policy.select.source
    advice = (
        f"The list {source.manifest} does not give it: add it there, or take it out of the policy"
        if source.manifest is not None
        else "The Hub does not give it: take it out of the policy"
    )
    return f"{many} passed over, because the policy asks for what is unknown of them: {what}. {advice}."


def unknown_attributes(settings: Settings, plan: Plan, select: Select) -> dict[str, int]:
    """Count, by attribute, the undecided files that lack it; empty when the inventory is gone."""
    storage, bulk = open_storage(settings.storage), Bulk(int(settings.selection_memory), settings.spill_dir)
    leaves = _leaves(select)
    if not leaves:
        return {}
    lacking = ", ".join(
        f"count(*) FILTER ({' OR '.join(f'{predicate(leaf, plan.as_of_us, {})} IS NULL' for leaf in each)})"
        for each in leaves.values()
    )
    with bulk.folder() as folder, bulk.database(folder) as database:
        try:
            parts = inventory_parts(storage, plan.inventory, folder)
        except Missing:
            return {}
        query = judged(select, plan.as_of_us, reading(parts))
        counts = database.execute(f"SELECT {lacking} FROM ({query}) WHERE verdict = {UNKNOWN}").fetchone() or ()
    return {name: count for name, count in zip(leaves, counts, strict=True) if count}


def _leaves(select: Select) -> dict[str, list[Condition]]:
    found: dict[str, list[Condition]] = {}
    for condition in (*select.exclude, *(rule.match for rule in select.rules)):
        for leaf in _inside(condition, select.classes):
            found.setdefault(leaf.attribute, []).append(leaf)
    return found


def _inside(condition: Condition, classes: Mapping[str, Condition]) -> Iterator[Compare | Member]:
    """A name and a path are always known, so globs are left out."""
    match condition:
        case Compare() | Member():
            yield condition
        case AllOf(of) | AnyOf(of):
            for part in of:
                yield from _inside(part, classes)
        case Not(of):
            yield from _inside(of, classes)
        case Named(name):
            yield from _inside(classes[name], classes)
