"""Words of a policy that are read and checked, but that this version does not run: none now, refused by name if any."""

from workflows.policy import Policy

__all__ = ["unready"]


def unready(policy: Policy) -> tuple[str, ...]:
    """Name the keys of a policy without which a run would do something else than it says."""
    return ()
