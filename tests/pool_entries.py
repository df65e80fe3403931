"""Entries of watched pools for tests, with just what a test cares about left open."""

from typing import Any

from orchestrator.catalog import load_policy
from workflows.policy import Policy
from workflows.pools import WatchEntry, watch_entries

DRAIN = """
version: 1
name: {name}
site: london
triggers:
  - threshold: {{pool: sas1, {marks}}}
select:
  from: {{space: projects}}
  rules: [{{name: media, match: {{type: [{suffix}]}}}}]
run: {{workflow: migrate, batch: {{files: {files}, bytes: {bytes}}}, concurrency: 2, priority: {priority}{run}}}
retry: {{failed_files: {{attempts: {attempts}, wait: [1s]}}}}
"""


def a_drain(
    marks: str = "upper: 85%, lower: 70%",
    *,
    name: str = "drain",
    priority: int = 3,
    suffix: str = "mov",
    files: int = 5,
    size: str = "1TiB",
    attempts: int = 3,
    run: str = "",
) -> Policy:
    text = DRAIN.format(
        name=name, marks=marks, priority=priority, suffix=suffix, files=files, bytes=size, attempts=attempts, run=run
    )
    return load_policy(text.encode(), "drain.yaml")


def an_entry(marks: str = "upper: 85%, lower: 70%", **how: Any) -> WatchEntry:
    [entry] = watch_entries(a_drain(marks, **how), 1)
    return entry
