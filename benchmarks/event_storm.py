"""10,000 deliveries of 100 events in random order, worker and door killed meanwhile: what came of it, and how fast.

`python -m benchmarks.event_storm [--repeats 100]`
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from tests.event_storm import open_place, rage
from tests.local_hub import LocalHub
from tests.machine import temporal_process

EVENTS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=100)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as name, LocalHub(Path(name) / "hub") as hub:
        temporal = temporal_process(Path(name) / "temporal")
        try:
            key = hub.state / "admin.key"
            place = open_place(Path(name) / "place", temporal=temporal.address, hub=hub.url, key=key)
            try:
                storm = asyncio.run(rage(place, events=EVENTS, repeats=repeats))
            finally:
                place.stop()
        finally:
            temporal.stop()
    print(f"{storm.taken:,} deliveries taken in {storm.seconds:.0f} s, {storm.again:,} had to be made again")
    print(f"events kept: {len(storm.kept)}, acted on: {len(storm.acted_on)}, of {EVENTS}")
    good = len(storm.kept) == EVENTS == len(storm.acted_on)
    print("exactly once each" if good else "NOT GOOD")
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
