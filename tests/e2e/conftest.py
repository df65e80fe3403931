"""Machines and services for the tests of whole processes; each test ends what it started, by its process id."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local_hub import LocalHub
from tests.machine import Machine, Process, temporal_process, worker_process


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A state directory of its own with the command line in it; nothing may outlive the test."""
    here = Machine(tmp_path / "machine")
    yield here
    left = here.close()
    assert not left, f"left behind: {left}"


@pytest.fixture
def local_hub(tmp_path: Path) -> Iterator[LocalHub]:
    """A local Hub as a process."""
    with LocalHub(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture
def temporal(tmp_path: Path) -> Iterator[Process]:
    """An embedded Temporal server as a process."""
    server = temporal_process(tmp_path / "temporal")
    yield server
    server.stop()


@pytest.fixture
def worker(tmp_path: Path, temporal: Process, local_hub: LocalHub) -> Iterator[Process]:
    """A worker as a process, for that Temporal and that Hub."""
    key = local_hub.state / "admin.key"
    process = worker_process(tmp_path / "worker", temporal=temporal.address, hub=local_hub.url, key=key)
    yield process
    process.stop()
