"""Policies for tests, with just what a test cares about left open."""

import itertools
from typing import Any

import yaml

from orchestrator.catalog import load_policy
from workflows.policy import Policy

SERIAL = itertools.count(1)
"""Policies of different tests have different names, since only one run of a policy may be open."""

POLICY = """
version: 1
name: test-{serial}
site: london
select:
  from: {{space: projects}}
  rules: [{{name: media, match: {{type: [mov]}}}}]
run: {{workflow: {workflow}, batch: {{files: {files}}}, concurrency: {concurrency}{run}}}
retry: {retry}
guards: {guards}
approval: {approval}
"""


def a_policy(
    *,
    workflow: str = "migrate",
    files: int = 5,
    concurrency: int = 4,
    run: str = "",
    retry: str = "{failed_files: {attempts: 3, wait: [1s]}}",
    guards: str = "{}",
    approval: str = "{}",
) -> Policy:
    text = POLICY.format(
        serial=next(SERIAL),
        workflow=workflow,
        files=files,
        concurrency=concurrency,
        run=run,
        retry=retry,
        guards=guards,
        approval=approval,
    )
    return load_policy(text.encode(), "test.yaml")


def a_campaign(stages: str, *, run: str = "", **more: Any) -> Policy:
    """Give a policy whose `run` has these stages instead of a hub workflow; `run` is the rest of it, as in YAML."""
    whole = a_policy(**more)
    files = whole.run.batch.files
    given = yaml.safe_load(f"{{stages: {stages}, batch: {{files: {files}}}, {run}}}")
    text = whole.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return Policy.model_validate({**text, "run": given})
