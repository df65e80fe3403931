"""How the Hub itself is set up, as far as it matters to us."""

from typing import Any

from activities.hub.client import Hub
from activities.hub.reading import MaybeWhole, Record, read


class Configuration(Record):
    """The Hub's settings; `jobs_ttl` are the days after which it deletes a finished job."""

    jobs_ttl: MaybeWhole = None
    search_backend: str | None = None
    search_max_results: MaybeWhole = None
    search_result_ttl: MaybeWhole = None
    maximum_external_results: MaybeWhole = None
    schedules_enabled: bool | None = None
    stat_timeout: MaybeWhole = None
    stat_refresh_period: MaybeWhole = None
    health_timeout: MaybeWhole = None


async def current(hub: Hub) -> Configuration:
    """The settings as they are."""
    told: Any = await hub.get("/configurations/")
    if isinstance(told, dict) and isinstance(told.get("results"), list):
        told = told["results"]
    if isinstance(told, list):
        told = told[0] if told else {}
    return read(Configuration, told, "GET /configurations/")
