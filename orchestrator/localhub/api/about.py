"""The smaller things that a Hub can be asked about: targets, users, words for states, and lists that are empty here."""

import os
import stat
from typing import Any

from orchestrator.localhub.call import Call, Problem, Reply, paged, raw_path
from orchestrator.localhub.names import bytes_of, text_of

_COLOURS = {"resident": "#2e7d32", "premigrated": "#f9a825", "migrated": "#1565c0"}
_MOST_ITEMS = 1000


def nothing(call: Call) -> Reply:
    """Answer a list operation of which a local Hub has none."""
    return paged(call, [])


def bare_nothing(call: Call) -> Reply:
    """Answer a list operation without an envelope of which a local Hub has none."""
    return Reply([])


def list_buckets(call: Call) -> Reply:
    """Answer `GET /buckets/`."""
    return paged(call, [_bucket(call)])


def get_bucket(call: Call) -> Reply:
    """Answer `GET /buckets/{id}/`."""
    return Reply(_first_of(call, _bucket(call)))


def list_targets(call: Call) -> Reply:
    """Answer `GET /external_targets/`."""
    return paged(call, [_target(call)] if call.text("bucket") in (None, "1", "nearline") else [])


def get_target(call: Call) -> Reply:
    """Answer `GET /external_targets/{id}/`."""
    return Reply(_first_of(call, _target(call)))


def files_of_target(call: Call) -> Reply:
    """Answer `GET /external_targets/{id}/files/`: one folder of the target, from a marker on."""
    _first_of(call, _target(call))
    path = call.text("path") or "/"
    relative = raw_path(path).strip(b"/")
    if b".." in relative.split(b"/"):
        raise Problem(400, "path: not inside the target")
    marker, most = bytes_of(call.text("marker") or ""), min(call.whole("max_items") or _MOST_ITEMS, _MOST_ITEMS)
    with call.hub.target.tree.visit() as visit:
        try:
            entries = [
                entry for entry in visit.entries(relative) if entry[0] > marker and not entry[0].startswith(b".")
            ]
        except OSError as error:
            raise Problem(404, "no such folder in the target") from error
    shown, more = entries[:most], len(entries) > most
    folders = [_item(relative, name, seen, "directory") for name, seen in shown if stat.S_ISDIR(seen.st_mode)]
    files = [_item(relative, name, seen, "file") for name, seen in shown if stat.S_ISREG(seen.st_mode)]
    following = text_of(shown[-1][0]) if more else ""
    summary = {"directories": len(folders), "files": len(files)}
    body = {"path": path, "marker": text_of(marker), "next_marker": following, "summary": summary}
    return Reply(body | {"directories": folders, "files": files})


def list_users(call: Call) -> Reply:
    """Answer `GET /users/`."""
    return paged(call, [_user(call)])


def get_user(call: Call) -> Reply:
    """Answer `GET /users/{username}/`."""
    if call.path_params["username"] != "admin":
        raise Problem(404, "Not found.")
    return Reply(_user(call))


def list_status_types(call: Call) -> Reply:
    """Answer `GET /filestatustypes/`."""
    return paged(call, [_status_type(call, key) for key in _COLOURS])


def get_status_type(call: Call) -> Reply:
    """Answer `GET /filestatustypes/{key}/`."""
    for key in _COLOURS:
        if call.hub.dialect.residence[key] == call.path_params["key"]:
            return Reply(_status_type(call, key))
    raise Problem(404, "Not found.")


def list_servers(call: Call) -> Reply:
    """Answer `GET /servers/`."""
    return paged(call, [_server(call)])


def get_server(call: Call) -> Reply:
    """Answer `GET /servers/{id}/`."""
    return Reply(_first_of(call, _server(call)))


def _item(folder: bytes, name: bytes, seen: os.stat_result, kind: str) -> dict[str, Any]:
    path = b"/" + (folder + b"/" if folder else b"") + name
    return {"name": text_of(name), "path": text_of(path), "size": seen.st_size, "type": kind}


def _bucket(call: Call) -> dict[str, Any]:
    return {
        "id": 1,
        "name": "nearline",
        "label": "Nearline",
        "storage_type": "FS",
        "migration_target_folder": str(call.hub.config.target),
        "external_targets": [1],
        "advanced_settings": {},
        "soft_deleting": False,
    }


def _target(call: Call) -> dict[str, Any]:
    mountpoint = call.hub.config.mountpoint
    return {
        "id": 1,
        "name": "nearline",
        "endpoint_name": "nearline",
        "enabled": True,
        "is_ready": True,
        "backup_only": False,
        "delete_on_recall": False,
        "available_on_sites": [1],
        "bucket": _bucket(call),
        "bucket_instance": 1,
        "local_file_regex": f"{mountpoint}/.*",
        "space": {"name": mountpoint.strip("/"), "mountpoint": mountpoint, "sites": [1]},
        "advanced_settings": {},
    }


def _user(call: Call) -> dict[str, Any]:
    return {
        "id": 1,
        "url": call.url("/users/admin/"),
        "username": "admin",
        "first_name": "",
        "last_name": "",
        "email": "",
        "is_active": True,
        "groups": [],
        "nas_user": None,
        "profile": {"timezone": "UTC", "home_site": 1, "default_site": 1},
    }


def _status_type(call: Call, key: str) -> dict[str, Any]:
    word = call.hub.dialect.residence[key]
    url = call.url(f"/filestatustypes/{word}/")
    return {
        "key": word,
        "label": word.capitalize(),
        "background_color": _COLOURS[key],
        "text_color": "#fff",
        "url": url,
    }


def _server(call: Call) -> dict[str, Any]:
    return {"name": call.hub.node, "site": 1, "list_of_interfaces": ["lo"]}


def _first_of(call: Call, only: dict[str, Any]) -> dict[str, Any]:
    if call.id != 1:
        raise Problem(404, "Not found.")
    return only
