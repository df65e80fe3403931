"""Finding the Hub's jobs that have ended: each once, with few requests, from whatever cursor a follower begins."""

import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from pydantic import SecretStr

from activities import finished_jobs
from activities.finished_jobs import MOST_KNOWN, Look
from activities.hub.client import Hub
from activities.hub.credentials import ApiKey
from activities.hub.transport import AiohttpTransport
from tests.local_hub import LocalHub
from workflows.events import HubCursor

BODY = '{"fields": {}, "include": [], "exclude": []}'


class Counting(AiohttpTransport):
    """The real transport, which notes what was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        return await super().handle_async_request(request)


class Jobs:
    """The Hub's own table of jobs, written as a Hub of some years would have it."""

    def __init__(self, hub: LocalHub) -> None:
        self._path = hub.state / "hub.sqlite"

    def make(self, count: int, state: str = "STARTED", age: timedelta = timedelta(0)) -> list[int]:
        at = datetime.now(UTC) - age
        made = round(at.timestamp() * 1e6)
        ended = made if state == "SUCCESS" else None
        row = ("premigrate", "london", "default", state, made, ended, BODY)
        with closing(sqlite3.connect(self._path, timeout=30)) as database, database:
            last = database.execute("SELECT coalesce(max(id), 0) FROM jobs").fetchone()[0]
            columns = "workflow, site, queue, state, created, completed, body"
            database.executemany(f"INSERT INTO jobs ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", [row] * count)
            numbers = list(range(last + 1, last + 1 + count))
            tasks = [(number, f"task-{number}", "premigrate", state) for number in numbers]
            database.executemany("INSERT INTO tasks (job, task_id, tasktype, state) VALUES (?, ?, ?, ?)", tasks)
        return numbers

    def end(self, *numbers: int, state: str = "SUCCESS") -> None:
        now = round(datetime.now(UTC).timestamp() * 1e6)
        with closing(sqlite3.connect(self._path, timeout=30)) as database, database:
            ended = [(state, now, number) for number in numbers]
            database.executemany("UPDATE jobs SET state = ?, completed = ? WHERE id = ?", ended)

    def delete(self, number: int) -> None:
        with closing(sqlite3.connect(self._path, timeout=30)) as database, database:
            database.execute("DELETE FROM jobs WHERE id = ?", (number,))
            database.execute("DELETE FROM tasks WHERE job = ?", (number,))


@pytest.fixture
def transport() -> Counting:
    return Counting()


@pytest.fixture
async def client(hub: LocalHub, transport: Counting) -> AsyncIterator[Hub]:
    async with Hub(hub.url, credentials=ApiKey(SecretStr(hub.key)), transport=transport) as client:
        yield client


@pytest.fixture
def jobs(hub: LocalHub) -> Jobs:
    return Jobs(hub)


def now() -> HubCursor:
    return HubCursor(began=datetime.now(UTC).isoformat())


async def look(client: Hub, cursor: HubCursor) -> tuple[list[tuple[int, str]], HubCursor]:
    one = Look(client, cursor)
    found = [(event.data["id"], event.data["state"]) async for event in one.events()]
    # As it travels: through JSON.
    return found, HubCursor.model_validate_json(one.cursor.model_dump_json())


async def test_old_jobs_are_never_listed_and_a_quiet_look_is_one_request(
    client: Hub, jobs: Jobs, transport: Counting
) -> None:
    jobs.make(20_000, "SUCCESS", age=timedelta(days=30))
    open_ones = jobs.make(3, "STARTED", age=timedelta(days=29))
    found, cursor = await look(client, now())
    assert (found, [job.id for job in cursor.open]) == ([], open_ones)
    assert len(transport.asked) <= 4, "open ones, those made lately, those ended since, and how they stand"

    jobs.end(*open_ones)
    found, cursor = await look(client, cursor)
    assert found == [(number, "SUCCESS") for number in open_ones]
    transport.asked.clear()
    for _ in range(10):
        found, cursor = await look(client, cursor)
        assert found == []
    assert len(transport.asked) == 10
    assert len(cursor.model_dump_json()) < 300


async def test_a_cursor_moves_on_with_the_newest_job_and_stays_small_however_many_there_were(
    client: Hub, jobs: Jobs, transport: Counting
) -> None:
    _, cursor = await look(client, now())
    sizes, requests = [], []
    for hours in range(8, 0, -1):
        jobs.make(700, "SUCCESS", age=timedelta(minutes=hours))
        transport.asked.clear()
        found, cursor = await look(client, cursor)
        requests.append(len(transport.asked))
        sizes.append(len(cursor.jobs))
        assert len(found) == 700
    assert max(sizes) <= MOST_KNOWN + 700
    assert max(requests) <= 7 * 5, "those of the last minutes, a hundred a page"


async def test_what_had_ended_before_is_no_news_and_what_ends_before_the_first_look_is(client: Hub, jobs: Jobs) -> None:
    [old] = jobs.make(1)
    jobs.end(old)
    cursor = now()
    [meanwhile, still] = jobs.make(2)
    jobs.end(meanwhile, state="FAILURE")
    found, cursor = await look(client, cursor)
    assert found == [(meanwhile, "FAILURE")]
    jobs.end(still)
    assert (await look(client, cursor))[0] == [(still, "SUCCESS")]


async def test_a_job_that_was_deleted_is_forgotten_without_an_end(client: Hub, jobs: Jobs) -> None:
    numbers = jobs.make(3)
    _, cursor = await look(client, now())
    jobs.delete(numbers[0])
    found, cursor = await look(client, cursor)
    assert found == []
    assert [job.id for job in cursor.open] == numbers[1:]


@pytest.mark.parametrize("seed", range(3))
async def test_no_end_is_lost_wherever_the_follower_dies_and_all_have_one_id_each(
    seed: int, client: Hub, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead follower begins again with any cursor that was stored before; few places make every bound felt."""
    monkeypatch.setattr(finished_jobs, "MOST_OPEN", 4)
    monkeypatch.setattr(finished_jobs, "MOST_KNOWN", 6)
    dice = random.Random(seed)
    _, cursor = await look(client, now())
    stored, made, ended = [cursor], set[int](), set[int]()
    told: dict[int, set[str]] = {}
    for step in range(25):
        made.update(jobs.make(dice.randrange(5)))
        ending = {number for number in made - ended if dice.random() < (0.3 if step < 20 else 1)}
        jobs.end(*ending)
        ended |= ending
        begins_again = dice.random() < 0.3
        one = Look(client, dice.choice(stored[-4:]) if begins_again else stored[-1])
        async for event in one.events():
            assert event.data["id"] in ended
            told.setdefault(event.data["id"], set()).add(event.key)
        if dice.random() < 0.8:  # else it died before the cursor was stored
            stored.append(one.cursor)
            assert len(one.cursor.open) <= 4
    for _ in range(len(made)):
        one = Look(client, stored[-1])
        async for event in one.events():
            told.setdefault(event.data["id"], set()).add(event.key)
        stored.append(one.cursor)
    assert told.keys() == made
    assert all(len(keys) == 1 for keys in told.values())
