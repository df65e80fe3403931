"""Records from the Hub's pages to an inventory in Parquet, in records a second of one core.

    python -m benchmarks.inventory --records 1000000

The pages are the bytes that a Hub sends: objects with details, ISO 8601 times, paths of about 95 bytes. They are
generated as they are asked for, and that time is not counted. Measured is the process CPU time of reading, columns,
Parquet and checkpoints, once with pages of 100 and once with pages of 2,000 records; 150,000 a second must be reached.
"""

import argparse
import asyncio
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from activities.hub.client import Hub
from activities.hub.paging import Page, read_page
from activities.listing import Checkpoint, Listing, Where
from activities.storage import open_storage

LEAST = 150_000
FOLDER_RECORDS = 20_000


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--records", type=int, default=1_000_000)
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    good = True
    for page in (100, 2_000):
        rates = []
        for _ in range(given.rounds):
            with tempfile.TemporaryDirectory() as scratch:
                rates.append(asyncio.run(_measure(given.records, page, Path(scratch))))
        rate = statistics.median(rates)
        good = good and rate >= LEAST
        print(
            f"pages of {page:,}: {rate:,.0f} records/s a core (median of {', '.join(f'{one:,.0f}' for one in rates)}), "
            f"at least {LEAST:,}: {'holds' if rate >= LEAST else 'does not hold'}"
        )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")
    return 0 if good else 1


class FromMemory:
    """Gives the pages of a directory as a Hub's client does, without a network; `spent` is what making them took."""

    def __init__(self, page: int) -> None:
        self._page = page
        self.spent = 0.0

    async def pages(self, path: str, params: Mapping[str, Any]) -> AsyncIterator[Page]:
        for start in range(0, FOLDER_RECORDS, self._page):
            begun = time.process_time()
            content = _page(str(params["path"]), start, self._page)
            self.spent += time.process_time() - begun
            yield read_page(path, content, "hub")


async def _measure(records: int, page: int, folder: Path) -> float:
    folders = tuple(f"/mmfs1/projects/production-{number:06d}/plates" for number in range(records // FOLDER_RECORDS))
    source = FromMemory(page)
    start = Checkpoint(frontier=folders, started_us=0)
    listing = Listing(cast(Hub, source), open_storage(folder), "inventories/bench", Where("london"), start)
    begun = time.process_time()
    last = await listing.run()
    seconds = time.process_time() - begun - source.spent
    assert last.files == len(folders) * FOLDER_RECORDS
    return last.files / seconds


def _page(directory: str, start: int, count: int) -> bytes:
    """Write one page as a Hub does."""
    children = [
        {
            "path": f"{directory}/sequence-{number // 100:08d}-plate_v003_graded_{number:010d}.dpx",
            "name": f"sequence-{number // 100:08d}-plate_v003_graded_{number:010d}.dpx",
            "type": "file",
            "size": 50_000_000 + number,
            "data_size": 50_000_000 + number,
            "disk_usage": 50_000_384 + number,
            "atime": f"2026-0{1 + number % 9}-11T10:20:30.123456Z",
            "mtime": f"2025-0{1 + number % 9}-12T10:20:30Z",
            "ctime": f"2025-0{1 + number % 9}-13T10:20:30Z",
            "status": "unmanaged",
            "site": "london",
            "owner": f"user{number % 40}",
            "group": "staff",
        }
        for number in range(start, start + count)
    ]
    return msgspec.json.encode(
        {"path": directory, "type": "directory", "count": 20_000, "next": None, "children": children}
    )


if __name__ == "__main__":
    sys.exit(main())
