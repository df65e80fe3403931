"""Which attributes a plan missed: the reason why files were passed over, as a person can mend it."""

from collections.abc import Mapping

from activities.bulk import Bulk, reading
from activities.decisions import lacking, needed_attributes
from activities.inventory import inventory_parts
from activities.manifests import read_head
from activities.predicates import UNKNOWN, judged
from activities.storage import Missing, open_storage
from orchestrator.settings import Settings
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
    return passed_over_text(policy, count, unknown_attributes(settings, plan, policy.select))


def passed_over_text(policy: Policy, count: int, missing: Mapping[str, int]) -> str:
    """Say how many files lack which attributes of those that a policy asks for."""
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
    needed = needed_attributes(select)
    if not needed:
        return {}
    missing = ", ".join(f"count(*) FILTER ({lacking(each, plan.as_of_us)})" for each in needed.values())
    with bulk.folder() as folder, bulk.database(folder) as database:
        try:
            parts = inventory_parts(storage, plan.inventory, folder)
        except Missing:
            return {}
        query = judged(select, plan.as_of_us, reading(parts))
        counts = database.execute(f"SELECT {missing} FROM ({query}) WHERE verdict = {UNKNOWN}").fetchone() or ()
    return {name: count for name, count in zip(needed, counts, strict=True) if count}
