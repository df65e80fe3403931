"""The most frequent errors of a run, each with files that have it; messages that differ in numbers or paths are one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from activities.bulk import Bulk, reading
from activities.manifests import read_rows
from activities.settled import read_settled
from activities.storage import Missing, Storage
from workflows.payload import Payload
from workflows.run import RoundRecord

FEW = 10
EXAMPLES = 3
LONGEST = 300

_SCHEMA = pa.schema([("ordinal", pa.int64()), ("path", pa.string()), ("reason", pa.string()), ("message", pa.string())])


class ErrorKind(Payload):
    """One kind of error: our word for it, the Hub's message of the first such file, how many, and paths (path text)."""

    reason: str
    message: str
    files: int
    examples: tuple[str, ...]


def errors_of(storage: Storage, bulk: Bulk, run: str) -> list[ErrorKind]:
    """Give the most frequent errors of a closed run, out of its table; raises Missing where there is none."""
    with bulk.folder() as folder, bulk.database(folder) as database:
        table = storage.fetch(f"runs/{run}/outcomes.parquet", folder)
        return _most_frequent(
            database, f"SELECT ordinal, path, reason, message FROM {reading([table])} WHERE outcome = 'failed'"
        )


def errors_so_far(
    storage: Storage, bulk: Bulk, run: str, rounds: Sequence[RoundRecord], batches: Sequence[tuple[int, int]]
) -> list[ErrorKind]:
    """Give the most frequent errors in some batches, (round, number), of a run that is open."""
    manifests = {record.number: record.manifest for record in rounds}
    with bulk.folder() as folder, bulk.database(folder) as database:
        found = folder / "errors.parquet"
        with pq.ParquetWriter(found, _SCHEMA) as writer:
            for number, batch in batches:
                if number in manifests:
                    writer.write_table(_failures(storage, run, manifests[number], number, batch))
        return _most_frequent(database, f"SELECT * FROM {reading([found])}")


def with_every_reason(kinds: Sequence[ErrorKind], failed: Mapping[str, int]) -> list[ErrorKind]:
    """Complete what was found in some batches with what is known of all: how many files failed for each reason."""
    of_reason = Counter(kind.reason for kind in kinds)
    found = [
        kind.model_copy(update={"files": failed[kind.reason]}) if of_reason[kind.reason] == 1 else kind
        for kind in kinds
        if failed.get(kind.reason)
    ]
    found += [
        ErrorKind(reason=reason, message="", files=files, examples=())
        for reason, files in failed.items()
        if files and not of_reason[reason]
    ]
    return sorted(found, key=lambda kind: (-kind.files, kind.reason, kind.message))[:FEW]


def _failures(storage: Storage, run: str, manifest: str, number: int, batch: int) -> pa.Table:
    try:
        ended = read_settled(storage, run, number, batch)
    except Missing:
        ended = None
    rows: list[tuple[int, str, str | None, str]] = []
    if ended is not None:
        planned = read_rows(storage, manifest, batch)
        paths = dict(zip(planned["ordinal"].to_pylist(), planned["path"].to_pylist(), strict=True))
        if ended.rest is not None and ended.rest.outcome == "failed":
            rows += [(ordinal, path, ended.rest.reason, ended.rest.message) for ordinal, path in paths.items()]
        rows += [(one.ordinal, paths[one.ordinal], one.reason, one.message) for one in ended.files
                 if one.outcome == "failed" and one.ordinal in paths]  # fmt: skip
    columns = zip(*rows, strict=True) if rows else ((),) * len(_SCHEMA)
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)], _SCHEMA)


def _most_frequent(database: duckdb.DuckDBPyConnection, failures: str) -> list[ErrorKind]:
    rows = database.execute(
        f"""
        SELECT reason, arg_min(message, ordinal), count(*) AS files, arg_min(path, ordinal, {EXAMPLES})
        FROM (
            SELECT ordinal, path, coalesce(reason, 'unknown') AS reason, left(message, {LONGEST}) AS message,
                   left(regexp_replace(replace(message, path, '<path>'), '[0-9]+', '#', 'g'), {LONGEST}) AS kind
            FROM ({failures})
        )
        GROUP BY reason, kind ORDER BY files DESC, reason, kind LIMIT {FEW}
        """
    ).fetchall()
    return [
        ErrorKind(reason=reason, message=message, files=files, examples=tuple(examples))
        for reason, message, files, examples in rows
    ]


def bulk_in(folder: Path, memory: int) -> Bulk:
    """Give the means for such a look: a tenth of a selection's memory, and the folder to which it spills."""
    return Bulk(max(64 << 20, memory // 10), folder)
