"""Lint of words that the language knows and this version does not run yet: no run is started with them."""

from collections.abc import Iterator

from orchestrator.linting.finding import Finding
from workflows.policy import Policy
from workflows.unready import unready


def readiness_findings(policy: Policy) -> Iterator[Finding]:
    """Find the words for which `run` and `apply` refuse the policy."""
    for word in unready(policy):
        *_, key = where = tuple(word.split("."))
        text = (
            f"`{key}` is read and checked, but not run yet by this version: `run` and `apply` refuse the policy with it"
        )
        yield Finding("not-run-yet", where, text, at_key=True)
