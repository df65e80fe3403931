"""Commands that ask Temporal something: the installation's, or an embedded one for as long as it takes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from orchestrator.cli import show

if TYPE_CHECKING:
    from temporalio.client import Client

    from orchestrator.stack import Stack

T = TypeVar("T")


def with_temporal(ask: "Callable[[Client, Stack], Awaitable[T]]") -> T:
    """Ask once, and give the answer."""
    from orchestrator.settings import load_settings
    from orchestrator.stack import TEMPORAL, Stack

    with Stack(load_settings(), TEMPORAL, tell=show.note) as stack:
        return asyncio.run(connected(stack, ask))


async def connected(stack: "Stack", ask: "Callable[[Client, Stack], Awaitable[T]]") -> T:
    """Ask with a connection to the stack's Temporal."""
    from orchestrator.temporal import connect

    return await ask(await connect(stack.settings), stack)
