"""The verdict on the chain: whole, or broken at which record and how."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, Row, select

from activities.ledger.records import GENESIS, BadRecord, canonical, chained_hash
from activities.ledger.tables import audit
from workflows.payload import Payload

_ROWS_A_CHUNK = 2000

BEGINNING = (0, GENESIS)
"""Where a chain begins: no record, and the hash before the first."""

_Row = Row[tuple[Any, ...]]


class Verdict(Payload):
    """Whether the chain is whole; `head` is the hash of the last record looked at, worth noting elsewhere."""

    ok: bool
    count: int
    head: str
    broken_at: int | None = None
    why: str | None = None


class Break(Payload):
    """A further record that is not as it was written."""

    at: int
    why: str


def walk_chain(
    connection: Connection,
    start: tuple[int, str] = BEGINNING,
    most: int | None = None,
    tell: Callable[[int], None] = lambda count: None,
) -> Verdict:
    """Check every record against its hash and the record before; memory does not grow with their number.

    A walk can go on behind a record whose sequence and hash are known to be right, and end after `most` records; it
    tells now and then at which record it is.
    """
    count, head = start
    if count and not _stands(connection, count, head):
        why = f"replaced: record {count} is another, or gone, since it was last looked at"
        return Verdict(ok=False, count=count - 1, head=head, broken_at=count, why=why)
    return _walk(connection, (count, head), most, tell)


def further_breaks(connection: Connection, first: int, most: int) -> list[Break]:
    """Walk on behind the first broken record, and give up to `most` others that are broken too.

    It ends where records stand under other numbers than they were written with: all behind them would be called broken.
    """
    found: list[Break] = []
    at = first
    while len(found) < most:
        row = next(_rows(connection, at, 1), None)
        if row is None:
            break
        if _fits(row, row.seq):
            verdict = _walk(connection, (row.seq - 1, row.prev_hash))
            if verdict.broken_at is None:
                break
            at, why = verdict.broken_at, str(verdict.why)
        elif _origin(connection, row) is None:
            at, why = row.seq, f"changed: {_difference(connection, row, row.prev_hash)}"
        else:
            break
        found.append(Break(at=at, why=why))
    return found


def _walk(
    connection: Connection,
    start: tuple[int, str],
    most: int | None = None,
    tell: Callable[[int], None] = lambda count: None,
) -> Verdict:
    count, head = start
    for row in _rows(connection, count or None, most):
        if row.seq == count + 1 and row.prev_hash == head and _fits(row, row.seq):
            count, head = row.seq, row.hash
            if not count % _ROWS_A_CHUNK:
                tell(count)
            continue
        broken_at, why = _explained(connection, row, count, head)
        return Verdict(ok=False, count=count, head=head, broken_at=broken_at, why=why)
    return Verdict(ok=True, count=count, head=head)


def record_fits(connection: Connection, seq: int) -> bool:
    """Tell whether the record with a sequence is there and matches its own hash."""
    row = _at(connection, seq)
    return row is not None and _fits(row, seq)


def _explained(connection: Connection, row: _Row, count: int, head: str) -> tuple[int, str]:
    """Say which record is wrong, given the first that does not follow the `count` good ones before it."""
    expected = count + 1
    if row.seq < expected:
        return row.seq, "inserted: no record has a sequence below 1"
    if row.seq > expected:
        missing = f"record {expected} is" if row.seq == expected + 1 else f"records {expected} to {row.seq - 1} are"
        return expected, f"removed: {missing} missing before record {row.seq}"
    if not _fits(row, row.seq):
        return _misfit(connection, row, head)
    # The record is whole but was chained to another than the one before it: one of the two was put there later.
    follower = _at(connection, row.seq + 1)
    if count > 0 and (follower is None or follower.prev_hash == row.hash):
        return count, f"replaced: record {row.seq} was chained to another record {count} than the one that is there"
    return row.seq, "inserted: its own hash fits, but it does not follow the record before it"


def _misfit(connection: Connection, row: _Row, head: str) -> tuple[int, str]:
    origin = _origin(connection, row)
    if origin is None:
        return row.seq, f"changed: {_difference(connection, row, head)}"
    if origin == row.seq - 1 and row.seq > 1:
        return row.seq - 1, f"inserted: record {row.seq} was number {origin} when it was written"
    follower = _at(connection, row.seq + 1)
    if origin == row.seq + 1 and not (follower is not None and _fits(follower, row.seq)):
        return row.seq, f"removed: what is record {row.seq} now was number {origin} when it was written"
    return row.seq, f"reordered: the record was number {origin} when it was written"


def _difference(connection: Connection, row: _Row, head: str) -> str:
    """Say which part of a changed record is not what was written, as far as the hashes tell."""
    follower = _at(connection, row.seq + 1)
    if follower is not None and _digest(row, row.seq) == follower.prev_hash:
        return "its hash is not what was written; all else is"
    if _digest(row, row.seq, prev_hash=head) == row.hash:
        return "its link to the record before (prev_hash) is not what was written; all else is"
    try:
        body = canonical(json.loads(row.body))
    except (ValueError, RecursionError, BadRecord):
        return "its body is no JSON that was ever written"
    if _digest(row, row.seq, body=body) == row.hash:
        return "the text of its body was written in another way; what it says is the same"
    return "its time, actor, run, event, key or body is not what was written"


def _origin(connection: Connection, row: _Row) -> int | None:
    """Give the sequence under which a record that was moved fits its hash."""
    candidates = [row.seq - 1, row.seq + 1]
    before = connection.execute(select(audit.c.seq).where(audit.c.hash == row.prev_hash).limit(1)).scalar()
    if before is not None:
        candidates += [before + 1, before, before + 2]  # the one before may itself have been moved by one
    elif row.prev_hash == GENESIS:
        candidates.append(1)
    return next((seq for seq in candidates if _fits(row, seq)), None)


def _fits(row: _Row, seq: int) -> bool:
    return bool(_digest(row, seq) == row.hash)


def _digest(row: _Row, seq: int, *, body: str | None = None, prev_hash: str | None = None) -> str:
    return chained_hash(
        seq=seq,
        at=row.at,
        actor=row.actor,
        run=row.run,
        event=row.event,
        key=row.key,
        body=row.body if body is None else body,
        prev_hash=row.prev_hash if prev_hash is None else prev_hash,
    )


def _stands(connection: Connection, seq: int, digest: str) -> bool:
    row = _at(connection, seq)
    return row is not None and row.hash == digest and _fits(row, seq)


def _at(connection: Connection, seq: int) -> _Row | None:
    return connection.execute(select(audit).where(audit.c.seq == seq)).one_or_none()


def _rows(connection: Connection, after: int | None, most: int | None) -> Iterator[_Row]:
    left = most
    while left is None or left > 0:
        size = _ROWS_A_CHUNK if left is None else min(_ROWS_A_CHUNK, left)
        query = select(audit).order_by(audit.c.seq).limit(size)
        chunk = connection.execute(query if after is None else query.where(audit.c.seq > after)).all()
        yield from chunk
        if len(chunk) < size:
            return
        after = chunk[-1].seq
        left = None if left is None else left - size
