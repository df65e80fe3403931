"""The columns of an inventory, and how the Hub's records become them."""

import json
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from activities.hub.namespace import FileRecord
from workflows.names import extension, to_text

#: Path text; bytes; microseconds since the epoch, UTC; null is unknown (of `extension`: there is none).
SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("extension", pa.string()),
        pa.field("size", pa.int64()),
        pa.field("disk_usage", pa.int64()),
        pa.field("accessed", pa.int64()),
        pa.field("modified", pa.int64()),
        pa.field("changed", pa.int64()),
        pa.field("status", pa.string()),
        pa.field("owner", pa.string()),
        pa.field("group", pa.string()),
        pa.field("metadata", pa.string()),
    ]
)
_WORDS = ["extension", "status", "owner", "group"]
_FIELDS = attrgetter(
    "path", "size", "disk_usage", "atime", "mtime", "ctime", "status", "owner", "group", "metadata"
)  # fmt: skip


def to_table(records: Sequence[FileRecord]) -> pa.Table:
    """Turn records into columns; every text becomes one that can be stored."""
    if not records:
        return SCHEMA.empty_table()
    path, size, disk_usage, atime, mtime, ctime, status, owner, group, metadata = zip(
        *map(_FIELDS, records), strict=True
    )
    paths = [one if one.isascii() else to_text(one) for one in path]
    columns: list[Sequence[Any]] = [
        paths,
        [extension(one) for one in paths],
        size,
        disk_usage,
        atime,
        mtime,
        ctime,
        status,
        [one if one is None or one.isascii() else to_text(one) for one in owner],
        [one if one is None or one.isascii() else to_text(one) for one in group],
        [None if one is None else _stored(one) for one in metadata],
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def write_parquet(table: pa.Table, target: Any) -> None:
    """Write a part of an inventory; neighbours share most of their path, so a path is stored as what it adds."""
    pq.write_table(
        table,
        target,
        compression="zstd",
        compression_level=1,
        use_dictionary=_WORDS,
        column_encoding={"path": "DELTA_BYTE_ARRAY"},
        write_statistics=["size"],
        row_group_size=122_880,
    )


def _stored(metadata: dict[str, str]) -> str:
    return json.dumps({to_text(key): to_text(value) for key, value in metadata.items()}, ensure_ascii=False)
