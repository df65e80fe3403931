"""The first round of a later stage: the files that succeeded in the stage before, as a manifest of their own.

A file succeeded when the Hub did it, or when it was where the stage puts it already. Whatever else happened to it in
its last round of that stage is how it ends; it does not go on.
"""

from collections.abc import Sequence

import pyarrow as pa

from activities.batching import BatchLimits, ManifestWriter
from activities.bulk import Bulk
from activities.closing import ends_of, open_rounds, succeeded
from activities.manifests import HEAD, SCHEMA, Head, read_head
from activities.storage import Storage

_ROWS = 122_880


def make_stage(
    storage: Storage,
    bulk: Bulk,
    *,
    run: str,
    number: int,
    plan: str,
    before: Sequence[tuple[int, str, int]],
    limits: BatchLimits,
) -> tuple[str, Head | None]:
    """Write the manifest of round `number` from the rounds (number, manifest, batches) of the stage before.

    Gives the name and the head, or no head when no file went on. Made once: a second call gives the first's.
    """
    name = f"runs/{run}/round-{number}"
    if storage.exists(f"{name}/{HEAD}"):
        return name, read_head(storage, name)
    head = read_head(storage, plan)
    columns = [column for column in SCHEMA.names if column != "batch"]
    with bulk.folder() as folder, bulk.database(folder) as database:
        open_rounds(storage, bulk, database, folder, run, before)
        first = before[0][0]  # Every file of the stage is in its first round.
        numbers = [number for number, _, _ in before]
        rows = database.sql(f"""
            WITH ends AS ({ends_of(numbers)}),
            last AS (SELECT * FROM ends QUALIFY row_number() OVER (PARTITION BY ordinal ORDER BY round DESC) = 1)
            SELECT {", ".join(f"files.{column}" for column in columns)}
            FROM files_{first} files JOIN last ON last.ordinal = files.ordinal
            WHERE {succeeded("last")} ORDER BY files.ordinal
        """)
        schema = pa.schema([SCHEMA.field(column) for column in columns])
        writer = ManifestWriter(folder, limits)
        bulk.go_on(f"the files of round {number}")
        for batch in rows.to_arrow_reader(_ROWS):
            writer.add(pa.Table.from_batches([batch]).cast(schema))
        writer.close_batch()
        if not writer.files:
            return name, None
        return name, writer.publish(storage, policy_digest=head.policy_digest, as_of_us=head.as_of_us, name=name)[1]
