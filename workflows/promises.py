"""What a policy says of people: who hears of what, and how old its last success may be; kept in the audit with it."""

from workflows.policy import Policy


def hearers(policy: Policy) -> dict[str, object]:
    """Give `notify` as the record of a run holds it; nothing when the policy names nobody."""
    return {"notify": [one.model_dump(mode="json") for one in policy.notify]} if policy.notify else {}


def promises(policy: Policy) -> dict[str, object]:
    """Give `notify`, and `slo` with its sites, as the record of an applied policy holds them."""
    if policy.slo is None or not policy.enabled:
        return hearers(policy)
    return {
        **hearers(policy),
        "slo": policy.slo.model_dump(mode="json", exclude_none=True),
        "sites": list(policy.all_sites),
    }
