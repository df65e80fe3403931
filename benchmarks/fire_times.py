"""What fire times cost, and how many entries the engine gets for them: `python benchmarks/fire_times.py`."""

import time
from datetime import UTC, datetime, timedelta

from croniter import croniter

from activities.calendars import calendars
from activities.fire_times import fire_times
from tests.documented_times import CRONS, SPANS
from workflows.triggers import Schedule

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 731


def main() -> None:
    quarters = Schedule(cron="*/15 * * * *", timezone="Europe/London")
    began = time.perf_counter()
    count = sum(1 for _ in fire_times(quarters, START, START + timedelta(days=DAYS)))
    ours = time.perf_counter() - began
    began = time.perf_counter()
    walk = croniter("*/15 * * * *", START.replace(tzinfo=None))
    for _ in range(count):
        walk.get_next()
    print(f"{count:,} fire times of two years: ours {ours:.2f} s, croniter alone {time.perf_counter() - began:.2f} s")

    entries, spent, reaches = [], [], []
    for zone, _ in SPANS:
        for cron in CRONS:
            began = time.perf_counter()
            found = calendars(Schedule(cron=cron, timezone=zone), START)
            spent.append(time.perf_counter() - began)
            entries.append(len(found.specs))
            reaches.append((found.until - START).days if found.until else DAYS)
    entries.sort()
    print(
        f"calendars of {len(entries)} schedules: median {entries[len(entries) // 2]} entries, at most {entries[-1]}; "
        f"reach at least {min(reaches)} days; at most {max(spent) * 1000:.0f} ms each"
    )
    busy = calendars(Schedule(cron="* * * * 1-5", timezone="Europe/London"), START)
    assert busy.until is not None
    print(f"every minute of working days: {len(busy.specs)} entries, {(busy.until - START).days} days")


if __name__ == "__main__":
    main()
