"""The site and what it is made of: nodes, queues, file systems, pools, alerts, spaces, workflows, settings."""

import json
import sqlite3
from typing import Any

from orchestrator.localhub.call import Call, Problem, Reply, paged, raw_path
from orchestrator.localhub.clock import now_us
from orchestrator.localhub.names import BadPath, text_of
from orchestrator.localhub.pools import PoolUse

_COLOUR = [56, 110, 184]


def list_sites(call: Call) -> Reply:
    """Answer `GET /sites/`."""
    return paged(call, [_site(call)])


def get_site(call: Call) -> Reply:
    """Answer `GET /sites/{id}/`."""
    _only_site(call)
    spaces = [{"id": s["id"], "name": s["name"], "url": call.url(f"/spaces/{s['id']}/")} for s in call.hub.spaces.all()]
    return Reply(
        _site(call) | {"spaces": spaces, "include": {}, "exclude": {}, "file_batch_size": 64, "file_batch_gb": 1}
    )


def site_health(call: Call) -> Reply:
    """Answer `GET /sites/{id}/health/`."""
    _only_site(call)
    nodes = [{"name": call.hub.node, "online": True, "last_heartbeat": call.hub.dialect.time(now_us())}]
    return Reply(_site(call) | {"healthy": True, "status": "ok", "nodes": nodes})


def list_nodes(call: Call) -> Reply:
    """Answer `GET /nodes/`."""
    return paged(call, [_node(call)])


def get_node(call: Call) -> Reply:
    """Answer `GET /nodes/{id}/`."""
    _only_site(call)
    return Reply(_node(call))


def list_queues(call: Call) -> Reply:
    """Answer `GET /queues/`."""
    return paged(call, _queues(call))


def get_queue(call: Call) -> Reply:
    """Answer `GET /queues/{id}/`."""
    return Reply(_numbered(call, _queues(call)))


def list_filesystems(call: Call) -> Reply:
    """Answer `GET /filesystems/`."""
    return paged(call, [_filesystem(call)])


def get_filesystem(call: Call) -> Reply:
    """Answer `GET /filesystems/{id}/`."""
    _only_site(call)
    return Reply(_filesystem(call))


def list_filesets(call: Call) -> Reply:
    """Answer `GET /filesets/`, which has no documented body: every space is a fileset."""
    mountpoint = call.hub.spaces.mountpoint
    return Reply([{"name": space["name"], "path": text_of(mountpoint(space))} for space in call.hub.spaces.all()])


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
    return Reply(_numbered(call, [_alert(call, row) for row in call.hub.alerts.open()]))


def list_spaces(call: Call) -> Reply:
    """Answer `GET /spaces/`."""
    keyword, spaces = call.text("search_keyword"), call.hub.spaces.all()
    if call.whole("site_id") not in (None, 1):
        spaces = []
    return paged(call, [space_shape(call, space) for space in spaces if keyword is None or keyword in space["name"]])


def get_space(call: Call) -> Reply:
    """Answer `GET /spaces/{id}/`."""
    return Reply(space_shape(call, _space(call)))


def make_space(call: Call) -> Reply:
    """Answer `POST /spaces/`."""
    name, hub = call.member("name", str, required=True), call.hub
    mountpoint = call.member("mountpoint", str, default=f"{hub.config.mountpoint}/{name}")
    try:
        folder = hub.mount.relative(raw_path(mountpoint, "mountpoint"))
        number = hub.spaces.make(name, folder, call.member("size", int))
    except BadPath as error:
        raise Problem(400, f"mountpoint: {error}") from error
    except FileExistsError as error:
        raise Problem(400, "mountpoint: this is a space already") from error
    space = hub.spaces.get(number)
    assert space is not None
    return Reply(space_shape(call, space), 201)


def change_space(call: Call) -> Reply:
    """Answer `PATCH /spaces/{id}/`."""
    number = _space(call)["id"]
    call.hub.spaces.change(number, call.member("name", str), call.member("size", int))
    return Reply(space_shape(call, _space(call)))


def delete_space(call: Call) -> Reply:
    """Answer `DELETE /spaces/{id}/`; the files stay."""
    call.hub.spaces.hide(_space(call)["id"])
    return Reply(status=204)


def list_workflows(call: Call) -> Reply:
    """Answer `GET /workflows/`."""
    return paged(call, call.hub.workflows.all())


def get_workflow(call: Call) -> Reply:
    """Answer `GET /workflows/{id}/`."""
    workflow = call.hub.workflows.get(call.id)
    if workflow is None:
        raise Problem(404, "Not found.")
    return Reply(workflow)


def change_workflow(call: Call) -> Reply:
    """Answer `PATCH /workflows/{id}/`."""
    for name in ("enabled", "schedule_only", "visible"):
        call.member(name, bool)
    workflow = call.hub.workflows.change(call.id, call.document())
    if workflow is None:
        raise Problem(404, "Not found.")
    return Reply(workflow)


def get_configurations(call: Call) -> Reply:
    """Answer `GET /configurations/`."""
    return Reply(call.hub.configurations())


def change_configurations(call: Call) -> Reply:
    """Answer `PATCH /configurations/`."""
    known = call.hub.configurations()
    changes = {}
    for key, value in call.document().items():
        if key not in known:
            continue
        if not isinstance(value, type(known[key])) and not (isinstance(known[key], float) and isinstance(value, int)):
            raise Problem(400, f"{key}: a value of the wrong type")
        changes[key] = value
    with call.hub.store.write() as database:
        values = ("configurations", json.dumps(known | changes))
        database.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", values)
    return Reply(call.hub.configurations())


def space_shape(call: Call, space: sqlite3.Row) -> dict[str, Any]:
    """Write one space."""
    site = {
        "id": "1",
        "name": call.hub.config.site,
        "label": call.hub.config.site.capitalize(),
        "pool": "sas1",
        "usage": [],
    }
    return {
        "id": space["id"],
        "url": call.url(f"/spaces/{space['id']}/"),
        "uuid": space["uuid"],
        "name": space["name"],
        "mountpoint": text_of(call.hub.spaces.mountpoint(space)),
        "created": call.hub.dialect.time(space["created"]) if call.hub.dialect.name == "standard" else None,
        "size": space["size"],
        "color": _COLOUR,
        "immutable": False,
        "editable": True,
        "is_ready": True,
        "nested_shares": [],
        "relationships": [],
        "on_sites": {call.hub.config.site: True},
        "permission_mode": "unix",
        "sites": [site],
        "snapshot_schedule": None,
    }


def _site(call: Call) -> dict[str, Any]:
    copies = dict(call.hub.store.read().execute("SELECT state, count(*) FROM copies GROUP BY state").fetchall())
    return {
        "id": 1,
        "url": call.url("/sites/1/"),
        "name": call.hub.config.site,
        "label": call.hub.config.site.capitalize(),
        "shortcode": call.hub.config.site[:3],
        "type": "pixstor",
        "timezone": "UTC",
        "public_url": call.base.removesuffix("/api"),
        "color": _COLOUR,
        "am_i_configured": True,
        "ready_to_configure": True,
        "editable": True,
        "bandwidth": None,
        "files_stubbed_count": copies.get("migrated", 0),
        "files_hydrated_count": copies.get("premigrated", 0),
        "spaces": [str(space["name"]) for space in call.hub.spaces.all()],
    }


def _node(call: Call) -> dict[str, Any]:
    heartbeat = call.hub.dialect.time(now_us())
    return {
        "id": 1,
        "url": call.url("/nodes/1/"),
        "name": call.hub.node,
        "site": call.hub.config.site,
        "online": True,
        "has_default_queue": True,
        "last_heartbeat": heartbeat,
    }


def _queues(call: Call) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "name": name,
            "label": name.capitalize(),
            "site": call.hub.config.site,
            "nodes": [call.hub.node],
            "last_heartbeat": call.hub.dialect.time(now_us()),
        }
        for number, name in enumerate(call.hub.queue_names(), start=1)
    ]


def _filesystem(call: Call) -> dict[str, Any]:
    mountpoint = call.hub.config.mountpoint
    return {
        "id": 1,
        "name": mountpoint.strip("/").replace("/", "-"),
        "mountpoint": mountpoint,
        "site": call.hub.config.site,
    }


def _pool(call: Call, pool: PoolUse) -> dict[str, Any]:
    number = call.hub.dialect.number
    return {
        "id": pool.number,
        "name": pool.name,
        "site": 1,
        "filesystem": _filesystem(call)["name"],
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


def _space(call: Call) -> sqlite3.Row:
    space = call.hub.spaces.get(call.id)
    if space is None:
        raise Problem(404, "Not found.")
    return space


def _only_site(call: Call) -> None:
    if call.path_params["id"] not in ("1", call.hub.config.site):
        raise Problem(404, "Not found.")


def _numbered(call: Call, shapes: list[dict[str, Any]]) -> dict[str, Any]:
    for shape in shapes:
        if shape["id"] == call.id:
            return shape
    raise Problem(404, "Not found.")
