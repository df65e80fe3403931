"""Searches: what lies below a path and meets some filters, found once and then read page by page."""

import fnmatch
import json
import logging
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from orchestrator.localhub.clock import now_us, parse_us
from orchestrator.localhub.copies import copies_of
from orchestrator.localhub.names import Mount, text_of
from orchestrator.localhub.namespace import Entry, entry_of, group_name, owner_name
from orchestrator.localhub.store import Store
from orchestrator.localhub.tree import Tree

log = logging.getLogger(__name__)
FIELDS = (
    "core.filename",
    "core.extension",
    "core.type",
    "core.size",
    "core.disk_usage",
    "core.accesstime",
    "core.modificationtime",
    "core.changetime",
    "core.owner",
    "core.group",
    "ngenea.status",
)
TIMES = ("core.accesstime", "core.modificationtime", "core.changetime")
_SHORT = {"name": "core.filename", "size": "core.size", "type": "core.type", "status": "ngenea.status"}
_SHORT |= {"atime": TIMES[0], "mtime": TIMES[1], "ctime": TIMES[2], "owner": "core.owner", "group": "core.group"}
_COMPARE = {
    "eq": lambda one, other: one == other,
    "gt": lambda one, other: one > other,
    "gte": lambda one, other: one >= other,
    "lt": lambda one, other: one < other,
    "lte": lambda one, other: one <= other,
}
_AT_ONCE = 1000

Seen = dict[str, Any]


class BadFilter(ValueError):
    """The filters are not in a form that this Hub knows."""


class Searches:
    """The table of searches, and the thread that does them."""

    def __init__(self, store: Store, mount: Mount, files: Tree) -> None:
        self._store = store
        self._mount = mount
        self._files = files
        self._pool = ThreadPoolExecutor(1, "search")
        self._done: dict[int, threading.Event] = {}
        with store.write() as database:  # what a restart interrupted cannot be read
            database.execute("DELETE FROM findings WHERE search IN (SELECT id FROM searches WHERE state != 'done')")
            database.execute("DELETE FROM searches WHERE state != 'done'")

    def start(self, path: bytes, recursive: bool, filters: dict[str, Any], most: int) -> int:
        """Begin a search; give its number. Raises BadFilter."""
        wanted = _wanted(filters)
        with self._store.write() as database:
            sql = "INSERT INTO searches (body, state, created) VALUES ('{}', 'running', ?) RETURNING id"
            number = int(database.execute(sql, (now_us(),)).fetchone()[0])
        self._done[number] = threading.Event()
        self._pool.submit(self._find, number, path, recursive, wanted, most)
        return number

    def known(self, number: int) -> bool:
        """Say whether there is such a search."""
        return self._store.read().execute("SELECT 1 FROM searches WHERE id = ?", (number,)).fetchone() is not None

    def ready(self, number: int, patience: float) -> bool:
        """Wait a while for a search to end; say whether it did."""
        done = self._done.get(number)
        return done is None or done.wait(patience)

    def page(self, number: int, order: str, limit: int, offset: int) -> tuple[int, list[tuple[bytes, Seen]]]:
        """Give how much was found, and a part of it; `order` is a field, with a minus before it to turn it round."""
        database = self._store.read()
        count = database.execute("SELECT count(*) FROM findings WHERE search = ?", (number,)).fetchone()[0]
        field = _SHORT.get(order.lstrip("-"), order.lstrip("-"))
        by = "seq" if field not in FIELDS else f"""json_extract(seen, '$."{field}"')"""
        down = "DESC" if order.startswith("-") else "ASC"
        sql = f"SELECT path, seen FROM findings WHERE search = ? ORDER BY {by} {down}, seq LIMIT ? OFFSET ?"
        rows = database.execute(sql, (number, limit, offset))
        return count, [(row["path"], json.loads(row["seen"])) for row in rows]

    def delete(self, number: int) -> bool:
        """Forget a search; False when there is none."""
        with self._store.write() as database:
            database.execute("DELETE FROM findings WHERE search = ?", (number,))
            return database.execute("DELETE FROM searches WHERE id = ?", (number,)).rowcount > 0

    def forget_old(self, before_us: int) -> None:
        """Forget searches from before a time."""
        for row in self._store.read().execute("SELECT id FROM searches WHERE created < ?", (before_us,)).fetchall():
            self.delete(row["id"])

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown(cancel_futures=True)

    def _find(self, number: int, path: bytes, recursive: bool, wanted: list[tuple[str, str, Any]], most: int) -> None:
        try:
            rows: list[tuple[int, int, bytes, str]] = []
            for position, (found, seen) in enumerate(self._walk(path, recursive, wanted)):
                if position >= most:
                    break
                rows.append((number, position, found, json.dumps(seen)))
                if len(rows) >= _AT_ONCE:
                    self._save(rows)
                    rows = []
            self._save(rows)
        except OSError:
            log.warning("search %d ended early", number, exc_info=True)
        finally:
            with self._store.write() as database:
                database.execute("UPDATE searches SET state = 'done' WHERE id = ?", (number,))
            self._done[number].set()

    def _save(self, rows: list[tuple[int, int, bytes, str]]) -> None:
        with self._store.write() as database:
            database.executemany("INSERT INTO findings (search, seq, path, seen) VALUES (?, ?, ?, ?)", rows)

    def _walk(self, path: bytes, recursive: bool, wanted: list[tuple[str, str, Any]]) -> Iterator[tuple[bytes, Seen]]:
        folders = [self._mount.relative(path)]
        database: sqlite3.Connection = self._store.read()
        with self._files.visit() as visit:
            while folders:
                here = folders.pop()
                found, folder = visit.entries(here), visit.folder(here)
                copies = copies_of(database, [seen.st_ino for _, seen in found])
                prefix = self._mount.virtual(here) + b"/"
                below = []
                for name, stat in found:
                    entry = entry_of(folder, prefix + name, stat, copies.get(stat.st_ino))
                    seen = _seen(entry)
                    if all(_meets(seen, *term) for term in wanted):
                        yield entry.path, seen
                    if entry.type == "directory":
                        below.append(self._mount.relative(entry.path))
                if recursive:
                    folders.extend(reversed(below))


def _seen(entry: Entry) -> Seen:
    stat, name = entry.seen, text_of(entry.name)
    extension = name.rpartition(".")[2] if "." in name.lstrip(".") else ""
    seen = {
        "core.filename": name,
        "core.extension": extension,
        "core.type": entry.type,
        "core.size": stat.st_size,
        "core.disk_usage": stat.st_blocks * 512,
        "core.accesstime": stat.st_atime_ns // 1000,
        "core.modificationtime": stat.st_mtime_ns // 1000,
        "core.changetime": stat.st_ctime_ns // 1000,
        "core.owner": owner_name(stat.st_uid),
        "core.group": group_name(stat.st_gid),
    }
    return seen | ({"ngenea.status": entry.residence} if entry.residence else {})


def _wanted(filters: dict[str, Any]) -> list[tuple[str, str, Any]]:
    terms = []
    for key, given in filters.items():
        field = _SHORT.get(key, key)
        if field not in FIELDS:
            raise BadFilter(f"filters: {key!r} is not one of {', '.join(FIELDS)}")
        for word, value in given.items() if isinstance(given, dict) else [("eq", given)]:
            if word not in _COMPARE:
                raise BadFilter(f"filters: {word!r} is not one of {', '.join(_COMPARE)}")
            terms.append((field, word, _value(field, value)))
    return terms


def _value(field: str, value: Any) -> Any:
    try:
        if field in TIMES:
            return parse_us(str(value))
        return int(value) if field in ("core.size", "core.disk_usage") else str(value)
    except (TypeError, ValueError) as error:
        raise BadFilter(f"filters: {value!r} is no value for {field}") from error


def _meets(seen: Seen, field: str, word: str, value: Any) -> bool:
    there = seen.get(field)
    if there is None:
        return False
    if word == "eq" and isinstance(value, str):
        return fnmatch.fnmatchcase(there, value)
    return bool(_COMPARE[word](there, value))
