"""Lists the namespace into an inventory: Parquet parts in `inventories/<name>/`, streamed, resumed after a crash.

`checkpoint.json` names the finished parts and every directory that is in none of them yet, so an attempt after a crash
lists exactly these and no file comes twice. `inventory.json` is written last. A directory that cannot be read is a
counted problem, and the inventory says that it is not complete.
"""

import io
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import gettempdir

import pyarrow as pa
from temporalio import activity

from activities.apart import Apart
from activities.bulk import Bulk, reading
from activities.columns import SCHEMA, to_table, write_parquet
from activities.errors import HubError, as_application_error
from activities.heartbeat import beating
from activities.hub.client import Hub
from activities.hub.namespace import FileRecord
from activities.listing import PART_ROWS, Checkpoint, Listing, Progress, Where, from_json
from activities.sources import roots, space_named
from activities.storage import Missing, Storage
from workflows.names import to_path
from workflows.payload import Payload
from workflows.policy import Source

_ROWS = 122_880


class InventoryRequest(Payload):
    """What to list, and the name under which it is kept."""

    name: str
    site: str
    source: Source
    paths: tuple[str, ...] = ()


class InventoryRef(Payload):
    """An inventory in the storage, by its name; `bytes` adds up the sizes that are known."""

    name: str
    files: int
    bytes: int
    directories: int = 0
    taken_us: int
    complete: bool = True
    problems: int = 0
    examples: tuple[str, ...] = ()

    @property
    def taken_at(self) -> datetime:
        """When the listing began."""
        return datetime.fromtimestamp(self.taken_us / 1_000_000, UTC)


class Finished(Payload):
    """What `inventory.json` holds: the inventory and the names of its parts."""

    inventory: InventoryRef
    parts: tuple[str, ...]


class Inventories:
    """The activity that lists the namespace; memory limit (bytes) and scratch folder are for lists of paths."""

    def __init__(
        self,
        hub: Hub,
        storage: Storage,
        *,
        memory_limit: int = 1 << 30,
        temp_dir: Path | None = None,
        apart: Apart | None = None,
    ) -> None:
        self._apart = apart
        self._hub = hub
        self._storage = storage
        self._memory_limit = memory_limit
        self._temp_dir = temp_dir or Path(gettempdir())

    @activity.defn
    async def take_inventory(self, request: InventoryRequest) -> InventoryRef:
        """List what the request names, going on where an earlier attempt was."""
        bulk = Bulk(self._memory_limit, self._temp_dir)
        latest: list[Callable[[], Progress]] = []
        async with beating(lambda: latest[-1]().model_dump() if latest else None):
            try:
                return await take_inventory(
                    self._hub, self._storage, bulk, request, watch=latest.append, apart=self._apart
                )
            except HubError as error:
                raise as_application_error(error) from error


async def take_inventory(
    hub: Hub,
    storage: Storage,
    bulk: Bulk,
    request: InventoryRequest,
    *,
    watch: Callable[[Callable[[], Progress]], None] = lambda progress: None,
    apart: Apart | None = None,
) -> InventoryRef:
    """List what the request names; `watch` is given a function that tells how far it is.

    An inventory that is there already under this name is given back as it is; one that was begun is gone on with.
    """
    folder = f"inventories/{request.name}"
    try:
        return Finished.model_validate_json(storage.get(f"{folder}/inventory.json")).inventory
    except Missing:
        where, start = await _beginning(hub, storage, folder, request)
    if request.source.discovery is not None:
        last = _of_roots(storage, folder, start)
    else:
        listing = Listing(hub, storage, folder, where, start)
        watch(listing.progress)
        last = await listing.run()
    if where.manifest or where.search:
        work = partial(_distinct, storage, folder=folder, last=last)
        last = await (apart or Apart()).do(bulk, work, last.files)
    return _finish(storage, folder, request.name, last)


def read_inventory(storage: Storage, name: str) -> Finished:
    """Read what is known of a finished inventory; raise `Missing` when there is none."""
    return Finished.model_validate_json(storage.get(f"inventories/{name}/inventory.json"))


def inventory_parts(storage: Storage, name: str, folder: Path) -> list[Path]:
    """Give the parts of a finished inventory as local files; copies go into the folder."""
    return [storage.fetch(f"inventories/{name}/{part}", folder) for part in read_inventory(storage, name).parts]


def write_inventory(storage: Storage, name: str, table: pa.Table, taken_us: int) -> InventoryRef:
    """Keep a table of the inventory's columns as an inventory."""
    parts: list[str] = []
    for start in range(0, table.num_rows, PART_ROWS):
        parts.append(_put(storage, f"inventories/{name}", f"part-{len(parts):05d}", table.slice(start, PART_ROWS)))
    size = sum(table["size"].drop_null().to_pylist())
    last = Checkpoint(frontier=(), parts=tuple(parts), files=table.num_rows, bytes=size, started_us=taken_us)
    return _finish(storage, f"inventories/{name}", name, last)


async def _beginning(hub: Hub, storage: Storage, folder: str, request: InventoryRequest) -> tuple[Where, Checkpoint]:
    source = request.source
    where = Where(
        request.site, search=source.via == "search", manifest=source.manifest is not None, format=source.format
    )
    paths = [to_path(path) for path in request.paths or ((source.path,) if source.path else ())]
    if source.manifest is not None:
        paths = [source.manifest]
    if source.space is not None:
        space = await space_named(hub, source.space)
        where.space = space.id
        paths = paths or [space.mountpoint]
    try:
        return where, from_json(storage.get(f"{folder}/checkpoint.json"))
    except Missing:
        frontier = tuple(paths if where.manifest else roots(paths))
        return where, Checkpoint(frontier=frontier, started_us=time.time_ns() // 1000)


def _of_roots(storage: Storage, folder: str, start: Checkpoint) -> Checkpoint:
    """With discovery the folders themselves are what is sent."""
    rows = to_table([FileRecord(path, "directory") for path in start.frontier])
    part = _put(storage, folder, "part-00000", rows)
    return Checkpoint(frontier=(), parts=(part,), files=rows.num_rows, started_us=start.started_us)


def _distinct(storage: Storage, bulk: Bulk, folder: str, last: Checkpoint) -> Checkpoint:
    """Keep one row a path, the one that knows its size, since a list or a search may name a file twice."""
    if not last.parts:
        return last
    parts: list[str] = []
    held: list[pa.RecordBatch] = []
    files = size = 0

    def put() -> None:
        if held:
            table = pa.Table.from_batches(held).cast(SCHEMA)
            parts.append(_put(storage, folder, f"distinct-{len(parts):05d}", table))
            held.clear()

    with bulk.folder() as scratch, bulk.database(scratch) as database:
        source = reading([storage.fetch(f"{folder}/{part}", scratch) for part in last.parts])
        query = f"SELECT DISTINCT ON (path) * FROM {source} ORDER BY path, size DESC NULLS LAST"
        for batch in database.sql(query).to_arrow_reader(_ROWS):
            bulk.go_on("dropping what is listed twice")
            held.append(batch)
            files += batch.num_rows
            size += sum(batch["size"].drop_null().to_pylist())
            if sum(one.num_rows for one in held) >= PART_ROWS:
                put()
        put()
    return last.model_copy(update={"parts": tuple(parts), "files": files, "bytes": size})


def _finish(storage: Storage, folder: str, name: str, last: Checkpoint) -> InventoryRef:
    inventory = InventoryRef(
        name=name,
        files=last.files,
        bytes=last.bytes,
        directories=last.directories,
        taken_us=last.started_us,
        complete=not last.problems,
        problems=last.problems,
        examples=tuple(last.examples),
    )
    finished = Finished(inventory=inventory, parts=tuple(last.parts))
    storage.put(f"{folder}/inventory.json", finished.model_dump_json().encode())
    return inventory


def _put(storage: Storage, folder: str, stem: str, table: pa.Table) -> str:
    content = io.BytesIO()
    write_parquet(table, content)
    storage.put(f"{folder}/{stem}.parquet", content.getvalue())
    return f"{stem}.parquet"
