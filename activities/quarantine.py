"""The quarantine: which files keep failing, and which of them are left alone until when; shared by every policy.

A *try* is a round of a run in which the Hub had the file, or was asked for it just before, and that ended `failed` for
it, for whatever reason; that a whole batch was refused, or was never sent, says nothing of its files. Tries are counted
in a row over all runs whose policy has `retry.quarantine`. A run of any policy that ends `done` or finds the file
where it should be (`already_done`) sets them back to none. At `after` tries the file is set aside for `for`: plans of
all policies leave it out. When that time is over it is planned again, and its next failure sets it aside at once; one
that a person releases starts with no tries.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import ColumnElement, Connection, and_, case, delete, func, or_, select, true
from sqlalchemy.dialects import postgresql, sqlite

from activities.claims import key_of, now_us
from activities.ledger.database import Database
from activities.quarantine_tables import QUARANTINE, counted, failing
from workflows.names import to_text

LONGEST_MESSAGE = 1_000
"""Characters of a failure's message that are kept."""

MARKS_FOR = timedelta(days=400)
_CHUNK = 10_000
_KEYS_A_QUERY = 900
_SCHEMA = pa.schema([pa.field("path", pa.string(), nullable=False)])


@dataclass(frozen=True)
class Failure:
    """How one file failed in one round; `path` is its path text."""

    path: str
    reason: str
    message: str


@dataclass(frozen=True)
class Failing:
    """A file that failed: how often in a row, how and when last, in which run; set aside while `until` lies ahead."""

    site: str
    path: str
    tries: int
    reason: str
    message: str
    first: datetime
    last: datetime
    run: str
    since: datetime | None
    until: datetime | None
    set_aside: bool


@dataclass(frozen=True)
class Which:
    """Files that are set aside, by site, by reason, or by their exact paths; nothing said means all of them."""

    site: str | None = None
    reason: str | None = None
    paths: tuple[str, ...] = ()


class Quarantine:
    """The quarantine in one database; safe to use from many threads and processes at once.

    Every call may raise AuditUnavailable (try again) or WrongDatabase (fix it).
    """

    def __init__(self, url: str, *, wait: float = 30.0) -> None:
        self._database = Database(url, wait, QUARANTINE)
        self._url = url

    def __reduce__(self) -> tuple[type["Quarantine"], tuple[str]]:
        """Open the database again in another process."""
        return Quarantine, (self._url,)

    def is_there(self) -> bool:
        """Tell whether anything was kept yet; nothing is made by asking."""
        return self._database.is_there()

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def count(
        self,
        place: tuple[str, int, int],
        site: str,
        failures: Sequence[Failure],
        *,
        after: int,
        lasting: timedelta,
    ) -> dict[str, Failing]:
        """Count one try of each file of a run's batch (run, round, batch); give those that are set aside by it.

        Batches are counted in their order, each once: a further call for the same batch changes nothing and gives the
        same files.
        """
        run, round_number, batch = place
        keys = {key_of(site, one.path): one for one in failures}
        with self._database.writing() as connection:
            now = now_us(connection)
            if self._mark(connection, run, round_number, batch, now):
                rows = [
                    {
                        "key": key,
                        "site": site,
                        "path": one.path.encode(),
                        "tries": 1,
                        "reason": one.reason,
                        "message": one.message.replace("\0", "")[:LONGEST_MESSAGE],
                        "first_us": now,
                        "last_us": now,
                        "run": run,
                        "round": round_number,
                        "set_us": now if after <= 1 else None,
                        "until_us": now + _micros(lasting) if after <= 1 else None,
                    }
                    for key, one in keys.items()
                ]
                _count(connection, rows, after, now, now + _micros(lasting))
            mine = and_(failing.c.run == run, failing.c.round == round_number, failing.c.until_us > now)
            found = [row for some in _some(list(keys)) for row in connection.execute(_rows(some).where(mine))]
        return {one.path: one for one in (_failing(row, now) for row in found)}

    def succeeded(self, site: str, paths: Sequence[str], *, run: str, since_us: int) -> list[str]:
        """Forget the tries of files (path texts) that a run did, and give those of them that were set aside.

        A failure in another run after this one began (`since_us`) may be younger than the success: it stays.
        """
        before = or_(failing.c.run == run, failing.c.last_us < since_us)
        released = []
        with self._database.writing() as connection:
            now = now_us(connection)
            for some in _some([key_of(site, path) for path in paths]):
                rows = connection.execute(_rows(some).where(before)).all()
                released += [_failing(row, now).path for row in rows if row.until_us is not None and row.until_us > now]
                connection.execute(delete(failing).where(failing.c.key.in_([row.key for row in rows])))
        return released

    def has_any(self, site: str) -> bool:
        """Tell whether anything of the site failed that has not succeeded since."""
        if not self.is_there():
            return False
        with self._database.reading() as connection:
            return connection.execute(select(failing.c.key).where(failing.c.site == site).limit(1)).first() is not None

    def write_paths(self, site: str, file: Path, *, every: bool = False) -> int:
        """Write the path texts of a site's files that are set aside now as Parquet, and count them.

        With `every` the files that failed less often come along. No file is made where there are none.
        """
        if not self.is_there():
            return 0
        files = 0
        writer: pq.ParquetWriter | None = None
        with self._database.reading() as connection:
            where = and_(failing.c.site == site, true() if every else failing.c.until_us > now_us(connection))
            streamed = connection.execution_options(yield_per=_CHUNK).execute(select(failing.c.path).where(where))
            try:
                for rows in streamed.partitions(_CHUNK):
                    writer = writer or pq.ParquetWriter(file, _SCHEMA, compression="lz4")
                    writer.write_table(pa.table([pa.array([row.path.decode() for row in rows])], schema=_SCHEMA))
                    files += len(rows)
            finally:
                if writer is not None:
                    writer.close()
        return files

    def find(self, path: str, site: str | None = None) -> list[Failing]:
        """Give what is known of a file, by its exact path, at one site or at each."""
        if not self.is_there():
            return []
        with self._database.reading() as connection:
            now = now_us(connection)
            if site is not None:
                rows = connection.execute(_rows([key_of(site, to_text(path))])).all()
            else:
                sites = connection.scalars(select(failing.c.site).distinct()).all()
                rows = connection.execute(_rows([key_of(one, to_text(path)) for one in sites])).all()
            return [_failing(row, now) for row in rows]

    def tally(self, which: Which = Which()) -> dict[tuple[str, str], int]:
        """Count the files that are set aside, by site and reason."""
        if not self.is_there():
            return {}
        with self._database.reading() as connection:
            query = select(failing.c.site, failing.c.reason, func.count()).where(_meant(which, now_us(connection)))
            groups = query.group_by(failing.c.site, failing.c.reason).order_by(failing.c.site, failing.c.reason)
            return {(site, reason): files for site, reason, files in connection.execute(groups)}

    def listed(self, which: Which = Which(), limit: int | None = None) -> Iterator[Failing]:
        """Give the files that are set aside, the newest first, a few in memory at a time."""
        if not self.is_there():
            return
        with self._database.reading() as connection:
            now = now_us(connection)
            query = select(failing).where(_meant(which, now)).order_by(failing.c.set_us.desc(), failing.c.path)
            streamed = connection.execution_options(yield_per=1000).execute(query.limit(limit))
            for row in streamed:
                yield _failing(row, now)

    def some(self, which: Which, count: int = _CHUNK) -> list[Failing]:
        """Give the first files of these by their keys: what a release takes next."""
        if not self.is_there():
            return []
        with self._database.reading() as connection:
            now = now_us(connection)
            query = select(failing).where(_meant(which, now)).order_by(failing.c.key).limit(count)
            return [_failing(row, now) for row in connection.execute(query)]

    def forget(self, files: Sequence[Failing]) -> int:
        """Release files and forget their tries; one that failed anew meanwhile stays. Count what was released."""
        released = 0
        with self._database.writing() as connection:
            for one in files:
                same = and_(failing.c.key == key_of(one.site, one.path), failing.c.last_us == _micros_at(one.last))
                released += connection.execute(delete(failing).where(same)).rowcount
        return released

    def _mark(self, connection: Connection, run: str, round_number: int, batch: int, now: int) -> bool:
        """Note that a batch is counted; False when it was already. Marks of runs long gone are dropped on the way."""
        row = connection.execute(select(counted).where(counted.c.run == run)).one_or_none()
        if row is not None and (row.round, row.batch) >= (round_number, batch):
            return False
        values = {"round": round_number, "batch": batch, "at_us": now}
        if row is None:
            connection.execute(delete(counted).where(counted.c.at_us < now - _micros(MARKS_FOR)))
            connection.execute(counted.insert().values(run=run, **values))
        else:
            connection.execute(counted.update().where(counted.c.run == run).values(values))
        return True


def digest_of(paths: Sequence[str]) -> str:
    """Hash a set of path texts, in whatever order they come: what an audit record says instead of naming them."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        encoded = path.encode()
        digest.update(len(encoded).to_bytes(4, "little") + encoded)
    return digest.hexdigest()


def _count(connection: Connection, rows: list[dict[str, Any]], after: int, now: int, until: int) -> None:
    if not rows:
        return
    kind = sqlite if connection.dialect.name == "sqlite" else postgresql
    insert: Any = kind.insert(failing)
    new = insert.excluded
    full = failing.c.tries + 1 >= after
    insert = insert.on_conflict_do_update(
        index_elements=["key"],
        set_={
            "tries": failing.c.tries + 1,
            "reason": new.reason,
            "message": new.message,
            "last_us": new.last_us,
            "run": new.run,
            "round": new.round,
            "set_us": case((full, now), else_=None),
            "until_us": case((full, until), else_=None),
        },
    )
    connection.execute(insert, rows)


def _meant(which: Which, now: int) -> ColumnElement[bool]:
    conditions = [failing.c.until_us > now]
    if which.site is not None:
        conditions.append(failing.c.site == which.site)
    if which.reason is not None:
        conditions.append(failing.c.reason == which.reason)
    if which.paths:
        conditions.append(failing.c.path.in_([to_text(path).encode() for path in which.paths]))
    return and_(*conditions)


def _rows(keys: Sequence[bytes]) -> Any:
    return select(failing).where(failing.c.key.in_(keys))


def _some(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(keys), _KEYS_A_QUERY):
        yield keys[start : start + _KEYS_A_QUERY]


def _failing(row: Any, now: int) -> Failing:
    return Failing(
        site=row.site,
        path=row.path.decode(),
        tries=row.tries,
        reason=row.reason,
        message=row.message,
        first=_moment(row.first_us),
        last=_moment(row.last_us),
        run=row.run,
        since=None if row.set_us is None else _moment(row.set_us),
        until=None if row.until_us is None else _moment(row.until_us),
        set_aside=row.until_us is not None and row.until_us > now,
    )


def _micros(length: timedelta) -> int:
    return length // timedelta(microseconds=1)


def _moment(at_us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)


def _micros_at(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
