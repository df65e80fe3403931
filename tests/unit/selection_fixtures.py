"""Plans over made-up files, for tests of what comes after the selection."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from activities.bulk import Bulk
from activities.columns import to_table
from activities.hub.namespace import FileRecord
from activities.inventory import write_inventory
from activities.selection import PlanRequest, make_plan
from activities.storage import Storage
from workflows.plan import Plan
from workflows.policy import Policy

NOW = 1_700_000_000_000_000


def made_policy(batch_files: int = 1000, **more: Any) -> Policy:
    return Policy.model_validate(
        {
            "version": 1,
            "name": "p",
            "site": "london",
            "select": {"from": {"path": "/a"}},
            "run": {"workflow": "migrate", "batch": {"files": batch_files}},
            **more,
        }
    )


def made_plan(storage: Storage, folder: Path, paths: Sequence[str], batch_files: int = 1000) -> Plan:
    records = [FileRecord(path, "file", 10) for path in paths]
    inventory = write_inventory(storage, "i", to_table(records), NOW)
    request = PlanRequest(policy=made_policy(batch_files), inventory=inventory, as_of_us=NOW)
    return make_plan(storage, Bulk(256 << 20, folder), request)
