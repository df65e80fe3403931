"""A Hub whose clock is wrong: a job that was made after something happened here is found all the same."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from aiohttp import web
from sqlalchemy import create_engine, text

from activities.audit import Audit, AuditLog
from activities.claiming import Claiming
from activities.claims import Claims, Place
from activities.hub.clock import CLOCK_SLACK, looked_from
from activities.manifests import Batch
from tests.unit.hub_fixtures import Answer, always, answer, by_name, odd_hub, paged

PATH = "/mmfs1/projects/a.mov"
HERE = datetime.now(UTC)


def dated(ahead: timedelta) -> Answer:
    async def script(request: web.Request, body: bytes) -> web.StreamResponse:
        return answer([], date=format_datetime(datetime.now(UTC) + ahead, usegmt=True))

    return script


@pytest.mark.parametrize("minutes", [-24 * 60, -15, 0, 15, 24 * 60])
async def test_a_moment_of_ours_is_looked_for_at_the_hubs_own_time_of_it(minutes: int) -> None:
    ahead = timedelta(minutes=minutes)
    async with odd_hub(dated(ahead)) as odd, odd.hub() as hub:
        found = await looked_from(hub, HERE)
    assert abs(found - (HERE + ahead - CLOCK_SLACK)) < timedelta(seconds=5)


@pytest.mark.parametrize("date", ["yesterday", "Wed, 99 Nov 2026 25:00:00 GMT", ""])
async def test_a_date_that_says_nothing_leaves_our_own_time(date: str) -> None:
    async with odd_hub(always([], date=date)) as odd, odd.hub() as hub:
        assert await looked_from(hub, HERE) == HERE - CLOCK_SLACK


def working_on_it(ahead: timedelta) -> Answer:
    """A Hub that works on the file, whose list of jobs and whose answers go by its own clock."""
    made = datetime.now(UTC) + ahead

    async def listed(request: web.Request, body: bytes) -> web.StreamResponse:
        since = datetime.fromisoformat(request.query["created_time_from"])
        job = {"id": 7, "site": "london", "workflow": "migrate", "state": "STARTED", "created": made.isoformat()}
        return await paged([job] if made >= since else [])(request, body)

    return by_name(
        {
            "GET /sites/": dated(ahead),
            "GET /jobs/": listed,
            "GET /jobs/7/": always({"id": 7, "state": "STARTED"}),
            "GET /jobs/7/files/": always({"detail": "Not found."}, 404),
            "GET /jobstats/": paged([{"path": PATH, "state": "processed", "job": 7}]),
        }
    )


@pytest.mark.parametrize("minutes", [-24 * 60, -15, 0, 15])
@pytest.mark.parametrize("database_ahead", [0, 15])
async def test_a_claim_that_lapsed_is_kept_while_a_hub_in_another_time_works_on_its_file(
    tmp_path: Path, minutes: int, database_ahead: int
) -> None:
    claims, log = Claims(f"sqlite:///{tmp_path / 'claims'}"), AuditLog(f"sqlite:///{tmp_path / 'audit'}")
    claims.take(Place("gone", 1, 0), "london", [PATH])
    engine = create_engine(f"sqlite:///{tmp_path / 'claims'}")
    with engine.begin() as connection:
        later = f"until_us = until_us - 86400000000, taken_us = taken_us + {database_ahead * 60_000_000}"
        connection.execute(text(f"UPDATE claim_holders SET {later}"))
    engine.dispose()
    batch = Batch(0, [0], [PATH], [None], [None], "d")
    async with odd_hub(working_on_it(timedelta(minutes=minutes))) as odd, odd.hub() as hub:
        _, lost = await Claiming(hub, Audit(log), claims).claim(Place("next", 1, 0), "london", batch)
    assert [one.reason for one in lost] == ["in_other_run"]
    claims.close()
    log.close()
