"""Heavy work ends soon after nobody waits for it any more, and leaves nothing on disk."""

import asyncio
import threading
import time
from pathlib import Path

import pytest

from activities.bulk import Bulk, Interrupted, in_thread


def endless(bulk: Bulk, begun: threading.Event) -> int:
    with bulk.folder() as folder, bulk.database(folder) as database:
        begun.set()
        return len(database.execute("SELECT count(*) FROM range(1000000000) a, range(1000000000) b").fetchall())


async def test_a_cancelled_query_is_interrupted(tmp_path: Path) -> None:
    bulk = Bulk(128 << 20, tmp_path)
    counting = threading.Event()
    task = asyncio.create_task(in_thread(bulk, lambda bulk: endless(bulk, counting)))
    await asyncio.to_thread(counting.wait)
    await asyncio.sleep(0.1)
    begun = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - begun < 5
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240


async def test_work_that_was_stopped_does_not_begin_its_next_stage(tmp_path: Path) -> None:
    bulk = Bulk(128 << 20, tmp_path)
    bulk.stop()
    with pytest.raises(Interrupted):
        bulk.go_on("next")
