"""Which transport is the fastest behind the httpx API: `python benchmarks/transport.py [--jobs 400] [--rounds 5]`.

A job is one POST and one GET. All variants run in turn in this process, 100 jobs in flight, against a bare server in
another process, so that the client's own cost shows. Prints medians, and ratios to bare aiohttp.
"""

import argparse
import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport as PublishedTransport

from activities.hub.client import Hub
from activities.hub.credentials import credentials_from
from activities.hub.transport import AiohttpTransport

BODY = b'{"site":"a","workflow":"migrate","paths":[{"path":"/mmfs1/data/project/file-0000001.mov"}]}'
HEADERS = {"authorization": "Api-Key benchmark", "content-type": "application/json"}
Job = Callable[[int], Awaitable[None]]


class Answer(asyncio.Protocol):
    """Answers every request at once with the same small JSON."""

    REPLY = (
        b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 29\r\n\r\n{"job":12345,"state":"DONE"}\n'
    )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.held = b""

    def data_received(self, data: bytes) -> None:
        self.held += data
        while b"\r\n\r\n" in self.held:
            head, _, rest = self.held.partition(b"\r\n\r\n")
            lower = head.lower()
            length = int(lower.split(b"content-length:")[1].split(b"\r\n")[0]) if b"content-length:" in lower else 0
            if len(rest) < length:
                return
            self.held = rest[length:]
            self.transport.write(self.REPLY)  # type: ignore[attr-defined]


def serve(port_to: Connection) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Answer, "127.0.0.1", 0)
        port_to.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


async def timed(job: Job, jobs: int, lanes: int) -> tuple[float, float]:
    """Seconds by the wall clock and of CPU for so many jobs, so many in flight."""
    numbers = iter(range(jobs))

    async def lane(number: int) -> None:
        for _ in numbers:
            await job(number)

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(lane(number) for number in range(lanes)))
    return time.perf_counter() - wall, time.process_time() - cpu


async def bare_aiohttp(base: str, run: Callable[[Job], Awaitable[None]]) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=HEADERS) as session:

        async def job(_: int) -> None:
            async with session.post(f"{base}/api/file/workflow/", data=BODY) as answer:
                await answer.read()
            async with session.get(f"{base}/api/jobs/12345/progress/") as answer:
                await answer.read()

        await run(job)


async def httpx_clients(clients: list[httpx.AsyncClient], base: str, run: Callable[[Job], Awaitable[None]]) -> None:
    async def job(lane: int) -> None:
        client = clients[lane % len(clients)]
        (await client.post(f"{base}/api/file/workflow/", content=BODY)).read()
        (await client.get(f"{base}/api/jobs/12345/progress/")).read()

    try:
        await run(job)
    finally:
        for client in clients:
            await client.aclose()


async def hub_client(base: str, run: Callable[[Job], Awaitable[None]], lanes: int) -> None:
    async with Hub(base, credentials=credentials_from(key="benchmark"), max_connections=lanes) as hub:
        body = {"site": "a", "workflow": "migrate", "paths": [{"path": "/mmfs1/data/project/file-0000001.mov"}]}

        async def job(_: int) -> None:
            await hub.request("POST", "/file/workflow/", json=body)
            await hub.request("GET", "/jobs/12345/progress/")

        await run(job)


def client(**options: object) -> httpx.AsyncClient:
    return httpx.AsyncClient(headers=HEADERS, timeout=60, trust_env=False, **options)  # type: ignore[arg-type]


def variants(base: str, lanes: int) -> dict[str, Callable[[Callable[[Job], Awaitable[None]]], Awaitable[None]]]:
    limits = httpx.Limits(max_connections=lanes, max_keepalive_connections=lanes)
    one = httpx.Limits(max_connections=1, max_keepalive_connections=1)
    tls = httpx.create_ssl_context()
    return {
        "aiohttp, bare": lambda run: bare_aiohttp(base, run),
        "httpx, one shared client": lambda run: httpx_clients([client(limits=limits, verify=tls)], base, run),
        "httpx, a client a lane": lambda run: httpx_clients(
            [client(limits=one, verify=tls) for _ in range(lanes)], base, run
        ),
        "httpx over httpx-aiohttp": lambda run: httpx_clients(
            [client(transport=PublishedTransport(verify=tls, limits=limits))], base, run
        ),
        "httpx over our transport": lambda run: httpx_clients([client(transport=AiohttpTransport())], base, run),
        "Hub.request (our transport)": lambda run: hub_client(base, run, lanes),
    }


async def measure(base: str, jobs: int, lanes: int, rounds: int) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for number in range(rounds):
        for name, variant in variants(base, lanes).items():

            async def run(job: Job, name: str = name, number: int = number) -> None:
                await timed(job, lanes, lanes)  # Connections are made before the clock starts.
                result = await timed(job, jobs, lanes)
                found.setdefault(name, []).append(result)

            await variant(run)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=400)
    parser.add_argument("--lanes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    try:
        base = f"http://127.0.0.1:{ours.recv()}"
        found = asyncio.run(measure(base, options.jobs, options.lanes, options.rounds))
    finally:
        server.terminate()
        server.join()
    print(f"{options.jobs} jobs (POST + GET), {options.lanes} in flight, median of {options.rounds} runs in turn")
    print(f"{'':30} {'jobs/s':>8} {'CPU ms/job':>11} {'CPU : bare':>11} {'wall : bare':>12}")
    bare_wall, bare_cpu = (statistics.median(values) for values in zip(*found["aiohttp, bare"], strict=True))
    for name, results in found.items():
        wall, cpu = (statistics.median(values) for values in zip(*results, strict=True))
        rate, cost = options.jobs / wall, cpu / options.jobs * 1000
        print(f"{name:30} {rate:8.0f} {cost:11.2f} {cpu / bare_cpu:11.1f} {wall / bare_wall:12.1f}")


if __name__ == "__main__":
    main()
