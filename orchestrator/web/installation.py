"""What the web server holds of its installation between two requests: one engine, the tokens, the live connections."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from starlette.requests import Request

from activities.ledger.log import AuditLog
from activities.storage import open_storage
from orchestrator.applied_reader import AppliedReader
from orchestrator.auditing.watching import ChainWatch
from orchestrator.engine import Engine, open_engine
from orchestrator.folder_reader import FolderReader
from orchestrator.settings import Settings
from orchestrator.stack import running_settings
from orchestrator.temporal import TemporalUnreachable
from orchestrator.tokens import Tokens
from orchestrator.versions import Versions
from orchestrator.web.attempts import Attempts
from orchestrator.web.kept import Kept
from orchestrator.web.live import Live
from orchestrator.web.oidc import Issuer
from orchestrator.web.repeats import Repeats
from orchestrator.web.run_board import RunBoard

T = TypeVar("T")

ASK_AGAIN = 2.0
"""Seconds for which a Temporal that did not answer is not asked again, however many wait for it."""
ANSWERED_WITHIN = 30.0
"""Seconds in which a run answers to a word of a person."""


class Installation:
    """The parts of an installation, opened when they are first needed; Temporal may come, go and change its place."""

    def __init__(self, settings: Settings) -> None:
        self.given = settings
        self.log = AuditLog(settings.audit.get_secret_value())
        self.versions = Versions(self.log, open_storage(settings.storage))
        self.applied = AppliedReader(self.versions)
        self.tokens = Tokens(settings.tokens.get_secret_value())
        self.repeats = Repeats(settings.tokens.get_secret_value())
        self.issuer = Issuer(settings) if settings.oidc_issuer is not None else None
        self.attempts = Attempts()
        self.catalog = FolderReader(settings.policies_dir)
        self.live = Live()
        self.board = RunBoard()
        self.plan_reports: Kept[Any] = Kept(most=64)
        self.health: Kept[Any] = Kept(most=1, good_for=10.0)
        self.overviews: Kept[Any] = Kept(most=1, good_for=1.0)
        self._chain: ChainWatch | None = None
        self._opening = asyncio.Lock()
        self._engine: Engine | None = None
        self._refused: tuple[float, str] | None = None
        self._opened = AsyncExitStack()

    @property
    def secure(self) -> bool:
        """Whether people reach it by TLS only."""
        return (self.given.public_url or "").startswith("https://")

    async def settings(self) -> Settings:
        """The settings, with the addresses of the stack that runs on this machine."""
        return await asyncio.to_thread(running_settings, self.given)

    async def engine(self) -> Engine:
        """Give the engine; raises TemporalUnreachable, for some seconds without asking again.

        A stack that was started anew has another address.
        """
        now = await self.settings()
        if self._engine is not None and self._engine.settings == now:
            return self._engine
        async with self._opening:
            if self._engine is None or self._engine.settings != now:
                if self._refused is not None and time.monotonic() - self._refused[0] < ASK_AGAIN:
                    raise TemporalUnreachable(self._refused[1])
                opened = AsyncExitStack()
                try:
                    engine = await opened.enter_async_context(open_engine(now))
                except TemporalUnreachable as error:
                    self._refused = time.monotonic(), error.address
                    raise
                former, self._opened, self._engine = self._opened, opened, engine
                await former.aclose()
            return self._engine

    def chain(self) -> ChainWatch:
        """Give the watch over the audit's chain; it lasts for as long as the server."""
        if self._chain is None:
            self._chain = ChainWatch(self.log)
        return self._chain

    async def close(self) -> None:
        """Let go of everything."""
        self.live.close()
        self.board.close()
        await self._opened.aclose()
        self.tokens.close()
        self.repeats.close()
        self.log.close()


def installation(request: Request) -> Installation:
    """Give the installation that a request is for."""
    found: Installation = request.app.state.installation
    return found


async def engine(request: Request) -> Engine:
    """Give the engine that a request is for."""
    return await installation(request).engine()


async def answered(act: Callable[[], Awaitable[T]]) -> T:
    """Give a run some time to answer. Raises TimeoutError with a sentence."""
    try:
        async with asyncio.timeout(ANSWERED_WITHIN):
            return await act()
    except TimeoutError:
        raise TimeoutError(
            f"The run did not answer in {ANSWERED_WITHIN:.0f} s: no worker is there, or it is paused and acts on it "
            "later. What was asked may still happen: look before asking again."
        ) from None
