"""How often the range of a run's end holds, and how wide it is, over simulated campaigns of every shape.

    python -m benchmarks.eta [--campaigns 100]

Each campaign has 25 to 3,000 batches, 1 to 32 slots, and jobs of 3 s to an hour that differ by 5 to 100 % of their
mean; it is looked at when 20, 25, 35, 50, 70 and 90 % have ended. Printed for each kind: the share of the looks at
which the true end lay inside, the share of the campaigns of which every look did, and the median width of the range
over the time that was left, for campaigns of at least 200 batches and for smaller ones. `uneven` is not steady: the
speed of the whole Hub wanders by a fifth and more.
"""

import argparse
import random
import statistics
import time
from typing import Any

from orchestrator.reporting.clock import Clock
from orchestrator.reporting.eta import estimate
from tests.unit.campaigns import START, Campaign

_SHARES = (0.2, 0.25, 0.35, 0.5, 0.7, 0.9)
_KINDS: dict[str, dict[str, Any]] = {
    "steady": {},
    "windows": {"windows": True},
    "rate": {"rate": True},
    "windows and rate": {"windows": True, "rate": True},
    "uneven": {"waves": 0.1},
}


def campaign(seed: int, *, windows: bool = False, rate: bool = False, waves: float = 0.0) -> Campaign:
    """Make up one campaign."""
    chance = random.Random(seed)
    slots, batches = chance.choice([1, 2, 4, 8, 16, 32]), int(10 ** chance.uniform(1.4, 3.5))
    mean, noise = 10 ** chance.uniform(0.5, 3.5), chance.choice([0.05, 0.2, 0.5, 1.0])
    nights = Clock([(START + 86_400 * day, START + 86_400 * day + 43_200) for day in range(400)])
    spacing = mean / slots * chance.choice([0.7, 1.5]) if rate else 0.0
    return Campaign(seed, batches, slots, mean, noise, nights if windows else Clock(), waves, spacing)


def main() -> None:
    """Print a line for each kind of campaign."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--campaigns", type=int, default=100)
    count = parser.parse_args().campaigns
    print(f"{'campaigns':18}{'held':>8}{'all along':>11}{'width, 200+':>13}{'fewer':>8}{'slowest':>10}")
    for name, kind in _KINDS.items():
        held: list[list[bool]] = []
        widths: dict[bool, list[float]] = {True: [], False: []}
        slowest = 0.0
        for seed in range(count):
            one = campaign(seed, **kind)
            looks = []
            for share in _SHARES:
                now = one.at_share(share)
                began = time.perf_counter()
                eta = estimate(*one.seen(now), one.clock)
                slowest = max(slowest, time.perf_counter() - began)
                if eta is not None and one.end > now:
                    looks.append(eta.start <= one.end <= eta.end)
                    widths[one.batches >= 200].append((eta.end - eta.start) / (one.end - now))
            held.append(looks)
        flat = [look for looks in held for look in looks]
        print(
            f"{name:18}{sum(flat) / len(flat):8.1%}{sum(map(all, held)) / len(held):11.1%}"
            f"{statistics.median(widths[True]):13.2f}{statistics.median(widths[False]):8.2f}{slowest * 1000:7.0f} ms"
        )


if __name__ == "__main__":
    main()
