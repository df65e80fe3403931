"""Search."""

from typing import Any

from orchestrator.localhub.api.files import inside
from orchestrator.localhub.call import Call, Problem, Reply, envelope, paged, raw_path
from orchestrator.localhub.names import text_of
from orchestrator.localhub.searches import FIELDS, TIMES, BadFilter, Seen

_PATIENCE = 20.0


def start_search(call: Call) -> Reply:
    """Answer `POST /search/`."""
    hub, path = call.hub, raw_path(call.member("path", str, required=True))
    if not inside(path, hub.mount.point):
        raise Problem(400, f"path: not below {hub.config.mountpoint}")
    sites = call.member("sites", list, default=[])
    if sites and hub.config.site not in sites:
        raise Problem(400, f"sites: this Hub has only {hub.config.site}")
    most = int(hub.configurations()["search_max_results"])
    filters = call.member("filters", dict, default={})
    try:
        number = hub.searches.start(path, call.member("recursive", bool, default=False), filters, most)
    except BadFilter as error:
        raise Problem(400, str(error)) from error
    answer: dict[str, Any] = {"id": number} if hub.dialect.search_id else {}
    return Reply(call.document() | answer | {"url": call.url(f"/search/{number}/")}, 201)


def read_search(call: Call) -> Reply:
    """Answer `GET /search/{id}/`; a search that still runs is waited for."""
    hub = call.hub
    if not hub.searches.known(call.id):
        raise Problem(404, "Not found.")
    if not hub.searches.ready(call.id, _PATIENCE):
        return Reply({"detail": "the search still runs"}, 503, {"retry-after": "1"})
    page = call.page()
    limit = -1 if page.size is None else page.size
    count, found = hub.searches.page(call.id, call.text("sort") or "", limit, page.offset)
    return Reply(envelope(call, page, count, [_shape(call, path, seen) for path, seen in found]))


def delete_search(call: Call) -> Reply:
    """Answer `DELETE /search/{id}/`."""
    if not call.hub.searches.delete(call.id):
        raise Problem(404, "Not found.")
    return Reply(status=204)


def metadata_fields(call: Call) -> Reply:
    """Answer `GET /search/metadata_fields/`."""
    url = call.url("/search/metadata_fields/")
    return paged(call, [{"id": number, "name": name, "url": url} for number, name in enumerate(FIELDS, start=1)])


def _shape(call: Call, path: bytes, seen: Seen) -> dict[str, Any]:
    dialect = call.hub.dialect
    metadata = {key: dialect.file_time(value) if key in TIMES else value for key, value in seen.items()}
    if "ngenea.status" in metadata:
        metadata["ngenea.status"] = dialect.residence[metadata["ngenea.status"]]
    return {
        "path": text_of(path),
        "name": seen["core.filename"],
        "site": call.hub.config.site,
        "href": call.url("/file/"),
        "metadata": dialect.metadata(metadata),
        "proxies": {},
    }
