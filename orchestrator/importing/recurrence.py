"""The Hub's recurrence as a schedule trigger: only where both fire at the same moments, else a comment says why not."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from orchestrator.importing.account import Account
from orchestrator.importing.given import Given, as_flag, as_text, said
from orchestrator.importing.yaml_text import Fields, Note
from workflows.cron import Cron, parse_cron

FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")


def cron_of(given: Given) -> str:
    """Take the five fields; a missing one is every value. Raises ValueError where dialects read them differently."""
    words = [_sunday(name, as_text(given.take(name)) or "*") for name in FIELDS]
    if any(re.search(r"\s", word) for word in words):
        words = ["".join(word.split()) for word in words]
    return str(parse_cron(" ".join(words)))


def trigger_of(found: Any, account: Account) -> list[Any]:
    """Write the schedule of a hub policy as triggers, with a comment for what it does not say."""
    if not isinstance(found, dict):
        return [account.lose(f"schedule {said(found)}", "it is not an object")] if found else []
    given = Given(found)
    given.ignore("id")
    start, first = given.take("start_date_time"), as_flag(given.take("first_occur"))
    zone, clock = as_text(given.take("timezone")), as_text(given.take("time"))
    words = _words(found)
    notes: list[Any] = []
    try:
        cron = cron_of(given)
        zone, notes = _zone(cron, zone, clock)
    except ValueError as why:
        return [account.lose(f"schedule {words}", str(why)), *account.lose_rest(given)]
    trigger = Fields().note(*notes).add("cron", cron).add("timezone", zone)
    if start is not None:
        trigger = _started(trigger, start, first, ZoneInfo(zone), account)
    account.keep(f"schedule {cron} {zone}")
    return [Fields().add("schedule", trigger), *account.lose_rest(given)]


def _zone(cron: str, zone: str | None, clock: str | None) -> tuple[str, list[Note]]:
    """The zone in which the cron fires; the Hub keeps a local time beside a cron that may be the same one in UTC."""
    if zone is None:
        return "UTC", [Note("The Hub names no zone: its schedules run in UTC.")]
    if zone != "UTC" and zone not in available_timezones():
        raise ValueError(f"there is no time zone {said(zone)}")
    parsed = parse_cron(cron)
    if clock is None or not parsed.fixed or zone == "UTC":
        if zone == "UTC" and clock is not None and parsed.fixed and _clock(clock) != _fires(parsed):
            raise ValueError(f"its time {said(clock)} is not that of its cron, `{cron}`")
        return zone, []
    local, fires = _clock(clock), _fires(parsed)
    if local == fires:
        return zone, []
    if fires in _in_utc(local, zone):
        return "UTC", [
            Note(
                f"The Hub shows {clock} in {zone} and runs this cron, which is UTC and does not follow the clocks. "
                f"For {clock} all the year: hour {local.hour}, minute {local.minute}, and timezone {zone}."
            )
        ]
    raise ValueError(f"its time {said(clock)} in {zone} is not that of its cron, `{cron}`")


def _clock(text: str) -> time:
    found = re.fullmatch(r"([0-9]{1,2}):([0-9]{2})(?::00(?:\.0+)?)?", text.strip(), re.ASCII)
    if not found or int(found[1]) > 23 or int(found[2]) > 59:
        raise ValueError(f"its time {said(text)} is not a time of the day in whole minutes")
    return time(int(found[1]), int(found[2]))


def _fires(cron: Cron) -> time:
    return time(int(cron.hour), int(cron.minute))


def _in_utc(local: time, zone: str) -> set[time]:
    days = (date(2026, month, 15) for month in range(1, 13))
    return {datetime.combine(day, local, ZoneInfo(zone)).astimezone(UTC).time() for day in days}


def _started(trigger: Fields, start: Any, first: bool | None, zone: ZoneInfo, account: Account) -> Fields:
    """`start` is a whole day: said only where no start of that day would be too early."""
    if not first:
        return trigger.note(account.lose(f"`start_date_time` = {said(start)}", "`first_occur` is not set"))
    try:
        moment = datetime.fromisoformat(str(start).strip())
    except ValueError:
        return trigger.note(account.lose(f"`start_date_time` = {said(start)}", "it is not a moment in ISO 8601"))
    local = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(zone)
    parsed = parse_cron(dict(trigger.pairs)["cron"])
    if not 2000 <= local.year <= 2199:
        return trigger.note(account.lose(f"`start_date_time` = {said(start)}", "the year is out of range"))
    day = local.date()
    if parsed.fixed and local.time() > _fires(parsed):
        day += timedelta(days=1)
    elif not parsed.fixed and local.time() > time(0):
        trigger.note(account.lose(f"the time of `start_date_time` = {said(start)}", "`start` is a whole day"))
    return trigger.add("start", day.isoformat())


def _sunday(name: str, word: str) -> str:
    if name != "day_of_week":
        return word
    return ",".join("0" if part.strip() == "7" else part for part in word.split(","))


def _words(found: Mapping[str, Any]) -> str:
    return " ".join(as_text(found.get(name)) or "*" for name in FIELDS)
