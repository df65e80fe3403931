"""Storage pools, and the alerts that they raise."""

import sqlite3
from typing import Any

from orchestrator.localhub.api.site import filesystem_shape, numbered
from orchestrator.localhub.call import Call, Problem, Reply, paged
from orchestrator.localhub.pools import PoolUse


def list_pools(call: Call) -> Reply:
    """Answer `GET /storagepools/`."""
    return paged(call, [_pool(call, pool) for pool in call.hub.measure()])


def get_pool(call: Call) -> Reply:
    """Answer `GET /storagepools/{id}/`."""
    for pool in call.hub.measure():
        if pool.number == call.id:
            return Reply(_pool(call, pool))
    raise Problem(404, "Not found.")


def list_alerts(call: Call) -> Reply:
    """Answer `GET /alerts/`."""
    call.hub.measure()
    found = [_alert(call, row) for row in call.hub.alerts.open()]
    for name in ("name", "node", "site", "severity", "summary"):
        wanted = call.text(name)
        found = [alert for alert in found if wanted is None or alert[name] == wanted]
    if call.text("suppressed") is not None:
        found = [alert for alert in found if alert["suppressed"] == call.truth("suppressed")]
    return Reply(found)


def get_alert(call: Call) -> Reply:
    """Answer `GET /alerts/{id}/`."""
    return Reply(numbered(call, [_alert(call, row) for row in call.hub.alerts.open()]))


def _pool(call: Call, pool: PoolUse) -> dict[str, Any]:
    number = call.hub.dialect.number
    return {
        "id": pool.number,
        "name": pool.name,
        "site": 1,
        "filesystem": filesystem_shape(call)["name"],
        "capacity": number(pool.capacity),
        "used_space": number(pool.used),
        "free_space": number(max(pool.capacity - pool.used, 0)),
        "is_default": pool.is_default,
    }


def _alert(call: Call, row: sqlite3.Row) -> dict[str, Any]:
    raised = call.hub.dialect.time(row["raised"])
    return {
        "id": row["id"],
        "name": row["name"],
        "severity": row["severity"],
        "site": call.hub.config.site,
        "node": call.hub.node,
        "queue": None,
        "summary": row["summary"],
        "timestamp": raised,
        "created": raised,
        "suppressed": False,
    }
