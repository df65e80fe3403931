"""Time as the Hub keeps it: whole microseconds since the epoch, UTC."""

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now_us() -> int:
    """Give the present time."""
    return time.time_ns() // 1000


def moment(us: int) -> datetime:
    """Give a time as an aware datetime."""
    return _EPOCH + timedelta(microseconds=us)


def parse_us(text: str) -> int:
    """Read ISO 8601 with or without a zone (then UTC), or epoch seconds; raise ValueError for anything else."""
    try:
        return int(float(text) * 1_000_000)
    except ValueError:
        pass
    read = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text.strip())
    aware = read if read.tzinfo else read.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)
