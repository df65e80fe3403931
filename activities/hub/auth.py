"""The Hub's client keys, and what this account may do."""

from collections.abc import AsyncIterator
from typing import Any

from pydantic import SecretStr

from activities.hub.client import Hub
from activities.hub.reading import Record, Reference, read
from activities.hub.wire import filled


class ClientKey(Record):
    """A client key; its secret is told once, when it is made."""

    id: int
    name: str
    user: Reference = None
    api_key: SecretStr | None = None


async def keys(hub: Hub) -> AsyncIterator[ClientKey]:
    """The client keys of this account."""
    async for key in hub.items("/auth/clientkeys/", None, ClientKey):
        yield key


async def make_key(hub: Hub, name: str) -> ClientKey:
    """Make a client key. Sent once; raises OutcomeUnknown when it may have been made without our hearing of it."""
    return read(ClientKey, await hub.post("/auth/clientkeys/", {"name": name}), "POST /auth/clientkeys/")


async def delete_key(hub: Hub, key: int) -> None:
    """Delete a client key."""
    await hub.request("DELETE", filled("/auth/clientkeys/{id}/", id=key), repeat=True)


async def permissions(hub: Hub) -> Any:
    """What this account may do, as the Hub puts it; the cheapest call that proves the credentials."""
    return await hub.get("/my-permissions/")
