"""Open connections by the address of the client, so that one can be cut in the middle of an answer."""

import asyncio
from collections.abc import MutableMapping
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

_OPEN: dict[tuple[str, int], asyncio.Transport] = {}


class KnownConnection(H11Protocol):
    """uvicorn's protocol, which also notes its connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note the connection."""
        super().connection_made(transport)
        if self.client is not None:
            _OPEN[self.client] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self.client is not None:
            _OPEN.pop(self.client, None)
        super().connection_lost(exc)


def cut(scope: MutableMapping[str, Any], *, flush: bool = False) -> None:
    """Cut the connection of a request: at once, or after what was written is sent."""
    transport = _OPEN.get(cast("tuple[str, int]", tuple(scope["client"])))
    if transport is None:
        return
    if flush:
        transport.close()
    else:
        transport.abort()
