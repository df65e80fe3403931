"""Two attempts at the same batch, both alive: the Hub gets it once, whatever the order of their steps.

Temporal gives an attempt up for lost when its heartbeats stay out; the worker behind it may still be at work.
"""

import asyncio
import dataclasses
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.testing import ActivityEnvironment

from activities.audit import Audit, AuditLog
from activities.bulk import Bulk
from activities.claiming import Claiming
from activities.claims import Claims, Overtaken, Place
from activities.columns import to_table
from activities.hub.client import Hub
from activities.hub.credentials import credentials_from
from activities.hub.namespace import FileRecord
from activities.inventory import write_inventory
from activities.limits import JobLimits
from activities.selection import PlanRequest, make_plan
from activities.storage import Storage, open_storage
from activities.submission import micros
from activities.submit import SubmitBatch, Submits, SubmittedBatch
from tests.local_hub import LocalHub
from workflows.order import order_of
from workflows.policy import Policy

LOOK = {"method": "GET", "path": "*file*"}
SUBMIT = {"method": "POST", "path": "*/file/workflow/"}
SLOW = {"name": "slow", "action": {"kind": "slow", "seconds": 5}, "match": {"workflow": "migrate"}}


def held_up(match: dict[str, str], seconds: float) -> dict[str, object]:
    """Let the first of these requests wait before the Hub takes it."""
    return {"match": match, "action": {"kind": "delay", "seconds": seconds}, "schedule": {"first": 1}}


class Batches:
    """A batch of a plan over real files, and the attempts at it: each in a worker of its own."""

    def __init__(self, folder: Path, hub: LocalHub, client: Hub) -> None:
        self.storage: Storage = open_storage(folder / "storage")
        self.claims = Claims(f"sqlite:///{folder / 'claims.sqlite'}")
        self._folder = folder
        self._log = AuditLog(f"sqlite:///{folder / 'audit.sqlite'}")
        self._client = client
        self._paths = [f"/mmfs1/projects/a/{path.name}" for path in hub.fill(3)]

    def close(self) -> None:
        self.claims.close()
        self._log.close()

    def request(self, *, compare: bool, seek_only: bool = False) -> SubmitBatch:
        run = {"workflow": "migrate"} | ({} if compare else {"recheck": "none"})
        policy = Policy.model_validate(
            {
                "version": 1,
                "name": "p",
                "site": "london",
                "select": {"from": {"path": "/mmfs1/projects/a"}},
                "run": run,
            }
        )
        records = [FileRecord(path, "file", 100) for path in self._paths]
        inventory = write_inventory(self.storage, "i", to_table(records), micros())
        asked = PlanRequest(policy=policy, inventory=inventory, as_of_us=micros())
        plan = make_plan(self.storage, Bulk(256 << 20, self._folder / "spill"), asked)
        return SubmitBatch(
            run="r",
            round=1,
            manifest=plan.manifest,
            batch=0,
            order=order_of(policy),
            intended_us=micros(),
            seek_only=seek_only,
        )

    def hush(self, passed: timedelta) -> None:
        """Let time pass in which nothing is sent."""
        with sqlite3.connect(self._folder / "claims.sqlite") as claims:
            claims.execute("UPDATE claim_holders SET silent_us = silent_us - ?", (passed // timedelta(microseconds=1),))
        claims.close()

    def attempt(self, request: SubmitBatch, number: int, turn: int) -> "asyncio.Task[SubmittedBatch]":
        """Begin an attempt; of two the later has the higher turn."""
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(
            environment.info, attempt=number, current_attempt_scheduled_time=datetime.fromtimestamp(turn, UTC)
        )
        audit = Audit(self._log)
        submits = Submits(
            self._client, self.storage, audit, Claiming(self._client, audit, self.claims), JobLimits(self._log)
        )
        return asyncio.ensure_future(environment.run(submits.submit_batch, request))


@pytest.fixture
async def batches(tmp_path: Path, hub: LocalHub) -> AsyncIterator[Batches]:
    async with Hub(hub.url, credentials=credentials_from(key=hub.key)) as client:
        made = Batches(tmp_path, hub, client)
        yield made
        made.close()


async def has_fired(hub: LocalHub) -> None:
    """Wait until the first fault rule holds a request up."""
    async with asyncio.timeout(20):
        while not (await asyncio.to_thread(hub.call, "GET", "/_local/faults"))["fired"][0]["fired"]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def jobs_a_path(hub: LocalHub) -> Counter[str]:
    return Counter(path for found in hub.paths_by_job().values() for path in found)


async def test_an_attempt_that_was_overtaken_while_it_looked_at_the_files_sends_nothing(
    batches: Batches, hub: LocalHub
) -> None:
    hub.faults(held_up(LOOK, 3), SLOW)
    request = batches.request(compare=True)
    first = batches.attempt(request, 1, turn=1)
    await has_fired(hub)
    second = await batches.attempt(request, 2, turn=2)
    with pytest.raises(Overtaken):
        await first
    assert [job["id"] for job in hub.jobs()] == [second.job]
    assert set(jobs_a_path(hub).values()) == {1}


@pytest.mark.parametrize("compare", [True, False])
@pytest.mark.parametrize("seek_only", [True, False])
async def test_an_attempt_that_comes_while_another_sends_finds_its_job(
    batches: Batches, hub: LocalHub, compare: bool, seek_only: bool
) -> None:
    hub.faults(held_up(SUBMIT, 2), SLOW)
    request = batches.request(compare=compare)
    first = batches.attempt(request, 1, turn=1)
    await has_fired(hub)
    again = request.model_copy(update={"seek_only": seek_only})
    second = batches.attempt(again, 1 if seek_only else 2, turn=2)
    assert (await first).job == (await second).job
    assert len(hub.jobs()) == 1


@pytest.mark.parametrize("compare", [True, False])
async def test_an_attempt_that_comes_to_itself_after_its_successor_has_sent_sends_nothing(
    batches: Batches, hub: LocalHub, compare: bool
) -> None:
    hub.faults(SLOW)
    request = batches.request(compare=compare)
    second = await batches.attempt(request, 1, turn=2)
    with pytest.raises(Overtaken):
        await batches.attempt(request, 1, turn=1)
    assert [job["id"] for job in hub.jobs()] == [second.job]


async def test_an_attempt_whose_run_was_stopped_and_looked_for_its_job_sends_nothing_afterwards(
    batches: Batches, hub: LocalHub
) -> None:
    hub.faults(held_up(LOOK, 3))
    request = batches.request(compare=True)
    first = batches.attempt(request, 1, turn=1)
    await has_fired(hub)
    looked = await batches.attempt(request.model_copy(update={"seek_only": True}), 1, turn=2)
    assert (looked.job, looked.begun) == (None, False)
    with pytest.raises(Overtaken):
        await first
    assert hub.jobs() == []
    assert batches.claims.count() == 0


async def test_attempts_that_are_lost_while_they_look_for_the_job_do_not_keep_the_batch_back(
    batches: Batches, hub: LocalHub
) -> None:
    hub.faults(SLOW)
    request = batches.request(compare=False)
    for turn in (2, 3):
        lost = batches.attempt(request, turn, turn)
        await asyncio.sleep(1)
        assert not lost.done(), "it may have been sent: the Hub is asked for a while"
        while not lost.done():
            lost.cancel()
            await asyncio.sleep(0.01)
        batches.hush(timedelta(seconds=15))
    began = time.monotonic()
    sent = await batches.attempt(request, 4, turn=4)
    assert time.monotonic() - began < 15
    assert [job["id"] for job in hub.jobs()] == [sent.job]


async def test_an_attempt_that_was_overtaken_gives_nothing_of_its_successor_back(
    batches: Batches, hub: LocalHub
) -> None:
    hub.faults(held_up(LOOK, 3), SLOW)
    request = batches.request(compare=True)
    first = batches.attempt(request, 1, turn=1)
    await has_fired(hub)
    await batches.attempt(request, 2, turn=2)
    with pytest.raises(Overtaken):
        await first
    batches.claims.release(Place("r", 1, 0), turn=1_000_000)
    assert batches.claims.count() == 3
    batches.claims.release(Place("r", 1, 0))
    assert batches.claims.count() == 0
