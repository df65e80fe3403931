"""How the files of a run ended, in the plan's order and a stretch at a time: the cost in memory is that of a stretch.

Each manifest of a run lists its files in the plan's order. So its rounds are read side by side, and nothing that is as
large as the run is ever held, sorted or joined.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from activities.bulk import Bulk
from activities.manifests import ManifestDamaged, integers, part_files
from activities.settled import BatchOutcome, Ended, FileException, read_batches, read_skips
from activities.storage import Storage
from workflows.names import to_text

STRETCH = 16_384
"""Files that are looked at together."""

Numbers = np.ndarray[Any, np.dtype[np.int64]]


class End(NamedTuple):
    """How a file ended, in which round and job; a file that has not ended in any round has neither."""

    outcome: str
    reason: str | None
    message: str
    round: int | None = None
    job: int | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the file was done, or was where it should be already."""
        return self.outcome == "done" or (self.outcome == "skipped" and self.reason == "already_done")


@dataclass(frozen=True)
class Stretch:
    """Rows of a manifest, and for each the place of its end in `ends`, whose first is None: it has not ended."""

    rows: pa.Table
    ends: Sequence[End | None]
    places: Numbers


def last_ends(
    storage: Storage,
    bulk: Bulk,
    folder: Path,
    run: str,
    manifest: str,
    rounds: Sequence[tuple[int, str, int]],
    columns: Sequence[str],
) -> Iterator[Stretch]:
    """Give the files of a manifest (`ordinal` first among the columns) with their end in the last round that has one.

    Each round is its number, manifest and batches; the folder takes copies of the parts that are being read.
    """
    tracks = [_Track(storage, folder, run, *each) for each in rounds]
    seen = 0
    for rows in _stretches(storage, folder, manifest, columns):
        bulk.go_on(f"outcomes of file {seen:,}")
        found = _Found(integers(rows["ordinal"], 0))
        for track in tracks:
            track.tell(found)
        yield Stretch(rows, found.ends, found.places)
        seen += rows.num_rows


class _Found:
    """What is known of the files of one stretch while the rounds are told in their order."""

    def __init__(self, ordinals: Numbers) -> None:
        self.ordinals = ordinals
        self.ends: list[End | None] = [None]
        self.places: Numbers = np.zeros(len(ordinals), np.int64)
        self._known: dict[End, int] = {}

    def place(self, end: End) -> int:
        if end not in self._known:
            self._known[end] = len(self.ends)
            self.ends.append(end)
        return self._known[end]

    def set(self, ordinals: Numbers, places: Numbers) -> None:
        """Take over the ends that are known; files of other manifests are none of ours."""
        at = np.searchsorted(self.ordinals, ordinals)
        at[at == len(self.ordinals)] = 0
        told = (self.ordinals[at] == ordinals) & (places > 0)
        self.places[at[told]] = places[told]


@dataclass
class _Track:
    """One round, read once from its beginning to its end."""

    storage: Storage
    folder: Path
    run: str
    number: int
    manifest: str
    batches: int
    _rest: list[tuple[Numbers, Numbers]] = field(default_factory=list)
    _batch: int = -1
    _outcome: BatchOutcome = field(default_factory=BatchOutcome)
    _settled: bool = False

    def __post_init__(self) -> None:
        self._rows = _stretches(self.storage, self.folder, self.manifest, ["ordinal", "batch"])
        self._ended = read_batches(self.storage, self.run, self.number, self.batches)

    def tell(self, found: _Found) -> None:
        """Tell the ends of the round's files up to the last one of the stretch."""
        last = int(found.ordinals[-1])
        while self._reach() <= last:
            ordinals, batches = self._rest.pop()
            until = int(np.searchsorted(ordinals, last, "right"))
            if until < len(ordinals):
                self._rest.append((ordinals[until:], batches[until:]))
            found.set(ordinals[:until], self._places(ordinals[:until], batches[:until], found))

    def _reach(self) -> float:
        """Give the ordinal of the next file."""
        if not self._rest:
            rows = next(self._rows, None)
            if rows is None:
                return float("inf")
            self._rest.append((integers(rows["ordinal"], 0), integers(rows["batch"].cast(pa.int64()), 0)))
        return int(self._rest[0][0][0])

    def _places(self, ordinals: Numbers, batches: Numbers, found: _Found) -> Numbers:
        places: Numbers = np.zeros(len(ordinals), np.int64)
        starts = [0, *(np.flatnonzero(np.diff(batches)) + 1).tolist(), len(batches)]
        for start, end in pairwise(starts):
            self._read_up_to(int(batches[start]))
            self._of_batch(ordinals[start:end], places[start:end], found)
        return places

    def _of_batch(self, ordinals: Numbers, places: Numbers, found: _Found) -> None:
        """Fill the places of a part of the batch that was read last; files without an end keep 0."""
        outcome = self._outcome
        if self._settled:
            places[:] = found.place(self._end(outcome.rest, outcome.job))
        for one in outcome.files:
            at = int(np.searchsorted(ordinals, one.ordinal))
            if at < len(ordinals) and ordinals[at] == one.ordinal:
                places[at] = found.place(self._end(one, outcome.job))

    def _read_up_to(self, batch: int) -> None:
        """Read how a batch ended; of one that has not, what was left out of its submit."""
        while self._batch < batch:
            self._batch, outcome = next(self._ended, (batch, None))
            self._settled = outcome is not None
            self._outcome = outcome or BatchOutcome()
        if not self._settled:
            skips = read_skips(self.storage, self.run, self.number, batch) or ()
            self._outcome = BatchOutcome(files=tuple(skips))

    def _end(self, end: FileException | Ended | None, job: int | None) -> End:
        if end is None:
            return End("done", None, "", self.number, job)
        return End(end.outcome, end.reason, to_text(end.message), self.number, job)


def _stretches(storage: Storage, folder: Path, manifest: str, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Read some columns of a manifest in its order; a part's copy is gone when the next one is read."""
    before = -1
    for part in part_files(storage, manifest, folder):
        with pq.ParquetFile(part) as file:
            for batch in file.iter_batches(STRETCH, columns=list(columns)):
                rows = pa.Table.from_batches([batch])
                ordinals = integers(rows["ordinal"], 0)
                if len(ordinals):
                    if ordinals[0] <= before or not np.all(np.diff(ordinals) > 0):
                        raise ManifestDamaged(f"{manifest}: its files are not in the order of the plan")
                    before = int(ordinals[-1])
                    yield rows


def counted(stretch: Stretch, ends: Sequence[End]) -> Mapping[tuple[str, str | None], tuple[int, int]]:
    """Count files and bytes of a stretch by outcome and reason."""
    files = np.bincount(stretch.places, minlength=len(ends))
    sizes = np.zeros(len(ends), np.int64)
    np.add.at(sizes, stretch.places, integers(stretch.rows["size"], 0))
    totals: dict[tuple[str, str | None], tuple[int, int]] = {}
    for end, number, size in zip(ends, files.tolist(), sizes.tolist(), strict=True):
        if number:
            before = totals.get((end.outcome, end.reason), (0, 0))
            totals[end.outcome, end.reason] = (before[0] + number, before[1] + size)
    return totals
