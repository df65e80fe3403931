"""The first round of a later stage: the files that succeeded in the stage before, as a manifest of their own.

A file succeeded when the Hub did it, or when it was where the stage puts it already. Whatever else happened to it in
its last round of that stage is how it ends; it does not go on.
"""

from collections.abc import Sequence

import pyarrow as pa

from activities.batching import BatchLimits, ManifestWriter
from activities.bulk import Bulk
from activities.ends import last_ends
from activities.manifests import HEAD, SCHEMA, Head, read_head
from activities.storage import Storage


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
    with bulk.folder() as folder:
        writer = ManifestWriter(folder, limits)
        # Every file of the stage is in its first round.
        for stretch in last_ends(storage, bulk, folder, run, before[0][1], before, columns):
            went_on = pa.array([end is not None and end.succeeded for end in stretch.ends])
            writer.add(stretch.rows.filter(went_on.take(pa.array(stretch.places))))
        writer.close_batch()
        if not writer.files:
            return name, None
        return name, writer.publish(storage, policy_digest=head.policy_digest, as_of_us=head.as_of_us, name=name)[1]
