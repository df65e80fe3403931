"""Tells Temporal at intervals that an activity is alive and what it is doing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from temporalio import activity

EVERY = 4.0
"""Seconds between beats: a cancellation is heard with the answer to a beat."""


@asynccontextmanager
async def beating(details: Callable[[], Any]) -> AsyncIterator[None]:
    """Send the details at once and then every few seconds for as long as the block lasts."""
    activity.heartbeat(details())

    async def beat() -> None:
        while True:
            await asyncio.sleep(EVERY)
            activity.heartbeat(details())

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
