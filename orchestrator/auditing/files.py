"""What happened to a file, over all runs: planned by which rule, sent in which jobs, how it ended, set aside, released.

The audit names the runs and their decisions, the storage the files: the tables of outcomes have a Bloom filter of
their paths, so that thousands of runs without the file are passed over without being read. Of a run without such a
table, because it is open or nothing of it began, the plan itself is read.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
from temporalio.exceptions import ApplicationError

from activities.bulk import Bulk, reading
from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from activities.ledger.records import Stored
from activities.manifests import read_head
from activities.quarantine import Failing, Quarantine, digest_of
from activities.settled import read_settled, read_skips
from activities.storage import Missing, Storage, open_storage
from orchestrator.settings import Settings
from workflows.names import to_text

MOST_RUNS = 100
"""Of more runs that had the file the newest so many are told in full."""

_PAGE = 5000
_FILES_AT_ONCE = 250
_READERS = 8
_WORDS = (Event.APPROVAL_WANTED, Event.PLAN_APPROVED, Event.PLAN_REJECTED, Event.APPROVAL_EXPIRED, Event.RUN_REFUSED)
_SENT = (Event.JOB_SUBMITTED, Event.JOB_ADOPTED)


@dataclass
class Try:
    """The file in one round of a run: the job it was sent with, if it was, and how the round ended for it."""

    round: int
    batch: int
    job: int | None = None
    sent: str | None = None
    adopted: bool = False
    ended: str | None = None
    state: str | None = None
    outcome: str | None = None
    reason: str | None = None
    message: str = ""


@dataclass
class InRun:
    """The file in one run; `outcome` is None while the run is open and when nothing of it began."""

    run: str
    site: str | None
    policy: str
    version: int | None
    started: str
    started_by: str
    why: str
    planned: str
    plan: str
    rule: str
    ordinal: int
    size: int | None
    outcome: str | None = None
    reason: str | None = None
    message: str = ""
    words: list[Stored] = field(default_factory=list)
    tries: list[Try] = field(default_factory=list)
    ended: str | None = None
    state: str | None = None


@dataclass
class Release:
    """A release from the quarantine at the file's site; `certain` when it names the file, or was of it alone."""

    record: Stored
    certain: bool


@dataclass
class FileHistory:
    """All that is known of a file, its runs in the order of their plans; `unread` are runs whose files are gone."""

    path: str
    site: str | None
    runs: list[InRun]
    runs_in_all: int
    looked_at: int
    unread: list[str]
    failing: list[Failing]
    releases: list[Release]


class _Planned(NamedTuple):
    """A run that made a plan: the records of its start and of its plan."""

    started: Stored
    made: Stored


class _Row(NamedTuple):
    ordinal: int
    rule: str
    size: int | None
    outcome: str | None = None
    reason: str | None = None
    message: str | None = None


def history_of(
    settings: Settings,
    path: str,
    site: str | None = None,
    *,
    most: int = MOST_RUNS,
    tell: Callable[[int, int], None] = lambda looked_at, of: None,
) -> FileHistory:
    """Look for a file, by its exact path as the Hub has it, in every run; `tell` hears at which run the look is.

    May raise AuditUnavailable.
    """
    log = AuditLog(settings.audit.get_secret_value())
    quarantine = Quarantine(settings.quarantine.get_secret_value())
    try:
        history = _Look(log, open_storage(settings.storage), settings, to_text(path)).look(site, most, tell)
        history.failing = quarantine.find(path, site)
        return history
    finally:
        quarantine.close()
        log.close()


class _Look:
    """One look for one file."""

    def __init__(self, log: AuditLog, storage: Storage, settings: Settings, path: str) -> None:
        self._log = log
        self._storage = storage
        self._bulk = Bulk(int(settings.selection_memory), settings.spill_dir)
        self._path = path
        self._unread: list[str] = []

    def look(self, site: str | None, most: int, tell: Callable[[int, int], None]) -> FileHistory:
        runs = [one for one in self._planned() if site is None or one.started.body.get("site") == site]
        with self._bulk.folder() as folder, self._bulk.database(folder) as database:
            found = sorted(self._found(database, runs, tell), key=lambda one: one[0].made.seq)
            told = [self._told(database, folder, planned, row) for planned, row in found[-most:]]
        return FileHistory(
            path=self._path,
            site=site,
            runs=told,
            runs_in_all=len(found),
            looked_at=len(runs),
            unread=self._unread,
            failing=[],
            releases=self._releases(told),
        )

    def _planned(self) -> list[_Planned]:
        started = {record.run: record for record in self._records(None, Event.RUN_STARTED)}
        made = {record.run: record for record in self._records(None, Event.PLAN_MADE)}  # the last one is what ran
        # A record that was forged, and does not say what is asked for, is for `verify` to tell of.
        return [
            _Planned(started[run], record)
            for run, record in made.items()
            if run in started and {"manifest", "digest"} <= record.body.keys()
        ]

    def _records(self, run: str | None, *events: Event) -> Iterator[Stored]:
        for event in events:
            after = 0
            while records := self._log.records(run=run, event=event, after=after, limit=_PAGE):
                yield from records
                after = records[-1].seq

    # Where the file is.

    def _found(
        self,
        database: duckdb.DuckDBPyConnection,
        runs: Sequence[_Planned],
        tell: Callable[[int, int], None],
    ) -> Iterator[tuple[_Planned, _Row]]:
        for start in range(0, len(runs), _FILES_AT_ONCE):
            tell(start, len(runs))
            with self._bulk.folder() as folder:
                yield from self._in_some(database, folder, runs[start : start + _FILES_AT_ONCE])
        tell(len(runs), len(runs))

    def _in_some(
        self, database: duckdb.DuckDBPyConnection, folder: Path, runs: Sequence[_Planned]
    ) -> Iterator[tuple[_Planned, _Row]]:
        tables = self._fetched([f"runs/{one.made.run}/outcomes.parquet" for one in runs], folder)
        ended = {path: one for one, path in zip(runs, tables, strict=True) if path is not None}
        columns = "ordinal, rule, size, outcome, reason, message"
        for file, row in self._rows(database, list(ended), columns):
            yield ended[Path(file)], _Row(*row)
        left = [one for one, path in zip(runs, tables, strict=True) if path is None]
        yield from self._in_plans(database, folder, left)

    def _in_plans(
        self, database: duckdb.DuckDBPyConnection, folder: Path, runs: Sequence[_Planned]
    ) -> Iterator[tuple[_Planned, _Row]]:
        """Look into the plans of runs that have no table of outcomes; equal plans are one manifest."""
        of_manifest: dict[str, list[_Planned]] = {}
        for one in runs:
            of_manifest.setdefault(str(one.made.body["manifest"]), []).append(one)
        for manifest, planned in of_manifest.items():
            for _, row in self._rows(database, self._parts(manifest, folder, planned), "ordinal, rule, size"):
                for one in planned:
                    yield one, _Row(*row)

    def _parts(self, manifest: str, folder: Path, planned: Sequence[_Planned] = ()) -> list[Path]:
        try:
            names = [f"{manifest}/{part.name}" for part in read_head(self._storage, manifest).parts]
        except (ApplicationError, ValueError):
            names = [manifest]
        parts = self._fetched(names, folder)
        if None in parts:
            self._unread += [str(one.made.run) for one in planned]
        return [part for part in parts if part is not None]

    def _fetched(self, names: Sequence[str], folder: Path) -> list[Path | None]:
        def fetch(name: str) -> Path | None:
            try:
                local = self._storage.local_path(name)
                if local is not None:
                    return local if local.is_file() else None
                return self._storage.fetch(name, folder)
            except (Missing, ValueError):  # a forged record may name what is no name
                return None

        with ThreadPoolExecutor(_READERS, thread_name_prefix="files") as readers:
            return list(readers.map(fetch, names))

    def _rows(
        self, database: duckdb.DuckDBPyConnection, files: Sequence[Path], columns: str
    ) -> list[tuple[str, tuple[Any, ...]]]:
        """Read the file's rows; where a table cannot be read, the others are still looked at."""
        if not files:
            return []
        source = reading(files).replace("])", "], filename = true)")
        try:
            rows = database.execute(f"SELECT filename, {columns} FROM {source} WHERE path = ?", [self._path]).fetchall()
        except duckdb.Error:
            if len(files) == 1:
                self._unread.append(files[0].parent.name)
                return []
            return [row for file in files for row in self._rows(database, [file], columns)]
        return [(file, tuple(rest)) for file, *rest in rows]

    # What was done with it.

    def _told(self, database: duckdb.DuckDBPyConnection, folder: Path, planned: _Planned, row: _Row) -> InRun:
        started, made, run = planned.started, planned.made, str(planned.made.run)
        end = next(self._records(run, Event.RUN_ENDED), None)
        return InRun(
            run=run,
            site=started.body.get("site"),
            policy=str(started.body.get("policy")),
            version=started.body.get("version"),
            started=started.at,
            started_by=started.actor,
            why=str(started.body.get("reason") or ""),
            planned=made.at,
            plan=str(made.body["digest"]),
            rule=row.rule,
            ordinal=row.ordinal,
            size=row.size,
            outcome=row.outcome,
            reason=row.reason,
            message=row.message or "",
            words=sorted(self._records(run, *_WORDS), key=lambda one: one.seq),
            tries=list(self._tries(database, folder, run, row.ordinal)),
            ended=None if end is None else end.at,
            state=None if end is None else str(end.body.get("state")),
        )

    def _tries(self, database: duckdb.DuckDBPyConnection, folder: Path, run: str, ordinal: int) -> Iterator[Try]:
        places: dict[tuple[Any, Any], Try] = {}
        for record in self._records(run, Event.ROUND_STARTED):
            parts = self._parts(str(record.body.get("manifest")), folder)
            query = f"SELECT batch FROM {reading(parts)} WHERE ordinal = ?" if parts else None
            number = record.body.get("number", 0)
            for (batch,) in database.execute(query, [ordinal]).fetchall() if query else ():
                places[number, batch] = self._ended(run, number, batch, ordinal)
        for record in self._records(run, *_SENT, Event.JOB_ENDED):
            one = places.get((record.body.get("round"), record.body.get("batch")))
            # What the look before the submit left out was not in its job.
            if one is None or one.outcome == "skipped":
                continue
            one.job = record.body.get("job")
            if record.event in _SENT:
                one.sent, one.adopted = record.at, record.event == Event.JOB_ADOPTED
            else:
                one.ended, one.state = record.at, str(record.body.get("state"))
        yield from places.values()

    def _ended(self, run: str, number: int, batch: int, ordinal: int) -> Try:
        found = Try(round=number, batch=batch)
        settled = read_settled(self._storage, run, number, batch)
        listed = settled.files if settled is not None else read_skips(self._storage, run, number, batch) or ()
        own = next((one for one in listed if one.ordinal == ordinal), None)
        if own is not None:
            found.outcome, found.reason, found.message = own.outcome, own.reason, own.message
        elif settled is not None and settled.rest is not None:
            found.outcome, found.reason, found.message = (
                settled.rest.outcome,
                settled.rest.reason,
                settled.rest.message,
            )
        elif settled is not None:
            found.outcome = "done"
        return found

    def _releases(self, runs: Sequence[InRun]) -> list[Release]:
        """Give the releases that may have been this file's: those at a site after a run there had set it aside."""
        aside: dict[str | None, str] = {}
        for one in runs:
            if one.outcome == "quarantined":
                aside.setdefault(one.site, one.ended or one.planned)
        if not aside:
            return []
        alone = digest_of([self._path])
        return [
            Release(record, record.body.get("digest") == alone or self._path in record.body.get("paths", ()))
            for record in self._records(None, Event.QUARANTINE_RELEASED)
            if record.body.get("site") in aside and record.at > aside[record.body.get("site")]
            if self._path in record.body.get("paths", (self._path,))
        ]
