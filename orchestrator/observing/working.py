"""A worker that is watched over: connected with its counters and traces, and with its door open."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from temporalio.worker import Worker

from orchestrator.observing.tracing import traced
from orchestrator.settings import Settings
from orchestrator.temporal import connect
from orchestrator.worker import working


@asynccontextmanager
async def observed_worker(settings: Settings) -> AsyncIterator[Worker]:
    """Work for as long as the block lasts; what the settings do not want is not even imported."""
    async with AsyncExitStack() as stack:
        stack.enter_context(traced(settings, "worker"))
        if settings.metrics_address is None:
            client = await connect(settings)
            yield await stack.enter_async_context(working(settings, client))
            return
        from orchestrator.observing.door import door, open_door
        from orchestrator.observing.exposition import Exposition
        from orchestrator.observing.sdk import counting_runtime

        runtime, sdk = counting_runtime()
        client = await connect(settings, runtime=runtime)
        exposition = Exposition(settings, sdk)
        stack.callback(exposition.close)
        host, _, port = settings.metrics_address.rpartition(":")
        # Open before the worker works: that it does not is then told there.
        workers: list[Worker] = []
        application = door(settings, exposition, lambda: bool(workers) and workers[0].is_running)
        await stack.enter_async_context(open_door(application, host.strip("[]"), int(port)))
        workers.append(await stack.enter_async_context(working(settings, client)))
        yield workers[0]
