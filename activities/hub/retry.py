"""When to try again: jittered exponential back-off, and the wait that a Hub asks for."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True)
class Backoff:
    """How often a call that may be repeated is tried, and how long to wait in between, in seconds."""

    attempts: int = 5
    first: float = 0.2
    longest: float = 20.0
    longest_asked: float = 60.0

    def wait(self, tries: int, asked: float | None) -> float:
        """Seconds to wait after the given number of failed tries; what the Hub asks for wins, up to a cap."""
        if asked is not None:
            return min(asked, self.longest_asked) + random.uniform(0, self.first)
        return min(self.longest, self.first * 2.0 ** (tries - 1)) * random.uniform(0.5, 1.0)


def retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds that a `Retry-After` header asks for: a number, or an HTTP date; None when it cannot be read."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return max(0.0, (moment - now).total_seconds())
