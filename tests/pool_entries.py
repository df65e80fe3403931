"""Entries of watched pools for tests, with just what a test cares about left open."""

from orchestrator.catalog import load_policy
from workflows.pools import WatchEntry

DRAIN = """
version: 1
name: {name}
site: london
triggers:
  - threshold: {{pool: sas1, {marks}}}
select:
  from: {{space: projects}}
  rules: [{{name: media, match: {{type: [{suffix}]}}}}]
run: {{workflow: migrate, batch: {{files: {files}, bytes: {bytes}}}, concurrency: 2, priority: {priority}}}
retry: {{failed_files: {{attempts: {attempts}, wait: [1s]}}}}
"""


def an_entry(
    marks: str = "upper: 85%, lower: 70%",
    *,
    name: str = "drain",
    priority: int = 3,
    suffix: str = "mov",
    files: int = 5,
    size: str = "1TiB",
    attempts: int = 3,
) -> WatchEntry:
    text = DRAIN.format(
        name=name, marks=marks, priority=priority, suffix=suffix, files=files, bytes=size, attempts=attempts
    )
    return WatchEntry(policy=load_policy(text.encode(), "drain.yaml"), version=1, trigger=0)
