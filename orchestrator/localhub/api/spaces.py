"""Spaces: listed, made, changed, and taken away without their files."""

import sqlite3
from typing import Any

from orchestrator.localhub.api.site import COLOUR
from orchestrator.localhub.call import Call, Problem, Reply, paged, raw_path
from orchestrator.localhub.names import BadPath, text_of


def list_spaces(call: Call) -> Reply:
    """Answer `GET /spaces/`."""
    keyword, spaces = call.text("search_keyword"), call.hub.spaces.all()
    if call.whole("site_id") not in (None, 1):
        spaces = []
    return paged(call, [_shape(call, space) for space in spaces if keyword is None or keyword in space["name"]])


def get_space(call: Call) -> Reply:
    """Answer `GET /spaces/{id}/`."""
    return Reply(_shape(call, _space(call)))


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
    return Reply(_shape(call, space), 201)


def change_space(call: Call) -> Reply:
    """Answer `PATCH /spaces/{id}/`."""
    number = _space(call)["id"]
    call.hub.spaces.change(number, call.member("name", str), call.member("size", int))
    return Reply(_shape(call, _space(call)))


def delete_space(call: Call) -> Reply:
    """Answer `DELETE /spaces/{id}/`; the files stay."""
    call.hub.spaces.hide(_space(call)["id"])
    return Reply(status=204)


def _shape(call: Call, space: sqlite3.Row) -> dict[str, Any]:
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
        "created": call.hub.dialect.time(space["created"]),
        "size": space["size"],
        "color": COLOUR,
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


def _space(call: Call) -> sqlite3.Row:
    space = call.hub.spaces.get(call.id)
    if space is None:
        raise Problem(404, "Not found.")
    return space
