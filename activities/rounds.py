"""The next, smaller round of a run: the files that failed and may be tried again, as a manifest of their own."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from activities.batching import BatchLimits, ManifestWriter
from activities.bulk import Bulk
from activities.manifests import HEAD, SCHEMA, Head, read_head, read_rows
from activities.settled import BatchOutcome, read_batches
from activities.storage import Storage

_ENOUGH = 20_000
_ONE_TO_ONE = BatchLimits(2**62, 2**62, 2**62)


def make_round(
    storage: Storage,
    bulk: Bulk,
    *,
    run: str,
    ended: int,
    manifest: str,
    permanent: frozenset[str],
    limits: BatchLimits | None,
) -> tuple[str, Head | None]:
    """Write the manifest of the round after `ended`; without limits each batch stays whole and keeps its job.

    Gives the name and the head, or no head when nothing is left to try. Made once: a second call gives the first's.
    """
    name = f"runs/{run}/round-{ended + 1}"
    if storage.exists(f"{name}/{HEAD}"):
        return name, read_head(storage, name)
    before = read_head(storage, manifest)
    with bulk.folder() as folder:
        writer = ManifestWriter(folder, limits or _ONE_TO_ONE)
        held: list[pa.Table] = []
        for number, outcome in read_batches(storage, run, ended, before.batches):
            bulk.go_on(f"round {ended + 1}: batch {number} of {before.batches}")
            again = _retryable(outcome, permanent)
            if again is None:
                continue
            held.append(again(read_rows(storage, manifest, number)))
            if limits is None or sum(rows.num_rows for rows in held) >= _ENOUGH:
                _add(writer, held)
            if limits is None:
                writer.close_batch(outcome.job if outcome else None)
        _add(writer, held)
        writer.close_batch()
        if not writer.files:
            return name, None
        return writer.publish(storage, policy_digest=before.policy_digest, as_of_us=before.as_of_us, name=name)


def _retryable(outcome: BatchOutcome | None, permanent: frozenset[str]) -> Callable[[pa.Table], pa.Table] | None:
    """Say how to take the retryable rows out of the batch; None when there are none."""
    if outcome is None:
        return None

    def may(end: str, reason: str | None) -> bool:
        return end == "failed" and reason not in permanent

    listed = pa.array([one.ordinal for one in outcome.files], pa.int64())
    again = pa.array([one.ordinal for one in outcome.files if may(one.outcome, one.reason)], pa.int64())
    if outcome.rest is not None and may(outcome.rest.outcome, outcome.rest.reason):

        def with_rest(rows: pa.Table) -> pa.Table:
            unlisted = pc.invert(pc.is_in(rows["ordinal"], listed))
            return rows.filter(pc.or_(unlisted, pc.is_in(rows["ordinal"], again)))

        return with_rest
    return (lambda rows: rows.filter(pc.is_in(rows["ordinal"], again))) if len(again) else None


def _add(writer: ManifestWriter, held: list[pa.Table]) -> None:
    if held:
        writer.add(pa.concat_tables(held).select([name for name in SCHEMA.names if name != "batch"]).combine_chunks())
        held.clear()
