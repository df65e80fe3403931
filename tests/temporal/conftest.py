"""A real Temporal server for the whole session; a real local Hub with real files for each test that wants one."""

import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from temporalio.client import Client

from orchestrator.services import Service, free_port
from orchestrator.settings import Settings, load_settings
from orchestrator.stack import temporal_service
from orchestrator.temporal import connect
from orchestrator.worker import working
from tests.local_hub import LocalHub


@pytest.fixture(scope="session")
def temporal_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("temporal")
    port = free_port()
    service: Service = temporal_service(load_settings(state_dir=folder), port, folder / "temporal.log")
    # Each test has a worker of its own name, and a server knows a hundred.
    service.command += ["--dynamic-config-value", "matching.maxDeployments=100000"]
    service.start()
    try:
        service.wait_until_ready()
        yield f"127.0.0.1:{port}"
    finally:
        service.stop()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    with LocalHub(tmp_path / "hub") as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, temporal_address: str, hub: LocalHub) -> Settings:
    return load_settings(
        state_dir=tmp_path / "state",
        temporal_address=temporal_address,
        hub_url=hub.url,
        hub_key=hub.key,
        task_queue=f"test-{os.getpid()}-{time.monotonic_ns()}",
    )


@pytest.fixture
async def client(settings: Settings) -> Client:
    return await connect(settings)


@pytest.fixture
async def worker(settings: Settings, client: Client) -> AsyncIterator[None]:
    async with working(settings, client):
        yield
