"""`/metrics`: what this process counted, how things stand, and what Temporal's SDK counts here."""

import asyncio
import re

import aiohttp
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from orchestrator.observing.state import StateCollector
from orchestrator.settings import Settings

SDK_ANSWERS_WITHIN = 2.0
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SDK_FAMILY = re.compile(rb"^(?:# (?:HELP|TYPE) )?temporal_")


class Exposition:
    """Puts the three together; `sdk` is the address at which the SDK answers in this process, if it does."""

    def __init__(self, settings: Settings, sdk: str | None = None) -> None:
        self._sdk = sdk
        self._collector = StateCollector(settings)
        self._state = CollectorRegistry(auto_describe=False)
        self._state.register(self._collector)

    async def text(self) -> bytes:
        """Give everything in Prometheus' text format; what does not answer is left out."""
        own = await asyncio.to_thread(lambda: generate_latest(REGISTRY) + generate_latest(self._state))
        return own + await self._of_the_sdk()

    def close(self) -> None:
        """Close every connection."""
        self._collector.close()

    async def _of_the_sdk(self) -> bytes:
        if self._sdk is None:
            return b""
        try:
            timeout = aiohttp.ClientTimeout(total=SDK_ANSWERS_WITHIN)
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(self._sdk) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            return b""
        return b"".join(line for line in body.splitlines(keepends=True) if _SDK_FAMILY.match(line))
