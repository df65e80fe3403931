"""A file in flight belongs to one run: who holds which files of which site, in one database for every worker.

A batch claims its files before it is sent and gives them back when it is settled. Whoever meets a file that another
run holds leaves it alone. A claim is a lease: the worker that has the batch in hand renews it. One that has lapsed
still counts until somebody has asked the Hub whether a job works on the files; see `claiming`.

A root that the Hub discovers by itself is held with everything below it.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Select, delete, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from activities.claim_tables import CLAIMS, folders, holders, paths
from activities.ledger.database import Database
from activities.limits import Lane, Limit

LEASE = timedelta(minutes=10)
"""How long a claim counts without a word from its worker; then the Hub is asked whether a job has the files."""

_KEYS_A_QUERY = 2000

T = TypeVar("T")
Change = Callable[[Connection], T]
"""A change to the claims, made inside a transaction that no other writer overlaps."""


@dataclass(frozen=True)
class Place:
    """The batch for which files are held."""

    run: str
    round: int
    batch: int

    def __str__(self) -> str:
        return f"{self.run}/{self.round}/{self.batch}"


@dataclass(frozen=True)
class Holder:
    """Who holds files, since when by this machine's clock, and for which job where that is known."""

    id: int
    place: Place
    site: str
    job: int | None
    since: datetime
    lapsed: bool


@dataclass(frozen=True)
class Claim:
    """A claim as one attempt has it; a later attempt of the same batch takes it over under another token.

    `silent` is for how many seconds no attempt of the batch has sent anything, where one was taken over.
    """

    place: Place
    token: str
    silent: float = 0.0


class Overtaken(Exception):
    """A later attempt of the same batch has the files, or had them: an earlier one must send nothing any more.

    Temporal makes another attempt of it, unless it was given up already.
    """


@dataclass(frozen=True)
class Full:
    """A limit lets no further batch in for now."""

    limit: Limit


class Claims:
    """The claims in one database; safe to use from many threads and many processes at once.

    Every call may raise AuditUnavailable (try again) or WrongDatabase (fix it).
    """

    def __init__(self, url: str, *, wait: float = 30.0, lease: timedelta = LEASE) -> None:
        """Take the database's URL, the seconds that a writer waits for its turn, and the lease of a claim."""
        self._database = Database(url, wait, CLAIMS)
        self._lease_us = round(lease.total_seconds() * 1_000_000)

    def __repr__(self) -> str:
        return f"Claims({self._database!r})"

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def take(
        self,
        place: Place,
        site: str,
        wanted: Sequence[str],
        *,
        trees: bool = False,
        job: int | None = None,
        turn: int = 0,
    ) -> tuple[Claim, dict[str, Holder]]:
        """Claim paths, all that no other run holds; give the claim, and the holders of the others.

        `trees` claims everything below the paths as well; `job` is one of the Hub that shall run again. A batch that
        claims again gets its own paths back; within a run a path goes to the batch that asks last. Of two attempts of
        a batch the later has the higher `turn`; an earlier one raises Overtaken.
        """
        taken = self.together([self.taking(place, site, wanted, trees=trees, job=job, turn=turn)])[0]
        if isinstance(taken, Overtaken):
            raise taken
        assert not isinstance(taken, Full), "nothing bounds it"
        return taken

    def taking(
        self,
        place: Place,
        site: str,
        wanted: Sequence[str],
        *,
        trees: bool = False,
        job: int | None = None,
        turn: int = 0,
        again: bool = False,
        silencing: bool = False,
        lane: Lane | None = None,
        limits: Sequence[Limit] = (),
    ) -> Change[tuple[Claim, dict[str, Holder]] | Overtaken | Full]:
        """Prepare to `take`, for doing it `together` with other changes, which goes on when this one is overtaken.

        With `silencing` no attempt of the batch sends anything from now on until one says that it `may_send`.
        An attempt that claims `again` and finds no claim was overtaken too: a later one may have come to its end.
        It changes nothing and gives Full while as many other batches are in somebody's hands as one of the `limits`
        allows. For one that holds files only those before it count, so that no two ever wait for each other.
        """
        claim = Claim(place, f"{turn}.{secrets.token_hex(8)}")
        keys = {path: key_of(site, path) for path in wanted}
        above = {key: [key_of(site, folder) for folder in _above(path)] for path, key in keys.items()}

        def change(connection: Connection) -> tuple[Claim, dict[str, Holder]] | Overtaken | Full:
            held_by = _turn_of(connection, place)
            if again if held_by is None else held_by > turn:
                return Overtaken(f"another attempt has the files of {place}, or had them")
            for limit in limits:
                if limit.jobs is not None and _others_in(connection, limit.lane, place) >= limit.jobs:
                    return Full(limit)
            now = now_us(connection)
            holder, silent_us = self._enter(connection, claim, lane or Lane(site), job, now, silencing=silencing)
            held = _conflicts(connection, place.run, above, trees=trees, now=now)
            free = [key for key in above if key not in held]
            _insert(connection, paths, [{"key": key, "holder": holder, "tree": trees} for key in free])
            inside = {folder for key in free for folder in above[key]}
            _insert(connection, folders, [{"key": key, "holder": holder} for key in inside])
            silent = 0.0 if silent_us is None else max(0.0, (now - silent_us) / 1_000_000)
            return replace(claim, silent=silent), {path: held[key] for path, key in keys.items() if key in held}

        return change

    def together(self, changes: Sequence[Change[T]]) -> list[T]:
        """Make changes one after the other in one commit: all of them, or none."""
        with self._database.writing() as connection:
            return [change(connection) for change in changes]

    def still_has(self, claim: Claim) -> bool:
        """Tell whether an attempt's claim is its own, and counts for long enough to send the files."""
        return self._standing(claim) is not None

    def may_send(self, claim: Claim) -> bool:
        """Tell whether an attempt `still_has` its claim, and note that it may send from now on, before it does."""
        there = self._standing(claim)
        if there is None or there.silent_us is None:
            return there is not None  # Of a first attempt nothing has to be written.
        with self._database.writing() as connection:
            return connection.execute(update(holders).where(_of(claim)).values(silent_us=None)).rowcount == 1

    def _standing(self, claim: Claim) -> Row[Any] | None:
        with self._database.reading() as connection:
            there = connection.execute(select(holders).where(_of(claim))).one_or_none()
            counts = there is not None and there.until_us > now_us(connection) + self._lease_us // 10
            return there if counts else None

    def renew(self, jobs: Mapping[Place, int | None]) -> None:
        """Renew the claims of batches that somebody has in hand, noting their jobs."""
        with self._database.writing() as connection:
            for place, job in jobs.items():
                values = {} if job is None else {"job": job}
                self._prolong(connection, holders.c.place == str(place), **values)

    def release(self, place: Place, turn: int | None = None) -> None:
        """Give back everything that a batch holds, unless a later attempt than that of `turn` holds it."""
        self.together([self.releasing(place, turn)])

    def releasing(self, place: Place, turn: int | None = None) -> Change[None]:
        """Prepare to `release`, for doing it `together` with other changes."""

        def change(connection: Connection) -> None:
            if turn is None or (_turn_of(connection, place) or 0) <= turn:
                _drop(connection, holders.c.place == str(place))

        return change

    def lapsed(self, limit: int) -> list[Holder]:
        """Give holders whose lease has lapsed, first the longest: their workers died, or their run was terminated."""
        with self._database.reading() as connection:
            now = now_us(connection)
            query = select(holders).where(holders.c.until_us <= now).order_by(holders.c.until_us).limit(limit)
            return [_holder(row, now) for row in connection.execute(query)]

    def drop(self, holder: Holder) -> None:
        """Take the files away from a holder whose lease has lapsed, unless it was renewed meanwhile."""
        with self._database.writing() as connection:
            _drop(connection, _is(holder) & (holders.c.until_us <= now_us(connection)))

    def prolong(self, holder: Holder) -> None:
        """Renew a lapsed claim for its holder: the Hub still works on the files."""
        with self._database.writing() as connection:
            self._prolong(connection, _is(holder))

    def keys(self, holder: Holder) -> set[bytes]:
        """Give the keys of all paths that somebody holds."""
        with self._database.reading() as connection:
            return set(connection.scalars(select(paths.c.key).where(paths.c.holder == holder.id)))

    def count(self) -> int:
        """Count the paths that are held."""
        with self._database.reading() as connection:
            return int(connection.execute(text("SELECT count(*) FROM claim_paths")).scalar_one())

    def _enter(
        self, connection: Connection, claim: Claim, lane: Lane, job: int | None, now: int, *, silencing: bool
    ) -> tuple[int, int | None]:
        """Make the holder, or take it over from an earlier attempt of the same batch, which then holds nothing.

        Gives its number, and since when no attempt sends anything.
        """
        changed: dict[str, Any] = {"token": claim.token, "until_us": now + self._lease_us}
        if silencing:
            changed["silent_us"] = func.coalesce(holders.c.silent_us, now)
        mine = update(holders).where(holders.c.place == str(claim.place)).values(changed)
        there = connection.execute(mine.returning(holders.c.id, holders.c.silent_us)).one_or_none()
        if there is not None:
            _clear(connection, there.id)
            return there.id, there.silent_us
        made = {"place": str(claim.place), "job": job, "taken_us": now, **vars(claim.place), **vars(lane), **changed}
        made["silent_us"] = silent_us = now if silencing else None
        return int(connection.execute(holders.insert().values(made).returning(holders.c.id)).scalar_one()), silent_us

    def _prolong(self, connection: Connection, which: Any, **values: Any) -> None:
        until = now_us(connection) + self._lease_us
        connection.execute(update(holders).where(which).values(until_us=until, **values))


def key_of(site: str, path: str) -> bytes:
    """Give the key under which a path of a site is held; any name has one."""
    name = f"{site}\0{_plain(path)}"
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()


def is_covered(site: str, path: str, keys: set[bytes]) -> bool:
    """Tell whether a path, or a folder above it, is among those that are held."""
    return any(key_of(site, one) in keys for one in (path, *_above(path)))


def _plain(path: str) -> str:
    """Write a path in the one way that it is held under; a folder is the same with and without its last slash."""
    return "/" + "/".join(name for name in path.split("/") if name not in ("", "."))


def _above(path: str) -> Iterator[str]:
    """Give the folders that a path lies in, the nearest first."""
    folder = _plain(path).rstrip("/")
    while folder:
        folder = folder.rpartition("/")[0]
        yield folder or "/"


def _others_in(connection: Connection, lane: Lane, place: Place) -> int:
    """Count the batches of a lane that are in somebody's hands before this one; a lapsed one may have a job yet."""
    mine = connection.scalar(select(holders.c.id).where(holders.c.place == str(place)))
    query = select(func.count()).select_from(holders)
    for name, wanted in vars(lane).items():
        query = query.where(holders.c[name] == wanted) if wanted else query
    return int(connection.scalar(query if mine is None else query.where(holders.c.id < mine)) or 0)


def _conflicts(
    connection: Connection, run: str, above: Mapping[bytes, Sequence[bytes]], *, trees: bool, now: int
) -> dict[bytes, Holder]:
    """Find who else holds a path itself, a tree above it or, when it is a tree, something below it."""
    ancestors = {folder for folders_above in above.values() for folder in folders_above}
    held = _held(connection, select(paths.c.key, paths.c.tree, holders), paths, run, {*above, *ancestors})
    below = _held(connection, select(folders.c.key, holders), folders, run, above) if trees else []
    same = {row.key: row for row in held}
    tree_of = {row.key: row for row in held if row.tree}
    inside = {row.key: row for row in below}
    found = {}
    for key, folders_above in above.items():
        row = same.get(key) or inside.get(key)
        if row is None and tree_of:
            row = next((tree_of[folder] for folder in folders_above if folder in tree_of), None)
        if row is not None:
            found[key] = _holder(row, now)
    return found


def _held(connection: Connection, query: Select[Any], table: Any, run: str, keys: Iterable[bytes]) -> list[Row[Any]]:
    query = query.join(holders, holders.c.id == table.c.holder).where(holders.c.run != run)
    asked = list(keys)
    return [
        row
        for start in range(0, len(asked), _KEYS_A_QUERY)
        for row in connection.execute(query.where(table.c.key.in_(asked[start : start + _KEYS_A_QUERY])))
    ]


def _holder(row: Row[Any], now: int) -> Holder:
    place = Place(row.run, row.round, row.batch)
    since = datetime.now(UTC) - timedelta(microseconds=max(0, now - row.taken_us))
    return Holder(row.id, place, row.site, row.job, since, lapsed=row.until_us <= now)


def _insert(connection: Connection, table: Any, rows: list[dict[str, Any]]) -> None:
    """Insert rows; a path that the same run holds already goes over to the new holder."""
    if not rows:
        return
    kind = sqlite if connection.dialect.name == "sqlite" else postgresql
    insert: Any = kind.insert(table)
    if table is paths:
        changed = {"holder": insert.excluded.holder, "tree": insert.excluded.tree}
        insert = insert.on_conflict_do_update(index_elements=["key"], set_=changed)
    else:
        insert = insert.on_conflict_do_nothing()
    connection.execute(insert, rows)


def _drop(connection: Connection, which: Any) -> None:
    for holder in list(connection.scalars(select(holders.c.id).where(which))):
        _clear(connection, holder)
        connection.execute(delete(holders).where(holders.c.id == holder))


def _clear(connection: Connection, holder: int) -> None:
    for table in (paths, folders):
        connection.execute(delete(table).where(table.c.holder == holder))


def _of(claim: Claim) -> Any:
    return (holders.c.place == str(claim.place)) & (holders.c.token == claim.token)


def _is(holder: Holder) -> Any:
    """Numbers of holders that are gone come again, their places do not."""
    return (holders.c.id == holder.id) & (holders.c.place == str(holder.place))


def _turn_of(connection: Connection, place: Place) -> int | None:
    """Give the turn of the attempt that holds a batch, 0 when it has none; None when nobody holds it."""
    token = connection.scalar(select(holders.c.token).where(holders.c.place == str(place)))
    if token is None:
        return None
    turn, dot, _ = token.partition(".")
    return int(turn) if dot else 0


def now_us(connection: Connection) -> int:
    """Read the database's own clock, so that the clocks of worker machines need not agree."""
    if connection.dialect.name == "sqlite":
        return time.time_ns() // 1000
    seconds = connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
    return int(seconds * 1_000_000)
