"""Files and folders: `/file/`, `/spaces/{id}/files/`, and the submission of a workflow."""

from typing import Any

from orchestrator.localhub.call import Call, Problem, Reply, envelope, raw_path
from orchestrator.localhub.jobs import NewJob
from orchestrator.localhub.names import text_of
from orchestrator.localhub.namespace import Entry, NotThere, group_name, owner_name


def get_file(call: Call) -> Reply:
    """Answer `GET /file/`."""
    text = call.text("path")
    if text is None:
        raise Problem(400, "path: this parameter is required")
    check_site(call)
    path = raw_path(text)
    if not call.hub.dialect.file_as_list:
        return Reply(listing(call, path))
    entry = _entry(call, path)
    if entry.type != "directory":
        return Reply(envelope(call, call.page(), 1, [file_shape(call, entry)]))
    names = call.hub.namespace.names(path, call.text("type"))
    page = call.page()
    shown: list[Any] = page.cut(names)
    details = call.truth("details")
    shown = (
        [file_shape(call, e) for e in call.hub.namespace.children(path, shown)]
        if details
        else [text_of(n) for n in shown]
    )
    return Reply(envelope(call, page, len(names), shown))


def get_space_files(call: Call) -> Reply:
    """Answer `GET /spaces/{id}/files/`."""
    space = call.hub.spaces.get(call.id)
    if space is None:
        raise Problem(404, "Not found.")
    check_site(call)
    top = call.hub.spaces.mountpoint(space)
    path = raw_path(call.text("path") or text_of(top))
    if not inside(path, top):
        raise Problem(400, f"path: not inside the space at {text_of(top)}")
    return Reply(listing(call, path))


def listing(call: Call, path: bytes) -> dict[str, Any]:
    """Give one object with a page of its children."""
    entry = _entry(call, path)
    shape = file_shape(call, entry)
    if entry.type != "directory":
        return shape
    names, page = call.hub.namespace.names(path, call.text("type")), call.page()
    details, cut = call.truth("details"), page.cut(names)
    children = (
        [file_shape(call, e) for e in call.hub.namespace.children(path, cut)] if details else [text_of(n) for n in cut]
    )
    paging = envelope(call, page, len(names), children)
    shape |= {"total_files": len(names), "children": paging.pop("results")}
    return shape | paging


def file_shape(call: Call, entry: Entry) -> dict[str, Any]:
    """Write one file or folder."""
    seen, dialect = entry.seen, call.hub.dialect
    residence = entry.residence
    owner, group = owner_name(seen.st_uid), group_name(seen.st_gid)
    shape = {
        "path": text_of(entry.path),
        "name": text_of(entry.name),
        "type": entry.type,
        "size": dialect.number(seen.st_size),
        "data_size": dialect.number(seen.st_size),
        "disk_usage": dialect.number(seen.st_blocks * 512),
        "atime": dialect.file_time(seen.st_atime_ns // 1000),
        "mtime": dialect.file_time(seen.st_mtime_ns // 1000),
        "ctime": dialect.file_time(seen.st_ctime_ns // 1000),
        "site": call.hub.config.site,
        "owner": owner,
        "group": group,
        "deleted": False,
    }
    if residence is not None:
        shape["status"] = dialect.residence[residence]
        if entry.copy is not None and residence != "resident":
            shape["remote_locations"] = {"nearline": text_of(entry.copy.object)}
    return shape


def submit(call: Call) -> Reply:
    """Answer `POST /file/workflow/`."""
    hub = call.hub
    site, workflow = call.member("site", str, required=True), call.member("workflow", str, required=True)
    if site != hub.config.site:
        raise Problem(400, f"site: there is no site {site!r}")
    known = hub.workflows.named(workflow)
    if known is None:
        raise Problem(400, f"workflow: there is no workflow {workflow!r}")
    if not known["enabled"]:
        raise Problem(400, f"workflow: {workflow} is not enabled")
    if known["schedule_only"]:
        raise Problem(400, f"workflow: {workflow} may only run in a schedule")
    discovery = call.member("discovery", str)
    if discovery not in (None, "recursive"):
        raise Problem(400, f"discovery: {discovery!r} is not available on this Hub")
    queue = call.member("queue", str) or known["preferred_queue"] or "default"
    if queue not in hub.queues:
        raise Problem(400, f"queue: there is no queue {queue!r}")
    paths = _paths(call)
    job = call.member("job", int)
    if job is not None:
        if not hub.jobs.extend(job, paths):
            raise Problem(400, f"job: there is no job {job}")
    else:
        identity = call.identity
        job = hub.jobs.make(
            NewJob(
                workflow=workflow,
                site=site,
                queue=queue,
                paths=paths,
                discovery=discovery,
                fields=call.member("fields", dict, default={}),
                include=call.member("include", list, default=[]),
                exclude=call.member("exclude", list, default=[]),
                owner=identity.username if identity else None,
                clientkey=identity.clientkey if identity else None,
                stuck=hub.faults.sticks(workflow),
            )
        )
    hub.take_up(job)
    answer = hub.dialect.submitted(job, call.url(f"/jobs/{job}/"))
    echo = {
        key: call.document()[key]
        for key in ("site", "workflow", "queue", "discovery", "fields")
        if key in call.document()
    }
    return Reply(echo | answer, hub.dialect.submitted_status)


def inside(path: bytes, top: bytes) -> bool:
    """Say whether a path is a folder or lies below it."""
    return path.rstrip(b"/") == top or path.startswith(top + b"/")


def check_site(call: Call) -> None:
    """Raise Problem when the request names another site."""
    site = call.text("site")
    if site is not None and site not in (call.hub.config.site, "1"):
        raise Problem(404, f"site: there is no site {site!r}")


def _paths(call: Call) -> list[bytes]:
    found = []
    for number, entry in enumerate(call.member("paths", list, default=[])):
        text = entry.get("path") if isinstance(entry, dict) else None
        if not isinstance(text, str) or not text:
            raise Problem(400, f"paths: entry {number} is not an object with a path")
        found.append(raw_path(text, f"paths: entry {number}"))
    if not found:
        raise Problem(400, "paths: at least one path is needed")
    return found


def _entry(call: Call, path: bytes) -> Entry:
    try:
        return call.hub.namespace.entry(path)
    except NotThere as error:
        raise Problem(404, "no such file or folder") from error
