"""The files of a plan as one list for other programs: CSV, JSON lines or Parquet, in the plan's order.

A list can be the `manifest` of a policy again. Names need not be UTF-8: CSV holds their bytes, JSON lines their exact
path with `\\udcXX` for a byte XX, Parquet their path text (`workflows/names.py`). Times are UTC.
"""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from activities.bulk import Bulk
from activities.inventory import inventory_parts
from activities.manifests import ManifestDamaged, open_manifest
from activities.predicates import SELECTED, judged, ordering, rule_names
from activities.selection import open_inventory
from activities.storage import Storage
from workflows.names import to_path
from workflows.plan import Plan
from workflows.policy import Policy

COLUMNS = (
    "ordinal", "batch", "path", "size", "disk_usage", "accessed", "modified", "changed", "status", "owner", "group",
    "rule",
)  # fmt: skip
KINDS = (".csv", ".jsonl", ".ndjson", ".parquet")
_TIMES = ("accessed", "modified", "changed")
_ROWS = 122_880


class UnwritableName(ValueError):
    """A file's name is no sequence of bytes, so CSV cannot hold it: write .jsonl or .parquet instead."""


def write_list(storage: Storage, bulk: Bulk, policy: Policy, plan: Plan, target: Path) -> int:
    """Write the files of a plan beside the target and move the list there, whole; gives their number."""
    beside = target.with_name(f".plan-{uuid.uuid4().hex}.part")
    try:
        with beside.open("xb") as file:
            writer = _writer(file, target.suffix.lower())
            written = 0
            for rows in planned_rows(storage, bulk, policy, plan):
                writer.write(rows)
                written += rows.num_rows
                bulk.go_on(f"writing {target.name}: {written:,} files")
            writer.close()
        if written != plan.files:
            raise ManifestDamaged(f"{plan.manifest}: holds {plan.files} files, its inventory gives {written}")
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    return written


def is_list(file: Path) -> bool:
    """Tell whether a file is a list that `write_list` wrote under a name of this kind; an empty one is: of no file."""
    begins = {
        ".csv": ",".join(COLUMNS[:3]).encode(), ".jsonl": b'{"ordinal":', ".ndjson": b'{"ordinal":', ".parquet": b"PAR1"
    }  # fmt: skip
    with file.open("rb") as content:
        start = content.read(32)
    return not start or start.startswith(begins[file.suffix.lower()])


def planned_rows(storage: Storage, bulk: Bulk, policy: Policy, plan: Plan) -> Iterator[pa.Table]:
    """Give the files of a plan with all that is known of them, by the plan's own query, in its order."""
    if not plan.files:
        yield _SCHEMA.empty_table()
        return
    ends = np.cumsum(open_manifest(storage, plan.manifest).index["files"].to_numpy())
    words = pa.array(rule_names(policy.select), pa.string())
    with bulk.folder() as folder, bulk.database(folder) as database:
        open_inventory(database, inventory_parts(storage, plan.inventory, folder))
        bulk.go_on("ordering the list")
        query = f"""
            SELECT {", ".join(f'"{name}"' for name in COLUMNS[2:])}
            FROM ({judged(policy.select, plan.as_of_us, "inventory")}) WHERE verdict = {SELECTED}
            ORDER BY {ordering(policy.select.order_by)} LIMIT {plan.files}
        """
        start = 0
        for batch in database.sql(query).to_arrow_reader(_ROWS):
            ordinals = np.arange(start, start + batch.num_rows)
            start += batch.num_rows
            columns = {name: batch.column(name) for name in COLUMNS[2:]}
            columns |= {name: columns[name].cast(pa.timestamp("us")) for name in _TIMES}
            columns["rule"] = words.take(columns["rule"])
            numbers = {"ordinal": ordinals, "batch": np.searchsorted(ends, ordinals, "right")}
            yield pa.table({**numbers, **columns}).select(COLUMNS).cast(_SCHEMA)


class _Writer(Protocol):
    def write(self, rows: pa.Table) -> None: ...

    def close(self) -> None: ...


def _writer(file: IO[bytes], suffix: str) -> _Writer:
    if suffix == ".parquet":
        return _Parquet(file)
    return _Csv(file) if suffix == ".csv" else _JsonLines(file)


class _Parquet:
    def __init__(self, file: IO[bytes]) -> None:
        self._writer = pq.ParquetWriter(file, _SCHEMA, compression="zstd", use_dictionary=["status", "owner", "rule"])

    def write(self, rows: pa.Table) -> None:
        self._writer.write_table(rows)

    def close(self) -> None:
        self._writer.close()


class _Csv:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._file.write(",".join(COLUMNS).encode() + b"\n")

    def write(self, rows: pa.Table) -> None:
        text = pa.BufferOutputStream()
        options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")
        pyarrow.csv.write_csv(_with_time_texts(rows), text, options)
        content = text.getvalue().to_pybytes()
        self._file.write(content if content.isascii() else _exact_bytes(content.decode()))

    def close(self) -> None: ...


class _JsonLines:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._encoder = msgspec.json.Encoder()

    def write(self, rows: pa.Table) -> None:
        for some in _with_time_texts(rows).to_batches(max_chunksize=10_000):
            content = self._encoder.encode_lines(some.to_pylist())
            if not content.isascii():
                content = to_path(content.decode()).encode("utf-8", "backslashreplace")
            self._file.write(content)

    def close(self) -> None: ...


def _exact_bytes(text: str) -> bytes:
    try:
        return to_path(text).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise UnwritableName(str(UnwritableName.__doc__)) from None


def _with_time_texts(rows: pa.Table) -> pa.Table:
    for name in _TIMES:
        texts = pc.replace_substring(rows[name].cast(pa.timestamp("us")).cast(pa.string()), " ", "T")
        texts = pc.binary_join_element_wise(texts, "Z", "")
        rows = rows.set_column(rows.schema.get_field_index(name), name, texts)
    return rows


def _schema() -> pa.Schema:
    kinds: dict[str, Any] = {
        "ordinal": pa.int64(), "batch": pa.int32(), "size": pa.int64(), "disk_usage": pa.int64(),
        **dict.fromkeys(_TIMES, pa.timestamp("us", "UTC")),
    }  # fmt: skip
    return pa.schema([pa.field(name, kinds.get(name, pa.string())) for name in COLUMNS])


_SCHEMA = _schema()
