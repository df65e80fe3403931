"""The server process of a local Hub: start, say where it is, serve until told to end."""

import asyncio
import fcntl
import json
import logging
import os
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import uvicorn

from orchestrator.localhub.app import API, build_app
from orchestrator.localhub.config import LocalHubConfig
from orchestrator.localhub.connections import KnownConnection
from orchestrator.localhub.hub import LocalHub

log = logging.getLogger(__name__)
_GRACE_SECONDS = 5
_BACKLOG = 2048


class StateInUse(RuntimeError):
    """Another local Hub works on this state."""


def serve(config: LocalHubConfig) -> None:
    """Serve until SIGTERM or SIGINT; the ready file is written when the first request can be answered.

    Raises StateInUse, BadFaults, OSError when the address is taken, ValueError.
    """
    _allow_many_files()
    if hasattr(signal, "SIGIO"):
        signal.signal(signal.SIGIO, signal.SIG_IGN)  # a broken lease must not end the process
    server: uvicorn.Server | None = None

    def leave(number: int, frame: FrameType | None) -> None:
        # Only until uvicorn listens to signals itself, and once more when it raises again what it got.
        if server is None:
            raise SystemExit(0)
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    with _locked(config.state), _listen(config) as listening:
        hub = LocalHub(config)
        hub.start()
        try:
            server = _server(hub)
            asyncio.run(_serve(server, hub.config, listening))
        finally:
            hub.stop()
            if config.ready_file is not None:
                config.ready_file.unlink(missing_ok=True)


def _server(hub: LocalHub) -> uvicorn.Server:
    options = uvicorn.Config(
        build_app(hub),
        http=KnownConnection,
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_keep_alive=75,
    )
    return uvicorn.Server(options)


async def _serve(server: uvicorn.Server, config: LocalHubConfig, listening: socket.socket) -> None:
    asyncio.get_running_loop().call_soon(_announce, config, listening)
    await server.serve(sockets=[listening])


@contextmanager
def _locked(state: Path) -> Iterator[None]:
    """Keep a second Hub off the same state; the system lets go of the lock when the process ends in any way."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateInUse(f"another local Hub works on {state}") from error
        yield


def _listen(config: LocalHubConfig) -> socket.socket:
    # asyncio turns off the delay of small packets only where the protocol is named: without it an answer takes 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((config.host, config.port))
    listening.listen(_BACKLOG)
    return listening


def _announce(config: LocalHubConfig, listening: socket.socket) -> None:
    url = f"http://{config.host}:{listening.getsockname()[1]}{API}"
    if config.ready_file is not None:
        _write_ready(config, url)
    print(f"The local Hub of site {config.site} answers at {url}; its key is in {config.key_file}", flush=True)


def _write_ready(config: LocalHubConfig, url: str) -> None:
    assert config.ready_file is not None
    facts = {
        "url": url,
        "pid": os.getpid(),
        "site": config.site,
        "mountpoint": config.mountpoint,
        "filesystem": str(config.filesystem),
        "target": str(config.target),
        "key_file": str(config.key_file),
        "username": "admin",
        "password_file": str(config.password_file),
        "dialect": config.dialect,
    }
    partial = Path(f"{config.ready_file}.part")
    partial.write_text(json.dumps(facts, indent=1) + "\n")
    partial.replace(config.ready_file)


def _allow_many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16384 if hard == resource.RLIM_INFINITY else min(hard, 16384)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
