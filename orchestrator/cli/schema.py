"""`schema`: the JSON Schema of the policy language, for editors."""

from orchestrator.cli import show


def schema() -> None:
    """Print the JSON Schema of policies, by which editors complete keys and explain them."""
    from orchestrator.policy_schema import policy_schema_text

    show.plain(policy_schema_text().rstrip("\n"))
