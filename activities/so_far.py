"""The files of an open run that have ended so far, as a table like that of an ended one."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from activities.bulk import Bulk
from activities.closing import PLANNED, outcome_writer, rows_of
from activities.ends import End, last_ends
from activities.manifests import read_head
from activities.storage import Storage

_ON_ITS_WAY = End("", None, "")


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

    def so_far(end: End | None) -> End:
        return _ON_ITS_WAY if end is None or (end.round in passed and end.succeeded) else end

    written = 0
    with bulk.folder() as folder, outcome_writer(target, read_head(storage, plan).files) as writer:
        for stretch in last_ends(storage, bulk, folder, run, plan, rounds, PLANNED):
            ends = [so_far(end) for end in stretch.ends]
            ended = pa.array([end is not _ON_ITS_WAY for end in ends]).take(pa.array(stretch.places))
            rows = rows_of(stretch, ends).filter(ended)
            writer.write_table(rows)
            written += rows.num_rows
    return written
