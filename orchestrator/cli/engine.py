"""How a command reaches the engine: the Temporal that is configured or runs here, or one for the command's duration."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from orchestrator.cli import show

if TYPE_CHECKING:
    from orchestrator.engine import Engine

T = TypeVar("T")


def with_engine(ask: "Callable[[Engine], Awaitable[T]]", *, works: bool = False) -> T:
    """Open the engine, ask it something, and close it; `works` for what watchers, routes or runs must answer."""
    from orchestrator.engine import open_engine
    from orchestrator.settings import load_settings
    from orchestrator.stack import HUB, TEMPORAL, WORKER, Stack

    needs = (TEMPORAL, HUB, WORKER) if works else (TEMPORAL,)

    async def asked(stack: Stack) -> T:
        async with open_engine(stack.settings) as engine:
            return await ask(engine)

    with Stack(load_settings(), *needs, tell=show.note) as stack:
        return asyncio.run(asked(stack))
