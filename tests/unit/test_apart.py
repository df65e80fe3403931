"""Heavy work in a process of its own: its end, its errors, and the end of everybody else."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from activities.apart import SMALL, Apart, Died, in_process
from activities.bulk import Bulk
from activities.manifests import ManifestDamaged
from activities.selection import UnknownAttributes
from activities.storage import DirectoryStorage, Missing, Storage

STUCK = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b"


def where(bulk: Bulk) -> int:
    print("what a library prints does not come between", flush=True)
    return os.getpid()


def told(bulk: Bulk, storage: Storage) -> str:
    return storage.get("word").decode()


def refuse(bulk: Bulk) -> None:
    raise UnknownAttributes("3 files lack an attribute") from Missing("x")


def damaged(bulk: Bulk) -> None:
    raise ManifestDamaged("plans/a: not the part that the head names")


def stuck(bulk: Bulk) -> None:
    with bulk.folder() as folder, bulk.database(folder) as database:
        bulk.go_on("stuck")
        (bulk.temp_dir / "pid").write_text(str(os.getpid()))
        database.execute(STUCK).fetchall()


def killed(bulk: Bulk) -> None:
    bulk.go_on("dying")
    time.sleep(1)
    os.kill(os.getpid(), signal.SIGKILL)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - no event tells what another process does
            await asyncio.sleep(0.05)


async def test_what_is_small_is_done_here_and_what_is_not_in_a_process_that_ends_with_it(tmp_path: Path) -> None:
    apart, bulk = Apart(), Bulk(128 << 20, tmp_path)
    assert await apart.do(bulk, where, SMALL) == os.getpid()
    pid = await apart.do(bulk, where, SMALL + 1)
    assert pid != os.getpid()
    assert not psutil.pid_exists(pid)


async def test_the_storage_is_the_same_in_the_other_process(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    storage.put("word", b"done")
    assert await in_process(Bulk(128 << 20, tmp_path), partial(told, storage=storage)) == "done"


async def test_an_error_keeps_its_type_its_words_and_its_cause(tmp_path: Path) -> None:
    with pytest.raises(UnknownAttributes, match="3 files lack an attribute") as caught:
        await in_process(Bulk(128 << 20, tmp_path), refuse)
    assert (caught.value.type, caught.value.non_retryable) == ("UnknownAttributes", True)
    assert isinstance(caught.value.__cause__, Missing)
    assert "in refuse" in caught.value.__notes__[0]
    with pytest.raises(ManifestDamaged, match="not the part"):
        await in_process(Bulk(128 << 20, tmp_path), damaged)


async def test_a_process_that_is_killed_is_told_with_what_it_was_doing_and_may_be_tried_again(tmp_path: Path) -> None:
    with pytest.raises(Died, match="dying ended with signal 9") as caught:
        await in_process(Bulk(128 << 20, tmp_path), killed)
    assert not caught.value.non_retryable


async def test_a_cancellation_stops_the_process_and_clears_its_folder(tmp_path: Path) -> None:
    bulk = Bulk(128 << 20, tmp_path)
    task = asyncio.create_task(in_process(bulk, stuck))
    await until(lambda: bulk.stage == "stuck")
    begun = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - begun < 5
    assert [path.name for path in tmp_path.iterdir()] == ["pid"]  # noqa: ASYNC240


async def test_the_process_ends_with_the_one_that_asked_however_that_ends(tmp_path: Path) -> None:
    asking = f"""
import asyncio, pathlib, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from activities.apart import in_process
from activities.bulk import Bulk
import test_apart
asyncio.run(in_process(Bulk(128 << 20, pathlib.Path({str(tmp_path)!r})), test_apart.stuck))
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    asker = await asyncio.create_subprocess_exec(sys.executable, "-c", asking, env=environment)
    try:
        await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
        pid = int((tmp_path / "pid").read_text())
        asker.send_signal(signal.SIGKILL)
        await until(lambda: not psutil.pid_exists(pid))
        assert [path.name for path in tmp_path.iterdir()] == ["pid"]  # noqa: ASYNC240
    finally:
        with suppress(ProcessLookupError):
            asker.kill()
        await asker.wait()


async def test_no_more_than_a_few_are_at_work_at_once(tmp_path: Path) -> None:
    apart = Apart(at_once=1)
    bulks = [Bulk(128 << 20, tmp_path / name) for name in ("a", "b")]
    for bulk in bulks:
        bulk.temp_dir.mkdir()
    tasks = [asyncio.create_task(apart.do(bulk, stuck, SMALL + 1)) for bulk in bulks]
    try:
        await until(lambda: bulks[0].stage == "stuck")
        assert bulks[1].stage == "waiting for other selections on this machine"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
