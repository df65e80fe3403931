"""Words of a policy that are read and checked, but that this version does not run: refused by name, never ignored."""

from collections.abc import Iterator

from workflows.policy import Policy

__all__ = ["unready"]


def unready(policy: Policy) -> tuple[str, ...]:
    """Name the keys of a policy without which a run would do something else than it says."""
    return tuple(_keys(policy))


def _keys(policy: Policy) -> Iterator[str]:
    for key, used in (
        ("notify", policy.notify),
        ("slo", policy.slo),
    ):
        if used:
            yield key
