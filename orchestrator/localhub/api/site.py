"""The site and what it is made of: nodes, queues, file systems."""

from typing import Any

from orchestrator.localhub.call import Call, Problem, Reply, paged
from orchestrator.localhub.clock import now_us
from orchestrator.localhub.names import text_of

COLOUR = [56, 110, 184]


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
    return Reply(numbered(call, _queues(call)))


def list_filesystems(call: Call) -> Reply:
    """Answer `GET /filesystems/`."""
    return paged(call, [filesystem_shape(call)])


def get_filesystem(call: Call) -> Reply:
    """Answer `GET /filesystems/{id}/`."""
    _only_site(call)
    return Reply(filesystem_shape(call))


def list_filesets(call: Call) -> Reply:
    """Answer `GET /filesets/`, which has no documented body: every space is a fileset."""
    mountpoint = call.hub.spaces.mountpoint
    return Reply([{"name": space["name"], "path": text_of(mountpoint(space))} for space in call.hub.spaces.all()])


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
        "color": COLOUR,
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


def filesystem_shape(call: Call) -> dict[str, Any]:
    """Write the file system."""
    mountpoint = call.hub.config.mountpoint
    return {
        "id": 1,
        "name": mountpoint.strip("/").replace("/", "-"),
        "mountpoint": mountpoint,
        "site": call.hub.config.site,
    }


def _only_site(call: Call) -> None:
    if call.path_params["id"] not in ("1", call.hub.config.site):
        raise Problem(404, "Not found.")


def numbered(call: Call, shapes: list[dict[str, Any]]) -> dict[str, Any]:
    """Give the one whose number is in the path; raise Problem when there is none."""
    for shape in shapes:
        if shape["id"] == call.id:
            return shape
    raise Problem(404, "Not found.")
