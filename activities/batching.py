"""Cuts an ordered stream of files into batches and writes them as a manifest."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from activities.manifests import (
    HEAD,
    INDEX,
    INDEX_SCHEMA,
    PART_BATCHES,
    SCHEMA,
    Head,
    Part,
    batch_digest,
    file_digest,
    integers,
    list_digest,
    to_json,
)
from activities.storage import Exists, Storage
from workflows.plan import RuleCount

#: The longest list of paths that goes into one request, in bytes of path text.
REQUEST_PATH_BYTES = 4_000_000


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How much fits into one batch; a single file larger than `bytes` is a batch of its own."""

    files: int
    bytes: int
    path_bytes: int = REQUEST_PATH_BYTES


@dataclass(slots=True)
class _Entry:
    part: int
    row_group: int
    files: int
    bytes: int
    digest: str
    job: int | None


@dataclass
class ManifestWriter:
    """Takes rows in order (`SCHEMA` without `batch`), cuts greedily, and writes parts into a local folder."""

    folder: Path
    limits: BatchLimits
    files: int = 0
    bytes: int = 0
    _entries: list[_Entry] = field(default_factory=list)
    _parts: list[Part] = field(default_factory=list)
    _open: pq.ParquetWriter | None = None
    _held: pa.Table | None = None

    @property
    def taken(self) -> int:
        """Files that were taken so far, the ones held back among them."""
        return self.files + (self._held.num_rows if self._held is not None else 0)

    def add(self, rows: pa.Table) -> None:
        """Take the next rows; what does not fill a batch yet is held back."""
        if not rows.num_rows:
            return
        if self._held is not None:
            rows = pa.concat_tables([self._held, rows]).combine_chunks()
        self._held = self._cut(rows, None, final=False)

    def close_batch(self, job: int | None = None) -> None:
        """End the batch here, so that the next row starts another; `job` names the Hub's job that it belongs to."""
        if self._held is not None:
            self._cut(self._held, job, final=True)
        self._held = None

    def publish(
        self,
        storage: Storage,
        *,
        policy_digest: str,
        as_of_us: int,
        rules: tuple[RuleCount, ...] = (),
        policy: str | None = None,
        name: str | None = None,
    ) -> tuple[str, Head]:
        """Write the rest and move everything into the storage, the head last; without a name, a plan by its digest."""
        self.close_batch()
        self._close_part()
        index = self.folder / INDEX
        pq.write_table(self._index(), index, compression="zstd")
        head = Head(
            digest=list_digest(policy_digest, as_of_us, (entry.digest for entry in self._entries)),
            policy_digest=policy_digest,
            policy=policy,
            as_of_us=as_of_us,
            files=self.files,
            bytes=self.bytes,
            batches=len(self._entries),
            rules=rules,
            parts=tuple(self._parts),
            index_sha256=file_digest(index),
        )
        name = name or f"plans/{head.digest}"
        if not storage.exists(f"{name}/{HEAD}"):
            for file in [*(part.name for part in head.parts), INDEX]:
                storage.upload(self.folder / file, f"{name}/{file}")
            self._put_head(storage, f"{name}/{HEAD}", head)
        return name, head

    def _put_head(self, storage: Storage, name: str, head: Head) -> None:
        try:
            storage.put_new(name, to_json(head))
        except Exists:
            if Head.model_validate_json(storage.get(name)).digest != head.digest:
                raise

    def _cut(self, rows: pa.Table, job: int | None, *, final: bool) -> pa.Table | None:
        """Write every batch that is full, at the end also the last one; give back the rest."""
        sizes = _sums(integers(rows["size"], 0))
        paths = _sums(_lengths(rows["path"]))
        start, count = 0, rows.num_rows
        while start < count:
            end = min(
                start + self.limits.files,
                int(np.searchsorted(sizes, sizes[start] + self.limits.bytes, "right")) - 1,
                int(np.searchsorted(paths, paths[start] + self.limits.path_bytes, "right")) - 1,
            )
            end = max(end, start + 1)
            if end >= count and not final:
                return rows.slice(start)
            self._write(rows.slice(start, end - start), int(sizes[min(end, count)] - sizes[start]), job)
            start = end
        return None

    def _write(self, rows: pa.Table, size: int, job: int | None) -> None:
        number = len(self._entries)
        part, row_group = divmod(number, PART_BATCHES)
        if row_group == 0:
            self._close_part()
            self._open = _part_writer(self.folder / _part_name(part))
        assert self._open is not None
        batch = pa.array(np.full(rows.num_rows, number, np.int32))
        columns = [batch if name == "batch" else rows[name] for name in SCHEMA.names]
        self._open.write_table(pa.table(columns, schema=SCHEMA), row_group_size=rows.num_rows)
        self._entries.append(_Entry(part, row_group, rows.num_rows, size, batch_digest(rows), job))
        self.files += rows.num_rows
        self.bytes += size

    def _close_part(self) -> None:
        if self._open is None:
            return
        self._open.close()
        self._open = None
        part = len(self._parts)
        inside = [entry for entry in self._entries[part * PART_BATCHES :] if entry.part == part]
        path = self.folder / _part_name(part)
        self._parts.append(
            Part(
                name=path.name,
                sha256=file_digest(path),
                batches=len(inside),
                files=sum(entry.files for entry in inside),
            )
        )

    def _index(self) -> pa.Table:
        entries = self._entries
        return pa.table(
            {
                "batch": range(len(entries)),
                "part": [entry.part for entry in entries],
                "row_group": [entry.row_group for entry in entries],
                "files": [entry.files for entry in entries],
                "bytes": [entry.bytes for entry in entries],
                "digest": [entry.digest for entry in entries],
                "job": [entry.job for entry in entries],
            },
            schema=INDEX_SCHEMA,
        )


def _part_writer(path: Path) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        path, SCHEMA, compression="zstd", compression_level=1, use_dictionary=["rule"], write_statistics=False
    )


def _part_name(part: int) -> str:
    return f"part-{part:05d}.parquet"


def _sums(values: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Give running sums with a leading zero, so that the sum of rows i..j is `sums[j] - sums[i]`."""
    sums = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=sums[1:])
    return sums


def _lengths(column: pa.ChunkedArray) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    chunks = [np.diff(np.frombuffer(a.buffers()[1], np.int32)[a.offset : a.offset + len(a) + 1]) for a in column.chunks]
    return np.concatenate(chunks).astype(np.int64) if chunks else np.zeros(0, np.int64)
