"""One listing of a namespace on its way: which directories wait, what was found, and the checkpoints between."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from activities.columns import to_table, write_parquet
from activities.errors import AuthError, BadAnswer, HubError, Permanent, ServerFault
from activities.hub import files
from activities.hub.client import Hub
from activities.hub.namespace import FileRecord
from activities.lists import listed_in
from activities.sources import found_below, is_inside, with_types
from activities.storage import Storage
from workflows.names import printable, shown
from workflows.payload import Payload

PART_ROWS = 122_880
"""Rows of a part, which is one row group."""

HELD_ROWS = 40_000
"""How many rows of a directory that is not whole yet are held in memory before they are written aside."""

CHECKPOINT_EVERY = 30.0
"""Seconds after which finished directories are made durable even if they do not fill a part."""

RECORDS = 2_000
"""So many records are held as such before they become columns, which take a fifth of the memory."""

LISTED_AT_ONCE = 8
EXAMPLES = 5
FAULTS = 3
"""How often a directory is tried that makes the Hub fail, before it counts as a problem."""

FAULTS_IN_A_ROW = 24
"""After so many failures without a success the Hub itself is ill, not a directory."""


class Checkpoint(Payload):
    """Where a listing stands: finished parts, and what to list (exact paths) that is in none of them."""

    frontier: tuple[str, ...]
    parts: tuple[str, ...] = ()
    next_part: int = 0
    files: int = 0
    bytes: int = 0
    directories: int = 0
    problems: int = 0
    examples: tuple[str, ...] = ()
    started_us: int


class Progress(Payload):
    """How far a listing is: what a heartbeat carries; parts and frontier are in the checkpoint that it names."""

    checkpoint: str
    parts: int
    files: int
    directories: int
    waiting: int
    problems: int


@dataclass
class Where:
    """What kind of place is listed: folders that are browsed (of a space), a search below folders, or a list."""

    site: str
    space: int | None = None
    search: bool = False
    manifest: bool = False
    format: str | None = None


@dataclass(slots=True)
class _Unit:
    """What was found in one directory, or in one search or list, until all of it is known."""

    files: "_Rows" = field(default_factory=lambda: _Rows())
    directories: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    count: int = 0
    bytes: int = 0


@dataclass(slots=True)
class _Rows:
    """Files that were found and are in no part yet."""

    records: list[FileRecord] = field(default_factory=list)
    tables: list[pa.Table] = field(default_factory=list)
    count: int = 0

    def add(self, records: Sequence[FileRecord]) -> None:
        self.records += records
        self.count += len(records)
        if len(self.records) >= RECORDS:
            self.tables.append(to_table(self.records))
            self.records = []

    def take_over(self, others: "_Rows") -> None:
        self.tables += others.tables
        self.count += others.count - len(others.records)
        self.add(others.records)

    def table(self) -> pa.Table:
        return pa.concat_tables([*self.tables, to_table(self.records)]).combine_chunks()


class Listing:
    """Lists from a checkpoint to the end; every directory enters the durable parts whole or not at all."""

    def __init__(self, hub: Hub, storage: Storage, folder: str, where: Where, start: Checkpoint) -> None:
        self._hub = hub
        self._storage = storage
        self._folder = folder
        self._where = where
        self._waiting = list(start.frontier)
        self._roots = set(start.frontier) if not start.directories else set()
        self._active: dict[str, None] = {}
        self._faults: dict[str, int] = {}
        self._faults_in_a_row = 0
        self._lost: list[HubError] = []
        self._rows = _Rows()
        self._parts = list(start.parts)
        self._next_part = start.next_part
        self._files = start.files
        self._bytes = start.bytes
        self._directories = start.directories
        self._problems = start.problems
        self._examples = list(start.examples)
        self._started_us = start.started_us
        self._stored_at = time.monotonic()
        self._turn = asyncio.Condition()
        self._storing = asyncio.Lock()

    def progress(self) -> Progress:
        """Say how far it is."""
        return Progress(
            checkpoint=f"{self._folder}/checkpoint.json",
            parts=len(self._parts),
            files=self._files,
            directories=self._directories,
            waiting=len(self._waiting) + len(self._active),
            problems=self._problems,
        )

    async def run(self) -> Checkpoint:
        """List everything that waits, several directories at a time, and give the last checkpoint."""
        workers = [asyncio.create_task(self._work()) for _ in range(LISTED_AT_ONCE)]
        try:
            await asyncio.gather(*workers)
        except HubError:
            await _ended(workers)
            await self._store()
            raise
        finally:
            await _ended(workers)
        if self._roots and len(self._lost) >= len(self._roots):
            raise self._lost[-1]
        return await self._store()

    async def _work(self) -> None:
        while True:
            async with self._turn:
                await self._turn.wait_for(lambda: self._waiting or not self._active)
                if not self._waiting:
                    return
                unit = self._waiting.pop()
                self._active[unit] = None
            await self._list(unit)
            async with self._turn:
                self._turn.notify_all()
            if self._rows.count >= PART_ROWS or time.monotonic() - self._stored_at > CHECKPOINT_EVERY:
                await self._store(only_when_due=True)

    async def _list(self, unit: str) -> None:
        found = _Unit()
        try:
            await self._read(unit, found)
            self._faults_in_a_row = 0
        except AuthError:
            raise
        except (ServerFault, BadAnswer) as error:
            self._faults_in_a_row += 1
            if self._faults_in_a_row > FAULTS_IN_A_ROW:
                raise
            if self._postponed(unit):
                return
            self._lose(unit, error)
        except Permanent as error:
            self._lose(unit, error)
        self._commit(unit, found)

    async def _read(self, unit: str, found: _Unit) -> None:
        before: set[str] = set()
        async for page in self._pages(unit):
            records = page
            if not self._where.manifest:
                records = await with_types(self._hub, self._where.site, self._where.space, page, self._problem)
            paths = {record.path for record in records}
            if not before.isdisjoint(paths):  # something was created meanwhile, and the pages moved on by it
                records = [record for record in records if record.path not in before]
            before = paths
            self._sort(unit, records, found)
            if found.files.count >= HELD_ROWS:
                await self._spill(found)

    def _pages(self, unit: str) -> AsyncIterator[list[FileRecord]]:
        where = self._where
        if where.manifest:
            return listed_in(unit, where.format)
        if where.search:
            return found_below(self._hub, where.site, unit, self._problem)
        return files.listing(self._hub, unit, site=where.site, space=where.space, problem=self._problem)

    def _sort(self, unit: str, records: list[FileRecord], found: _Unit) -> None:
        if self._where.manifest:
            kept = [record for record in records if record.type in (None, "file")]
        else:
            kept = [record for record in records if record.type == "file"]
        found.files.add(kept)
        found.count += len(kept)
        found.bytes += sum([record.size or 0 for record in kept])
        if len(kept) == len(records) or self._where.search:
            return
        for record in records:
            if record.type != "directory":
                continue
            if self._where.manifest:
                self._problem(f"{shown(record.path)}: is a directory, the list is one of files")
            elif is_inside(record.path, unit) and len(record.path) > len(unit):
                found.directories.append(record.path)
            elif record.path.rstrip("/") != unit.rstrip("/"):
                self._problem(f"{shown(record.path)}: is listed in {shown(unit)} but lies elsewhere")

    def _commit(self, unit: str, found: _Unit) -> None:
        """Take over a whole directory at once; nothing may await in here."""
        del self._active[unit]
        self._waiting += found.directories
        self._rows.take_over(found.files)
        self._parts += found.parts
        self._files += found.count
        self._bytes += found.bytes
        self._directories += 1

    def _postponed(self, unit: str) -> bool:
        self._faults[unit] = self._faults.get(unit, 0) + 1
        if self._faults[unit] >= FAULTS:
            return False
        del self._active[unit]
        self._waiting.insert(0, unit)
        return True

    def _lose(self, unit: str, error: HubError) -> None:
        self._problem(f"{shown(unit)}: {error}")
        if unit in self._roots:
            self._lost.append(error)

    def _problem(self, text: str) -> None:
        self._problems += 1
        if len(self._examples) < EXAMPLES:
            self._examples.append(printable(text)[:500])

    async def _spill(self, found: _Unit) -> None:
        """Write what one very large directory has so far; it counts once the directory is whole."""
        rows, found.files = found.files, _Rows()
        found.parts.append(await asyncio.to_thread(self._write, self._new_part(), rows))

    async def _store(self, *, only_when_due: bool = False) -> Checkpoint:
        """Write the found files as a part, then the checkpoint that names it."""
        async with self._storing:
            age = time.monotonic() - self._stored_at
            if only_when_due and self._rows.count < PART_ROWS and age <= CHECKPOINT_EVERY:
                return self._checkpoint()
            rows, self._rows = self._rows, _Rows()
            if rows.count:
                self._parts.append(self._new_part())
            checkpoint = self._checkpoint()
            await asyncio.to_thread(self._write_all, rows, checkpoint)
            self._stored_at = time.monotonic()
            return checkpoint

    def _write_all(self, rows: _Rows, checkpoint: Checkpoint) -> None:
        if rows.count:
            self._write(checkpoint.parts[-1], rows)
        self._storage.put(f"{self._folder}/checkpoint.json", to_json(checkpoint))

    def _write(self, part: str, rows: _Rows) -> str:
        content = io.BytesIO()
        write_parquet(rows.table(), content)
        self._storage.put(f"{self._folder}/{part}", content.getvalue())
        return part

    def _new_part(self) -> str:
        self._next_part += 1
        return f"part-{self._next_part - 1:05d}.parquet"

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(
            frontier=(*self._waiting, *self._active),
            parts=tuple(self._parts),
            next_part=self._next_part,
            files=self._files,
            bytes=self._bytes,
            directories=self._directories,
            problems=self._problems,
            examples=tuple(self._examples),
            started_us=self._started_us,
        )


def to_json(checkpoint: Checkpoint) -> bytes:
    """Write a checkpoint; exact paths go as ASCII escapes, since they need not be UTF-8."""
    return json.dumps(checkpoint.model_dump()).encode()


def from_json(content: bytes) -> Checkpoint:
    """Read a checkpoint back."""
    return Checkpoint.model_construct(**json.loads(content))


async def _ended(workers: Sequence[asyncio.Task[None]]) -> None:
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
