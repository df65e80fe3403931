"""The files of an open run that have ended so far, as a table like that of an ended one."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from activities.bulk import Bulk, reading
from activities.closing import SCHEMA, ends_of, open_rounds, succeeded
from activities.manifests import part_paths
from activities.storage import Storage

_ROWS = 122_880


def write_so_far(
    storage: Storage,
    bulk: Bulk,
    target: Path,
    *,
    run: str,
    plan: str,
    rounds: Sequence[tuple[int, str, int]],
    passed: Sequence[int] = (),
) -> int:
    """Write how each file ended in the last of these rounds (number, manifest, batches) in which it did; count them.

    A file that failed may be on its way again. One whose last end is a success in one of the `passed` rounds has not
    ended: another stage follows.
    """
    with bulk.folder() as folder, bulk.database(folder) as database:
        open_rounds(storage, bulk, database, folder, run, rounds)
        database.execute(f"CREATE VIEW ends AS {ends_of([number for number, _, _ in rounds])}")
        on_its_way = f"round IN ({', '.join(map(str, passed)) or 'NULL'}) AND {succeeded('ends')}"
        rows = database.sql(f"""
            WITH latest AS (
                SELECT *, coalesce({on_its_way}, false) AS on_its_way
                FROM ends QUALIFY row_number() OVER (PARTITION BY ordinal ORDER BY round DESC) = 1
            )
            SELECT plan.ordinal, plan.path, plan.size, plan.rule, latest.outcome, latest.reason,
                   coalesce(latest.message, '') AS message, latest.round, latest.job
            FROM {reading(part_paths(storage, plan, folder))} plan JOIN latest ON latest.ordinal = plan.ordinal
            WHERE NOT latest.on_its_way ORDER BY plan.ordinal
        """)
        written = 0
        with pq.ParquetWriter(target, SCHEMA, compression="zstd") as writer:
            for batch in rows.to_arrow_reader(_ROWS):
                writer.write_table(pa.Table.from_batches([batch]).cast(SCHEMA), row_group_size=_ROWS)
                written += batch.num_rows
        return written
