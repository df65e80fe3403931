"""The ids of what lives long in Temporal; each begins with the task queue, so that two installations never meet."""

from datetime import datetime


def desk_id(queue: str, site: str) -> str:
    """Name the desk of a site."""
    return f"{queue}/desk/{site}"


def keeper_id(queue: str) -> str:
    """Name the keeper of the schedules."""
    return f"{queue}/keeper"


def router_id(queue: str) -> str:
    """Name the router of the events."""
    return f"{queue}/router"


def schedules_prefix(queue: str) -> str:
    """Begin the id of every Schedule of ours: nothing else is looked into or touched."""
    return f"{queue}/schedule/"


def schedule_id(queue: str, policy: str, site: str, trigger: str) -> str:
    """Name the Schedule of a policy's trigger, by the trigger's key."""
    return f"{schedules_prefix(queue)}{policy}/{site}/{trigger}"


def fire_id(queue: str, policy: str, site: str, trigger: str) -> str:
    """Name what a Schedule starts; the engine adds the time."""
    return f"{queue}/fire/{policy}/{site}/{trigger}"


def fired_id(fire: str, meant: datetime) -> str:
    """Name what a Schedule started for one fire time, as the engine does."""
    return f"{fire}-{meant:%Y-%m-%dT%H:%M:%SZ}"


def watch_prefix(queue: str) -> str:
    """Begin the id of every watcher of a pool."""
    return f"{queue}/pool/"


def watch_id(queue: str, site: str, filesystem: str | None, pool: str) -> str:
    """Name the watcher of a pool; without a file system it is the pool of that name at the site."""
    return f"{watch_prefix(queue)}{site}/{filesystem or '-'}/{pool}"
