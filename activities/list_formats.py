"""Which kind of list a file is: what the policy says, else what its name's ending says, else its beginning."""

import csv
import io
from pathlib import Path

from activities.list_lines import BOM, has_percent, is_gpfs

ENDINGS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
UNSAID_GPFS = "gpfs, unsaid"
UNCLEAR_PERCENT = (
    "`%XX` stands in a path: with ESCAPE '%' in the engine's rule write `format: gpfs-escape` beside `manifest`, "
    "else `format: gpfs`"
)
_HEAD = 1 << 16
_NAMED = "lines, nul, gpfs, gpfs-escape, csv, jsonl or parquet"


class Unclear(ValueError):
    """A list's format cannot be told: the text says what to write."""


def format_of(file: Path, given: str | None) -> str:
    """Name the format. Raises Unclear where two are possible, and where none is; OSError.

    What looks like a GPFS list is UNSAID_GPFS: only a path with `%XX`, which may come late, makes a difference.
    """
    if given is not None:
        return given
    by_name = ENDINGS.get(file.suffix.lower())
    if by_name is not None:
        return by_name
    with file.open("rb") as content:
        head = content.read(_HEAD)
    return _by_head(head, whole=len(head) < _HEAD)


def _by_head(head: bytes, *, whole: bool) -> str:
    if head.startswith(b"PAR1"):
        return "parquet"
    if b"\0" in head:
        return "nul"
    lines = [line.rstrip(b"\r") for line in head.removeprefix(BOM).split(b"\n")]
    lines = [line for line in (lines if whole else lines[:-1] or lines) if line]
    if not lines or lines[0].startswith(b"/"):
        return "lines"
    if any(is_gpfs(line) for line in lines):
        return _gpfs(lines)
    if lines[0].startswith((b"{", b'"/')):
        return "jsonl"
    raise Unclear(_unclear(lines[0]))


def _gpfs(lines: list[bytes]) -> str:
    if any(has_percent(line) for line in lines):
        raise Unclear(f"looks like a GPFS file list, and {UNCLEAR_PERCENT}")
    return UNSAID_GPFS


def _unclear(line: bytes) -> str:
    text = line.decode("utf-8", "surrogateescape")
    try:
        header = [word.strip().lower() for word in next(csv.reader(io.StringIO(text)), [])]
    except csv.Error:
        header = []
    if "path" in header and len(header) > 1:
        return "looks like CSV: name it .csv, or write `format: csv` beside `manifest`"
    return f"does not show what kind of list it is: write `format:` beside `manifest`, one of {_NAMED}"
