"""A manifest: the exact ordered list of files of a plan or a round, cut into batches, read a batch at a time.

A manifest is a folder in the storage:

    part-00000.parquet ...   rows in order, at most 256 batches a part, a row group is a batch (`SCHEMA`)
    batches.parquet          one row a batch: where it is, files, bytes, digest, earlier job (`INDEX_SCHEMA`)
    manifest.json            the head, written last and never replaced: without it there is no manifest

What is read is checked: the head against its digest, the index against the head, a batch against the index.
"""

import hashlib
import json
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from temporalio.exceptions import ApplicationError

from activities.storage import Missing, Storage
from workflows.names import to_path
from workflows.payload import Payload
from workflows.plan import RuleCount

FORMAT = 1
HEAD = "manifest.json"
INDEX = "batches.parquet"
PART_BATCHES = 256

SCHEMA = pa.schema(
    [
        pa.field("ordinal", pa.int64(), nullable=False),
        pa.field("batch", pa.int32(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("size", pa.int64()),
        pa.field("modified", pa.int64()),
        pa.field("rule", pa.string(), nullable=False),
    ]
)
INDEX_SCHEMA = pa.schema(
    [
        pa.field("batch", pa.int32(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("row_group", pa.int32(), nullable=False),
        pa.field("files", pa.int64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("digest", pa.string(), nullable=False),
        pa.field("job", pa.int64()),
    ]
)
_SOME = 10_000
_UNKNOWN = np.iinfo(np.int64).min


class ManifestDamaged(ApplicationError):
    """The manifest is missing or is not what its digest says: restore it from a copy, or plan again."""

    def __init__(self, message: str) -> None:
        super().__init__(message, type="ManifestDamaged", non_retryable=True)


class Part(Payload):
    """One Parquet file of a manifest and the SHA-256 of its bytes."""

    name: str
    sha256: str
    batches: int
    files: int


class Head(Payload):
    """What `manifest.json` says of the whole list; `policy` is the canonical text of the policy that made it."""

    format: int = FORMAT
    digest: str
    policy_digest: str
    policy: str | None = None
    as_of_us: int
    files: int
    bytes: int
    batches: int
    rules: tuple[RuleCount, ...] = ()
    parts: tuple[Part, ...] = ()
    index_sha256: str


@dataclass(frozen=True, slots=True)
class Batch:
    """The files of one Hub job: ordinals in the plan, exact paths, sizes and modification times (None = unknown)."""

    number: int
    ordinals: Sequence[int]
    paths: Sequence[str]
    sizes: Sequence[int | None]
    modified_us: Sequence[int | None]
    digest: str
    job: int | None = None

    @property
    def bytes(self) -> int:
        """Bytes of the files whose size is known."""
        return sum(size or 0 for size in self.sizes)

    def without(self, ordinals: Container[int]) -> "Batch":
        """Give the batch without some of its files; its digest stays that of the whole."""
        kept = [index for index, ordinal in enumerate(self.ordinals) if ordinal not in ordinals]
        return replace(
            self,
            ordinals=[self.ordinals[index] for index in kept],
            paths=[self.paths[index] for index in kept],
            sizes=[self.sizes[index] for index in kept],
            modified_us=[self.modified_us[index] for index in kept],
        )


@dataclass(frozen=True, slots=True)
class Manifest:
    """The head and the batch index of a manifest, checked against each other."""

    name: str
    head: Head
    index: pa.Table

    def row(self, batch: int) -> dict[str, Any]:
        """Give the index entry of one batch."""
        if not 0 <= batch < self.head.batches:
            raise ManifestDamaged(f"{self.name}: no batch {batch}, there are {self.head.batches}")
        return {column: self.index[column][batch].as_py() for column in INDEX_SCHEMA.names}


def read_batch(storage: Storage, manifest: str, batch: int) -> Batch:
    """Read one batch and check it against its digest; raise `ManifestDamaged` when it differs."""
    rows = read_rows(storage, manifest, batch)
    row = open_manifest(storage, manifest).row(batch)
    return Batch(
        number=batch,
        ordinals=rows["ordinal"].to_pylist(),
        paths=[to_path(text) for text in rows["path"].to_pylist()],
        sizes=rows["size"].to_pylist(),
        modified_us=rows["modified"].to_pylist(),
        digest=row["digest"],
        job=row["job"],
    )


def read_rows(storage: Storage, manifest: str, batch: int) -> pa.Table:
    """Read one batch as columns (`SCHEMA`), checked like `read_batch`."""
    opened = open_manifest(storage, manifest)
    row = opened.row(batch)
    name = f"{manifest}/{opened.head.parts[row['part']].name}"
    try:
        with pq.ParquetFile(storage.reader(name)) as part:
            rows = part.read_row_group(row["row_group"])
    except (Missing, OSError, pa.ArrowException, IndexError) as error:
        raise ManifestDamaged(f"{name}: cannot be read: {error}") from error
    if batch_digest(rows) != row["digest"]:
        raise ManifestDamaged(f"{name}: batch {batch} is not the one that was planned: its digest differs")
    return rows


def open_manifest(storage: Storage, manifest: str) -> Manifest:
    """Read the head and the index, checked; kept in memory (110 bytes a batch), since a manifest never changes."""
    with _OPENING:  # A window of batches begins at once, and each asks.
        return _opened(storage, manifest)


_OPENING = Lock()


def open_afresh(storage: Storage, manifest: str) -> Manifest:
    """Open a manifest past every memory of what was read before; raises ManifestDamaged."""
    head = read_head(storage, manifest)
    content = _stored(storage, f"{manifest}/{INDEX}")
    if hashlib.sha256(content).hexdigest() != head.index_sha256:
        raise ManifestDamaged(f"{manifest}/{INDEX}: not the index that the head names")
    index = pq.read_table(pa.BufferReader(content), schema=INDEX_SCHEMA)
    if list_digest(head.policy_digest, head.as_of_us, _texts(index["digest"])) != head.digest:
        raise ManifestDamaged(f"{manifest}: the batches do not add up to the digest {head.digest}")
    return Manifest(manifest, head, index)


_opened = lru_cache(maxsize=8)(open_afresh)


def read_head(storage: Storage, manifest: str) -> Head:
    """Read `manifest.json`; a plan's must lie under its own digest and hold the policy that its digest names."""
    try:
        head = Head.model_validate_json(_stored(storage, f"{manifest}/{HEAD}"))
    except ValueError as error:
        raise ManifestDamaged(f"{manifest}/{HEAD}: not a manifest of ours: {error}") from error
    if head.format != FORMAT:
        raise ManifestDamaged(f"{manifest}/{HEAD}: format {head.format}, this version reads {FORMAT}")
    if manifest.startswith("plans/") and manifest != f"plans/{head.digest}":
        raise ManifestDamaged(f"{manifest}/{HEAD}: says it is the plan {head.digest}")
    if head.policy is not None and hashlib.sha256(head.policy.encode()).hexdigest() != head.policy_digest:
        raise ManifestDamaged(f"{manifest}/{HEAD}: the policy's text is not the one of its digest")
    return head


def head_digest(storage: Storage, manifest: str) -> str:
    """Give the SHA-256 of a manifest's head as it is stored: with it the bytes of every one of its files are fixed."""
    return hashlib.sha256(_stored(storage, f"{manifest}/{HEAD}")).hexdigest()


def part_paths(storage: Storage, manifest: str, folder: Path) -> list[Path]:
    """Give the parts as local files for bulk reading, each checked against the head."""
    return [_part(storage, manifest, part, folder) for part in read_head(storage, manifest).parts]


def part_files(storage: Storage, manifest: str, folder: Path) -> Iterator[Path]:
    """Give the parts in their order like `part_paths`, but no more than one copy at a time lies in the folder."""
    for part in read_head(storage, manifest).parts:
        path = _part(storage, manifest, part, folder)
        yield path
        if path.is_relative_to(folder):
            path.unlink(missing_ok=True)


def _part(storage: Storage, manifest: str, part: Part, folder: Path) -> Path:
    name = f"{manifest}/{part.name}"
    try:
        path = storage.fetch(name, folder)
    except Missing as error:
        raise ManifestDamaged(f"{name}: is missing") from error
    if file_digest(path) != part.sha256:
        raise ManifestDamaged(f"{name}: not the part that the head names")
    return path


def batch_digest(rows: pa.Table) -> str:
    """Hash the ordered files of a batch: number of rows, lengths of the paths, paths, sizes, modification times.

    Integers are little-endian, 64 bits but for the lengths (32); an unknown size or time is the least integer.
    """
    paths = _one_chunk(rows["path"])
    offsets = np.frombuffer(paths.buffers()[1], np.int32)[paths.offset : paths.offset + len(paths) + 1]
    digest = hashlib.sha256(len(paths).to_bytes(8, "little"))
    digest.update(np.diff(offsets).astype("<i4").tobytes())
    if len(paths):
        digest.update(memoryview(paths.buffers()[2])[int(offsets[0]) : int(offsets[-1])])
    for column in ("size", "modified"):
        digest.update(integers(rows[column], _UNKNOWN).astype("<i8", copy=False).tobytes())
    return digest.hexdigest()


def list_digest(policy_digest: str, as_of_us: int, batch_digests: Iterable[str]) -> str:
    """Hash a whole list: the digest of the policy's canonical text, the as-of time, the digests of the batches."""
    digest = hashlib.sha256("\n".join([f"tiering manifest {FORMAT}", policy_digest, str(as_of_us)]).encode())
    for one in batch_digests:
        digest.update(f"\n{one}".encode())
    return digest.hexdigest()


def integers(column: pa.ChunkedArray, unknown: int) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Give an integer column as one NumPy array with a stand-in for what is unknown."""
    array = _one_chunk(column)
    filled = array.fill_null(unknown) if array.null_count else array
    return np.ascontiguousarray(filled.to_numpy())


def file_digest(path: Path) -> str:
    """Give the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def to_json(head: Head) -> bytes:
    """Write a head as its file holds it."""
    return json.dumps(head.model_dump(mode="json"), indent=1, sort_keys=True).encode() + b"\n"


def _texts(column: pa.ChunkedArray) -> Iterator[str]:
    """Give the texts of a column without holding them all as objects."""
    for start in range(0, len(column), _SOME):
        yield from column.slice(start, _SOME).to_pylist()


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _stored(storage: Storage, name: str) -> bytes:
    try:
        return storage.get(name)
    except Missing as error:
        raise ManifestDamaged(f"{name}: is missing") from error
