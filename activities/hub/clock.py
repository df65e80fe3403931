"""The Hub's clock, which need not be ours: since when to look for jobs that were made after something happened here."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from activities.hub.client import Hub

CLOCK_SLACK = timedelta(minutes=10)
"""How far two clocks may be apart beyond what the Hub's answers show."""


async def looked_from(hub: Hub, moment: datetime) -> datetime:
    """Give the Hub's own time of a moment of ours, and a little earlier to be safe: later jobs were made after it.

    It is our own time where the Hub's answers have no date. Raises HubError.
    """
    answer = await hub.request("GET", "/sites/", params={"page_size": 20})
    try:
        ahead = parsedate_to_datetime(answer.headers["date"]) - datetime.now(UTC)
    except (KeyError, ValueError, TypeError):
        ahead = timedelta(0)
    return moment + ahead - CLOCK_SLACK
