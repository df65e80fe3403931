"""The audit log: records go to the end of one chain, each once under its key, and can be read and verified."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, Row, select

from activities.ledger.database import Database
from activities.ledger.finding import ALL, Page, Wanted, condition
from activities.ledger.records import (
    GENESIS,
    AuditRecord,
    Stored,
    canonical,
    chained_hash,
    check_names,
    exported_line,
    timestamp,
)
from activities.ledger.tables import audit
from activities.ledger.verdict import BEGINNING, Break, Verdict, further_breaks, record_fits, walk_chain

_KEYS_A_QUERY = 500
_ROWS_A_PAGE = 2000


class AuditLog:
    """The audit in one database; safe to use from many threads and many processes at once.

    Every call may raise AuditUnavailable (try again) or WrongDatabase (fix it).
    """

    def __init__(self, url: str, *, wait: float = 30.0) -> None:
        """Take the database's URL and the seconds that a writer waits for its turn; nothing is connected yet."""
        self._database = Database(url, wait)

    def __repr__(self) -> str:
        return f"AuditLog({self._database!r})"

    def is_there(self) -> bool:
        """Tell whether anything was kept at the address yet; nothing is made by asking."""
        return self._database.is_there()

    def append(self, record: AuditRecord) -> Stored:
        """Write a record at the end of the chain, or give the one that has its key; raises BadRecord."""
        return self.append_many([record])[0]

    def append_many(self, records: Sequence[AuditRecord]) -> list[Stored]:
        """Write records in one transaction, in their order, all or none; answers stand in the same order."""
        bodies = [check(record) for record in records]
        if not records:
            return []
        with self._database.writing() as connection:
            taken = _by_key(connection, {record.key for record in records})
            seq, prev_hash = _end(connection)
            answers: list[Stored] = []
            rows: list[dict[str, object]] = []
            for record, body in zip(records, bodies, strict=True):
                there = taken.get(record.key)
                if there is not None:
                    answers.append(there.model_copy(update={"same": _is_same(there, record, body)}))
                    continue
                seq += 1
                row = _row(record, body, seq, prev_hash)
                rows.append(row)
                prev_hash = str(row["hash"])
                answers.append(Stored.model_validate({**row, "body": json.loads(body)}))
                taken[record.key] = answers[-1]
            if rows:
                connection.execute(audit.insert(), rows)
        return answers

    def get(self, key: str) -> Stored | None:
        """Give the record that has a key, if there is one."""
        with self._database.reading() as connection:
            return _by_key(connection, {key}).get(key)

    def first_of_runs(self, runs: Sequence[str], event: str) -> dict[str, Stored]:
        """Give the first record of an event of each of some runs, by run."""
        found: dict[str, Stored] = {}
        with self._database.reading() as connection:
            for run in runs:
                # The text that is added keeps the index of events out: a run has few records before this one.
                mine = (audit.c.run == run) & (audit.c.event.concat("") == event)
                row = connection.execute(select(audit).where(mine).order_by(audit.c.seq).limit(1)).first()
                if row is not None:
                    found[run] = _stored(row)
        return found

    def records(
        self,
        run: str | None = None,
        event: str | None = None,
        after: int = 0,
        limit: int = 1000,
        *,
        since: datetime | None = None,
        newest: bool = False,
    ) -> list[Stored]:
        """Give up to `limit` records with a sequence above `after` in their order: the first ones, or the newest."""
        query = select(audit).where(audit.c.seq > after)
        if run is not None:
            query = query.where(audit.c.run == run)
        if event is not None:
            query = query.where(audit.c.event == event)
        if since is not None:
            query = query.where(audit.c.at >= timestamp(since))
        query = query.order_by(audit.c.seq.desc() if newest else audit.c.seq).limit(limit)
        with self._database.reading() as connection:
            found = [_stored(row) for row in connection.execute(query)]
        return found[::-1] if newest else found

    def find(
        self, wanted: Wanted = ALL, *, before: int | None = None, after: int | None = None, limit: int = 100
    ) -> Page:
        """Give a page of the wanted records, in their order: the newest, those before, or those after a sequence.

        Pages hang on sequences, so that a record that is written meanwhile moves none of them.
        """
        forward = after is not None
        with self._database.reading() as connection:
            query = select(audit).where(condition(connection, wanted))
            if before is not None:
                query = query.where(audit.c.seq < before)
            if after is not None:
                query = query.where(audit.c.seq > after)
            query = query.order_by(audit.c.seq if forward else audit.c.seq.desc()).limit(limit + 1)
            found = [_stored(row) for row in connection.execute(query)]
        more = len(found) > limit
        found = found[:limit] if forward else found[:limit][::-1]
        if not found:
            return Page([])
        older = found[0].seq if (after if forward else more) else None
        return Page(found, older=older, newer=found[-1].seq if more or not forward else None)

    def at(self, seq: int) -> Stored | None:
        """Give the record with a sequence, if there is one."""
        return self._one(audit.c.seq == seq)

    def fits(self, seq: int) -> bool:
        """Tell whether the record with a sequence matches its own hash."""
        with self._database.reading() as connection:
            return record_fits(connection, seq)

    def with_hash(self, start: str) -> list[Stored]:
        """Give up to two records whose hash begins so: more than one means that it says too little."""
        with self._database.reading() as connection:
            query = select(audit).where(audit.c.hash >= start, audit.c.hash < start + "g").limit(2)
            return [_stored(row) for row in connection.execute(query)]

    def hashes(self, seqs: Sequence[int]) -> dict[int, str]:
        """Give the hashes of records by their sequences; what is not there is left out."""
        found: dict[int, str] = {}
        with self._database.reading() as connection:
            for start in range(0, len(seqs), _KEYS_A_QUERY):
                some = seqs[start : start + _KEYS_A_QUERY]
                rows = connection.execute(select(audit.c.seq, audit.c.hash).where(audit.c.seq.in_(some)))
                found.update((row.seq, row.hash) for row in rows)
        return found

    def end(self) -> tuple[int, str]:
        """Give sequence and hash of the last record, or where a chain begins."""
        with self._database.reading() as connection:
            return _end(connection)

    def lines(self, after: int = 0, last: int | None = None) -> Iterator[str]:
        """Give records as lines of an export, exactly as they stand in the table, a few in memory at a time."""
        while True:
            query = select(audit).where(audit.c.seq > after).order_by(audit.c.seq).limit(_ROWS_A_PAGE)
            with self._database.reading() as connection:
                rows = connection.execute(query if last is None else query.where(audit.c.seq <= last)).all()
            for row in rows:
                yield exported_line(**row._mapping)
            if len(rows) < _ROWS_A_PAGE:
                return
            after = rows[-1].seq

    def verify(
        self,
        start: tuple[int, str] = BEGINNING,
        most: int | None = None,
        tell: Callable[[int], None] = lambda count: None,
    ) -> Verdict:
        """Walk the chain and tell whether every record is as it was written, and which one is the first not.

        By default all of it; `walk_chain` says what the rest means.
        """
        with self._database.reading() as connection:
            return walk_chain(connection, start, most, tell)

    def further_breaks(self, first: int, most: int = 20) -> list[Break]:
        """Give up to `most` more records that are not as they were written, behind the first one."""
        with self._database.reading() as connection:
            return further_breaks(connection, first, most)

    def place_of(self, digest: str) -> int | None:
        """Give the sequence of the record that has this hash, if there is one."""
        with self._database.reading() as connection:
            return connection.execute(select(audit.c.seq).where(audit.c.hash == digest).limit(1)).scalar()

    def _one(self, where: ColumnElement[bool]) -> Stored | None:
        with self._database.reading() as connection:
            row = connection.execute(select(audit).where(where)).one_or_none()
        return None if row is None else _stored(row)

    def close(self) -> None:
        """Close every connection; the next call opens new ones."""
        self._database.close()


def check(record: AuditRecord) -> str:
    """Give the canonical text of a record's body; raises BadRecord when the record could never be written."""
    check_names(record)
    return canonical(record.body)


def _row(record: AuditRecord, body: str, seq: int, prev_hash: str) -> dict[str, object]:
    at = timestamp(datetime.now(UTC))
    event = str(record.event)
    digest = chained_hash(
        seq=seq,
        at=at,
        actor=record.actor,
        run=record.run,
        event=event,
        key=record.key,
        body=body,
        prev_hash=prev_hash,
    )
    return {
        "seq": seq,
        "at": at,
        "actor": record.actor,
        "run": record.run,
        "event": event,
        "key": record.key,
        "body": body,
        "prev_hash": prev_hash,
        "hash": digest,
    }


def _end(connection: Connection) -> tuple[int, str]:
    last = connection.execute(select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)).one_or_none()
    return (0, GENESIS) if last is None else (last.seq, last.hash)


def _by_key(connection: Connection, keys: Iterable[str]) -> dict[str, Stored]:
    wanted = sorted(keys)
    found: dict[str, Stored] = {}
    for start in range(0, len(wanted), _KEYS_A_QUERY):
        some = wanted[start : start + _KEYS_A_QUERY]
        found.update((row.key, _stored(row)) for row in connection.execute(select(audit).where(audit.c.key.in_(some))))
    return found


def _is_same(there: Stored, record: AuditRecord, body: str) -> bool:
    return (there.event, there.run, canonical(there.body)) == (record.event, record.run, body)


def _stored(row: Row[tuple[object, ...]]) -> Stored:
    fields = dict(row._mapping)
    return Stored.model_validate({**fields, "body": _body(str(fields["body"]))})


def _body(text: str) -> dict[str, object]:
    """Read a body; what is no JSON object any more was forged, and is shown as it stands."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    return body if isinstance(body, dict) else {"unreadable": text}
