"""Connects to Temporal the way its own tools do: by environment variables and profiles."""

import asyncio

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime
from temporalio.service import RPCError

from orchestrator.observing.tracing import interceptors
from orchestrator.settings import Settings

DEFAULT_ADDRESS = "localhost:7233"
_PAUSE = 0.1


class TemporalUnreachable(Exception):
    """Temporal does not answer: check that it runs, and TEMPORAL_ADDRESS or the profile."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"Temporal does not answer at {address}. Check that it runs there, and TEMPORAL_ADDRESS or the profile."
        )
        self.address = address


async def connect(settings: Settings, *, within: float = 10.0, runtime: Runtime | None = None) -> Client:
    """Connect within so many seconds; the address of the settings wins over a profile's.

    A server that is just starting takes connections a moment before it answers: it is waited for. One that takes none
    is not.
    """
    config = ClientConfig.load_client_connect_config()
    address = config["target_host"] = settings.temporal_address or config.get("target_host") or DEFAULT_ADDRESS
    try:
        async with asyncio.timeout(within):
            while True:
                try:
                    return await Client.connect(
                        **config, data_converter=pydantic_data_converter, runtime=runtime, interceptors=interceptors()
                    )
                except (RuntimeError, RPCError):
                    if not await _takes_connections(address):
                        raise
                    await asyncio.sleep(_PAUSE)
    except (TimeoutError, RuntimeError, RPCError) as error:
        # What the SDK says of a connection are the insides of its own library: the cause keeps it.
        raise TemporalUnreachable(address) from error


async def _takes_connections(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host.strip("[]") or address, int(port))
    except (OSError, ValueError):
        return False
    writer.close()
    return True
