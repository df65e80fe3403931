"""Every event is acted on once, however often it is delivered and whatever dies meanwhile."""

from pathlib import Path

from tests.event_storm import open_place, rage
from tests.local_hub import LocalHub
from tests.machine import Process


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
