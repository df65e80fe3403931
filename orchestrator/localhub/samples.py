"""Samples of hub policies and hub schedules: every kind of condition, mark and recurrence that the contract has."""

from typing import Any

from orchestrator.localhub.clock import now_us

Body = dict[str, Any]


def sample_policies(filesystem: str) -> list[Body]:
    """Give policies that differ in what they look at and in when they run."""
    cold = _group(11, "Cold media", _date("accessed", "90"), _size("greater", 1_048_576), _types("mov", "MXF", ".dpx"))
    cold["filetype_conditions"].append(_types("tmp", include=False))
    scratch = _group(12, "Scratch", _date("modified", "30"), _types("tmp", "bak"))
    ancient = _group(
        13, "Ancient, and at rest", _date("accessed", "365"), _date("changed", "7", "newer", include=False)
    )
    young = _group(14, "Not young", _date("modified", "14", "newer", include=False))
    young["filesize_conditions"] = [_size("less", 4096, include=False), _size("greater", 10 * 2**30, include=False)]
    small = _group(15, "Small", _size("less", 1))
    weekdays = {"minute": "0", "hour": "22", "day_of_week": "1-5", "time": "22:00"}
    monthly = {"minute": "30", "hour": "3", "day_of_month": "1", "time": "03:30"}
    sunday = {"minute": "15", "hour": "4", "day_of_week": "0", "time": "04:15", "timezone": "Europe/London"}
    often = {"minute": "0", "hour": "*/4"}
    marks = [_pool("sas1", 90.0, 75.0, 60.0), _pool("nearline", None, None, None, most=80.0)]
    cloud = [_pool("sas1", 85.0, 70.0, 0.0), _pool("target", None, None, None, cloud=True)]
    return [
        _policy("cold media (sample)", filesystem, weekdays, [cold], order=("atime", False)),
        _policy("scratch & ancient (sample)", filesystem, monthly, [scratch, ancient], order=("size", True)),
        _policy("all but the young (sample)", filesystem, sunday, [young]),
        _policy("empty files (sample)", filesystem, often, [small], order=("mtime", False)),
        _policy("sas1 to nearline (sample)", filesystem, {}, [cold], triggers=marks),
        _policy("sas1 to the target (sample)", filesystem, None, [], triggers=cloud),
    ]


def sample_schedules(site: str, mountpoint: str) -> list[tuple[Body, list[Body]]]:
    """Give schedules with what they start."""
    often = _schedule("premigrate often (sample)", site, f"{mountpoint}/projects", minute="*/15", hour="*")
    weekly = _schedule("weekend (sample)", site, f"{mountpoint}/projects/done", minute="0", hour="6", day_of_week="6,0")
    changes = _schedule("replicate (sample)", site, f"{mountpoint}/projects", minute="10", hour="1")
    changes["discovery"] = "snapdiff"
    return [
        (often, [_workflow("premigrate", site, queue="bulk")]),
        (weekly, [_workflow("premigrate", site), _workflow("recall", site, fields={"lock_level": "partial"})]),
        (changes, [_workflow("site_sync", site, fields={"destinationsite": "paris", "sync_preference": "newest"})]),
    ]


def _policy(
    name: str,
    filesystem: str,
    cron: Body | None,
    groups: list[Body],
    *,
    triggers: list[Body] | None = None,
    order: tuple[str, bool] = ("atime", False),
) -> Body:
    every = {"minute": "0", "hour": "2", "day_of_week": "*", "day_of_month": "*", "month_of_year": "*"}
    schedule = {"id": 1, "time": "02:00", "timezone": "UTC", "first_occur": False, **every, **(cron or {})}
    return {
        "name": name,
        "enabled": False,
        "policy_type": "migration",
        "filesystem": filesystem,
        "site": 1,
        "spaces": [1],
        "threads": 2,
        "order": {"id": 1, "by": order[0], "reverse": order[1]},
        "schedule": None if cron is None else schedule,
        "triggers": triggers or [],
        "condition_groups": groups,
        "created": now_us(),
    }


def _group(number: int, name: str, *conditions: Body) -> Body:
    group: Body = {"id": number, "name": name, "policy": 1}
    for kind, key in (("date", "age"), ("filesize", "size"), ("filetype", "filetypes")):
        group[f"{kind}_conditions"] = [one for one in conditions if key in one]
    return group


def _date(field: str, days: str, side: str = "older", *, include: bool = True) -> Body:
    condition = {"id": 1, "condition_group": 1, "date_field": field, "older_or_newer": side, "include": include}
    return condition | {"age": f"{days} 00:00:00"}


def _size(side: str, size: int, *, include: bool = True) -> Body:
    return {"id": 1, "condition_group": 1, "greater_or_less": side, "size": size, "include": include}


def _types(*types: str, include: bool = True) -> Body:
    return {"id": 1, "condition_group": 1, "filetypes": list(types), "include": include}


def _pool(
    name: str,
    upper: float | None,
    lower: float | None,
    premigrate: float | None,
    *,
    most: float = 100.0,
    cloud: bool = False,
) -> Body:
    marks = {"upper_threshold": upper, "lower_threshold": lower, "premigrate_threshold": premigrate}
    return {"id": 1, "pool_name": name, "is_cloud": cloud, "max_utilisation": most, **marks}


def _schedule(name: str, site: str, path: str, **cron: str) -> Body:
    every = {"minute": "0", "hour": "2", "day_of_week": "*", "day_of_month": "*", "month_of_year": "*"}
    place = {"site": site, "space": "projects", "managed_paths": [path]}
    return {"name": name, "enabled": False, "discovery": "recursive", "discovery_options": {}, **place, **every, **cron}


def _workflow(workflow: str, site: str, *, queue: str = "default", fields: Body | None = None) -> Body:
    return {"workflow": workflow, "queue": queue, "site": site, "fields": fields or {}}
