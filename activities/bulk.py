"""Heavy work in a thread of its own: DuckDB with a cap on memory, spilling to disk, interrupted when nobody waits."""

import asyncio
import glob
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa

Value = TypeVar("Value")


class Interrupted(Exception):
    """The work was cancelled before its end; nothing of it counts."""


@dataclass
class Bulk:
    """A scratch folder and DuckDB connections for one piece of work; `memory_limit` in bytes."""

    memory_limit: int
    temp_dir: Path
    stage: str = ""
    _stopped: threading.Event = field(default_factory=threading.Event)
    _connection: duckdb.DuckDBPyConnection | None = None

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Give an empty folder that is gone afterwards."""
        folder = self.temp_dir / f"work-{uuid.uuid4().hex}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def database(self, folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give an empty in-memory database that spills into the folder."""
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{self.memory_limit * 3 // 4 // 1024}KiB",  # the rest is for what DuckDB does not count
            "temp_directory": str(folder / "spill"),
            "preserve_insertion_order": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        with duckdb.connect(":memory:", config=config) as connection:
            connection.execute("SET enable_progress_bar = false")
            self._connection = connection
            try:
                self.go_on(self.stage)
                yield connection
            except duckdb.InterruptException as error:
                raise Interrupted(self.stage) from error
            finally:
                self._connection = None
                pa.default_memory_pool().release_unused()  # what Arrow holds back would count as the worker's for ever

    def go_on(self, stage: str) -> None:
        """Name what happens now, and leave by `Interrupted` if the work was stopped."""
        self.stage = stage
        if self._stopped.is_set():
            raise Interrupted(stage)

    def stop(self) -> None:
        """Interrupt the work, from any thread."""
        self._stopped.set()
        connection = self._connection
        if connection is not None:
            connection.interrupt()


def reading(paths: Sequence[Path]) -> str:
    """Write the SQL that reads Parquet files, of which there is at least one, whatever their names hold."""
    listed = ", ".join("'" + glob.escape(str(path)).replace("'", "''") + "'" for path in paths)
    return f"read_parquet([{listed}])"


async def in_thread(bulk: Bulk, work: Callable[[Bulk], Value]) -> Value:
    """Do the work in a thread; a cancellation interrupts it and waits for its end."""
    with ThreadPoolExecutor(1, thread_name_prefix="bulk") as thread:
        future = asyncio.get_running_loop().run_in_executor(thread, work, bulk)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            bulk.stop()
            await asyncio.wait({future})
            future.exception()  # an interrupted query is no news
            raise
