"""Every event is acted on once, however often it is delivered and whatever dies meanwhile."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.services import free_port
from orchestrator.settings import load_settings
from orchestrator.stack import temporal_service
from tests.event_storm import open_place, rage
from tests.local_hub import LocalHub
from tests.machine import Process


@pytest.fixture
def temporal(tmp_path: Path) -> Iterator[Process]:
    """Start a server that suggests a fresh history after every hundred events, so that deaths meet many of them."""
    folder, port = tmp_path / "temporal", free_port()
    service = temporal_service(load_settings(state_dir=folder), port, folder / "temporal.log")
    service.command += ["--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=100"]
    server = Process(service)
    yield server
    server.stop()


@pytest.mark.long
async def test_a_storm_of_repeated_events_is_handled_once_each_while_worker_and_door_are_killed(
    tmp_path: Path, temporal: Process, local_hub: LocalHub
) -> None:
    place = open_place(
        tmp_path / "place", temporal=temporal.address, hub=local_hub.url, key=local_hub.state / "admin.key"
    )
    try:
        storm = await rage(place, events=100, repeats=20)
    finally:
        place.stop()
    assert storm.taken == 2000
    assert storm.again > 0, "the killed door was felt"
    assert len(storm.kept) == len(set(storm.kept)) == 100
    assert len(storm.acted_on) == len(set(storm.acted_on)) == 100
