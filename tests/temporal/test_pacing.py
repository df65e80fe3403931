"""Windows, rates, the breaker and live limits, on a real Temporal, a real worker and a real Hub."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from activities.audit import AuditLog
from activities.limits import JobLimits, Lane
from orchestrator.reporting.progress import run_progress
from orchestrator.runs import (
    RunError,
    cancel,
    pause,
    resume,
    run_report,
    run_status,
    set_limits,
    start_run,
)
from orchestrator.settings import Settings
from orchestrator.worker import working
from tests.local_hub import LocalHub
from tests.odd_zones import OddZones, odd_zones
from tests.temporal.policies import a_policy
from tests.temporal.test_run_policy import slow, until_in_flight
from workflows.conditions import Member
from workflows.policy import Policy
from workflows.run import NewLimits, RunRequest, RunState
from workflows.run_policy import RunPolicy
from workflows.running import Window


def bodies(settings: Settings, run: str, event: str) -> list[dict[str, Any]]:
    log = AuditLog(settings.audit.get_secret_value())
    return [record.body for record in log.records(run=run) if record.event == event]


async def until(holds: Any, within: float = 30) -> None:
    async with asyncio.timeout(within):
        while not await holds():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


class TestARate:
    @pytest.mark.usefixtures("worker")
    async def test_of_jobs_spreads_them_over_the_minute(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(20)
        began = datetime.now(UTC)
        policy = a_policy(files=5, run=", rate: {jobs_per_minute: 60}")
        run = await start_run(client, settings, policy, actor="ann", reason="a test")
        report = await run_report(client, run)
        assert (report.state, report.outcomes.done, report.jobs) == (RunState.SUCCEEDED, 20, 4)
        sent = sorted(datetime.fromisoformat(job["created"]) for job in hub.jobs())
        # A second after the other begins; one that is slow to arrive says nothing of the next.
        assert all(moment - began >= timedelta(seconds=number) for number, moment in enumerate(sent))

    @pytest.mark.usefixtures("worker")
    async def test_of_files_can_be_lifted_while_the_run_waits_for_it(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(20)
        policy = a_policy(files=5, run=", rate: {files_per_minute: 5, bytes_per_minute: 1GiB}")
        run = await start_run(client, settings, policy, actor="ann", reason="a test")

        async def one_is_done() -> bool:
            return (await run_progress(client, run)).counts.done == 5

        await until(one_is_done)
        await asyncio.sleep(1)
        assert len(hub.jobs()) == 1
        waits = (await run_progress(client, run)).waits_for or ""
        assert waits.startswith("its rate, which lets the next batch begin at ")
        await set_limits(client, run, NewLimits(actor="bob", reason="it is Friday", rate_off=True))
        async with asyncio.timeout(15):
            report = await run_report(client, run)
        assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 20)
        [said] = bodies(settings, run, "run.limits_set")
        assert said == {
            "before": {"concurrency": 4, "rate": {"files_per_minute": 5, "bytes_per_minute": "1GiB"}, "window": None},
            "after": {"concurrency": 4, "rate": None, "window": None},
            "reason": "it is Friday",
        }


class TestLiveLimits:
    @pytest.mark.long
    async def test_concurrency_changes_in_seconds_and_survives_a_new_worker(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(60)
        hub.faults(slow(6))
        policy = a_policy(files=1, concurrency=4)
        async with working(settings, client):
            run = await start_run(client, settings, policy, actor="ann", reason="a test")
            await until_in_flight(client, run, 4)
            began = time.monotonic()
            await set_limits(client, run, NewLimits(actor="bob", reason="the night is ours", concurrency=16))
            await until_in_flight(client, run, 16)
            assert time.monotonic() - began < 5
        async with working(settings, client):
            await until_in_flight(client, run, 16)
            assert (await run_status(client, run)).concurrency == 16
            hub.faults()
            await cancel(client, run, actor="ann")
            assert (await run_report(client, run)).outcomes.total == 60

    @pytest.mark.usefixtures("worker")
    async def test_that_say_nothing_are_refused(self, client: Client, settings: Settings, hub: LocalHub) -> None:
        hub.fill(1)
        hub.faults(slow(30))
        run = await start_run(client, settings, a_policy(), actor="ann", reason="a test")
        await until_in_flight(client, run)
        for limits in (NewLimits(actor="bob"), NewLimits(actor="bob", window=False)):
            with pytest.raises(RunError, match=r"no limit was named|has no windows"):
                await set_limits(client, run, limits)
        await cancel(client, run, actor="ann")

    @pytest.mark.long
    @pytest.mark.usefixtures("worker")
    async def test_a_pause_until_a_moment_ends_by_itself(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(10)
        hub.faults(slow(0.2))
        run = await start_run(client, settings, a_policy(files=1, concurrency=1), actor="ann", reason="a test")
        await until_in_flight(client, run)
        ends = datetime.now(UTC) + timedelta(seconds=3)
        paused = await pause(client, run, actor="bob", reason="lunch", until=ends)
        assert paused.waits_for == f"the end of bob's pause at {ends:%Y-%m-%d %H:%M:%S} UTC (lunch)"
        async with asyncio.timeout(30):
            report = await run_report(client, run)
        assert report.state is RunState.SUCCEEDED
        assert report.finished > ends
        assert [body["lifted"] for body in bodies(settings, run, "run.resumed")] == [["bob"]]

    @pytest.mark.usefixtures("worker")
    async def test_a_cancelled_run_can_leave_its_jobs_to_end_by_themselves(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(20)
        hub.faults(slow(0.4))
        run = await start_run(client, settings, a_policy(concurrency=2), actor="ann", reason="a test")
        await until_in_flight(client, run, 2)
        stopped = await cancel(client, run, actor="bob", keep_jobs=True)
        assert stopped.waits_for == "the jobs in flight to end"
        async with asyncio.timeout(30):
            report = await run_report(client, run)
        assert (report.state, report.outcomes.done, report.outcomes.cancelled) == (RunState.CANCELLED, 10, 10)
        assert {job["state"] for job in hub.jobs()} == {"SUCCESS"}

    @pytest.mark.usefixtures("worker")
    async def test_who_lets_the_jobs_end_may_still_have_them_cancelled(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(20)
        hub.faults(slow(2))
        run = await start_run(client, settings, a_policy(concurrency=2), actor="ann", reason="a test")
        await until_in_flight(client, run, 2)
        await cancel(client, run, actor="bob", keep_jobs=True)
        stopped = await cancel(client, run, actor="eve", reason="now")
        assert stopped.waits_for == "the Hub to end the jobs in flight"
        await cancel(client, run, actor="bob", keep_jobs=True)
        async with asyncio.timeout(20):
            report = await run_report(client, run)
        assert report.state is RunState.CANCELLED
        assert report.outcomes.cancelled > 10  # Ten were never sent; the Hub ends a job after the file that it is at.
        assert {job["state"] for job in hub.jobs()} != {"SUCCESS"}
        assert [body["why"] for body in bodies(settings, run, "run.stopped")] == [
            "cancelled by bob", "cancelled by eve: now",
        ]  # fmt: skip

    @pytest.mark.usefixtures("worker")
    async def test_a_pause_holds_also_what_is_begun_and_waits_for_the_hub(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(12)
        busy = {"name": "busy", "action": {"kind": "status", "status": 429, "retry_after": 1}}
        hub.faults({**busy, "match": {"path": "*/file/workflow/"}})
        run = await start_run(client, settings, a_policy(files=1, concurrency=4), actor="ann", reason="a test")
        await until(lambda: are_begun(client, run, 4))
        berlin = timezone(timedelta(hours=1))
        paused = await pause(client, run, actor="bob", until=datetime(2030, 1, 1, tzinfo=berlin))
        assert paused.waits_for == "the end of bob's pause at 2029-12-31 23:00:00 UTC"
        await until(lambda: nothing_is_being_sent(client, run))
        hub.faults()
        await asyncio.sleep(2.5)
        assert hub.jobs() == []
        await resume(client, run, actor="bob")
        async with asyncio.timeout(30):
            report = await run_report(client, run)
        assert (report.state, report.outcomes.done, len(hub.jobs())) == (RunState.SUCCEEDED, 12, 12)


async def are_begun(client: Client, run: str, batches: int) -> bool:
    return len((await run_progress(client, run)).in_flight) == batches


async def nothing_is_being_sent(client: Client, run: str) -> bool:
    [segment] = (await run_status(client, run)).open_segments
    described = await client.get_workflow_handle(segment).describe()
    return not described.raw_description.pending_activities


@pytest.mark.usefixtures("worker")
class TestALimitOfASite:
    @pytest.mark.long
    async def test_holds_for_all_runs_together_and_is_lifted_in_seconds(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        limits = JobLimits(AuditLog(settings.audit.get_secret_value()))
        limits.put(Lane("london"), 3, actor="ann", reason="the array is being rebuilt", key="1")
        limits.put(Lane("paris"), 1, actor="ann", reason="", key="2")
        limits.put(Lane("london", "default"), 5, actor="ann", reason="", key="4")
        hub.fill(12)
        hub.fill(12, folder="b", suffix="mxf")
        hub.faults(slow(4))
        runs = []
        for suffix in ("mov", "mxf"):
            policy = of_type(a_policy(files=1, concurrency=4), suffix)
            runs.append(await start_run(client, settings, policy, actor="ann", reason="a test"))

        async def says_why() -> bool:
            waits = [(await run_progress(client, run)).waits_for or "" for run in runs]
            return any("ann allows 3 at a time at site london: the array is being rebuilt" in one for one in waits)

        await until(says_why)
        most = 0
        for _ in range(20):
            most = max(most, working_jobs(hub))
            await asyncio.sleep(0.1)
        assert most == 3
        limits.put(Lane("london"), None, actor="bob", reason="it is whole again", key="3")
        async with asyncio.timeout(5):
            while working_jobs(hub) < 5:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        limits.put(Lane("london", "default"), None, actor="bob", reason="its nodes are back", key="5")
        async with asyncio.timeout(5):
            while working_jobs(hub) < 8:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        hub.faults()
        for run in runs:
            assert (await run_report(client, run)).outcomes.done == 12


def of_type(policy: Policy, suffix: str) -> Policy:
    """Give the same policy for other files."""
    rule = policy.select.rules[0].model_copy(update={"match": Member("type", (suffix,))})
    return policy.model_copy(update={"select": policy.select.model_copy(update={"rules": (rule,)})})


def lost(hub: LocalHub) -> int:
    """Count the tries of files that failed."""
    return len(hub.call("GET", "/api/jobstats/", params={"page_size": 0, "state": "failed"})["results"])


def working_jobs(hub: LocalHub) -> int:
    return sum(job["state"] not in ("SUCCESS", "PARTIAL", "FAILURE") for job in hub.jobs())


@pytest.fixture
def zones(tmp_path: Path) -> Iterator[OddZones]:
    with odd_zones(tmp_path / "zones") as made:
        yield made


def with_windows(policy: Policy, *windows: Window, then: str = "finish_batch") -> Policy:
    run = policy.run.model_copy(update={"windows": windows, "outside_windows": then})
    return policy.model_copy(update={"run": run})


class TestAWindow:
    async def run_over_the_close(
        self, client: Client, settings: Settings, hub: LocalHub, zones: OddZones, mode: str
    ) -> tuple[str, datetime, datetime]:
        """Start a run whose window closes in five seconds, for five; give its name, the close and the next opening."""
        now = datetime.now(UTC).replace(microsecond=0)
        closes, opens = now + timedelta(seconds=6), now + timedelta(seconds=11)
        hub.fill(40)
        hub.faults(slow(0.7 if mode == "finish_batch" else 2))  # Four files a job: over the close, if it is to be met.
        policy = a_policy(files=4, concurrency=2)
        policy = with_windows(policy, zones.until(closes), zones.since(opens), then=mode)
        return await start_run(client, settings, policy, actor="ann", reason="a test"), closes, opens

    async def check(self, client: Client, hub: LocalHub, run: str, closes: datetime, opens: datetime) -> None:
        await until(lambda: is_held(client, run))
        waits = (await run_status(client, run)).waits_for
        assert waits == f"its window, which opens at {opens:%Y-%m-%d %H:%M} UTC"

    def sent(self, hub: LocalHub) -> list[datetime]:
        return [datetime.fromisoformat(job["created"]) for job in hub.jobs()]

    @pytest.mark.long
    @pytest.mark.usefixtures("worker")
    @pytest.mark.parametrize("mode", ["finish_batch", "pause_jobs", "cancel_jobs"])
    async def test_closes_in_mid_run_and_the_jobs_end_as_the_policy_says(
        self,
        client: Client,
        settings: Settings,
        hub: LocalHub,
        zones: OddZones,
        mode: str,
    ) -> None:
        run, closes, opens = await self.run_over_the_close(client, settings, hub, zones, mode)
        await self.check(client, hub, run, closes, opens)
        await asyncio.sleep(max(0, (opens - datetime.now(UTC)).total_seconds() - 1))
        words = {job["state"] for job in hub.jobs()}
        assert (
            words
            <= {
                "finish_batch": {"SUCCESS"},
                "pause_jobs": {"SUCCESS", "PAUSED"},
                "cancel_jobs": {"SUCCESS", "CANCELLED"},
            }[mode]
        )
        hub.faults()
        async with asyncio.timeout(40):
            report = await run_report(client, run)
        assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 40)
        assert len(report.rounds) == 1
        sent = self.sent(hub)
        assert any(moment < closes for moment in sent) and any(moment > opens for moment in sent)
        assert not [moment for moment in sent if closes <= moment < opens]
        if mode == "pause_jobs":
            assert "PAUSED" in words
            paused = {body["job"] for body in bodies(settings, run, "job.paused")}
            assert paused and paused == {body["job"] for body in bodies(settings, run, "job.resumed")}
        if mode == "cancel_jobs":
            assert "CANCELLED" in words
            assert report.jobs == len(hub.jobs()) > 10
        moved = hub.call("GET", "/api/jobstats/", params={"page_size": 0, "state": "processed"})["results"]
        assert len(moved) == len({row["path"] for row in moved}) == 40

    @pytest.mark.long
    @pytest.mark.usefixtures("worker")
    async def test_does_not_let_a_batch_through_that_waited_for_the_hub(
        self, client: Client, settings: Settings, hub: LocalHub, zones: OddZones
    ) -> None:
        run, closes, opens = await self.run_over_the_close(client, settings, hub, zones, "finish_batch")
        await until_in_flight(client, run, 2)
        hub.faults(
            {
                "name": "busy",
                "action": {"kind": "status", "status": 429, "retry_after": 1},
                "match": {"path": "*/file/workflow/"},
            }
        )
        await asyncio.sleep((closes - datetime.now(UTC)).total_seconds() + 0.2)
        hub.faults()
        async with asyncio.timeout(40):
            report = await run_report(client, run)
        assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 40)
        assert not [moment for moment in self.sent(hub) if closes <= moment < opens]

    @pytest.mark.long
    async def test_ends_and_opens_again_although_the_worker_is_lost_meanwhile(
        self, client: Client, settings: Settings, hub: LocalHub, zones: OddZones
    ) -> None:
        async with working(settings, client):
            run, closes, opens = await self.run_over_the_close(client, settings, hub, zones, "pause_jobs")
            await until_in_flight(client, run, 2)
            await asyncio.sleep((closes - datetime.now(UTC)).total_seconds() - 1)
        await asyncio.sleep(max(0, (closes - datetime.now(UTC)).total_seconds()))
        async with working(settings, client):
            await until(lambda: all_paused(hub))
        await asyncio.sleep(max(0, (opens - datetime.now(UTC)).total_seconds()))
        hub.faults()
        async with working(settings, client), asyncio.timeout(40):
            report = await run_report(client, run)
        assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 40)
        assert not [moment for moment in self.sent(hub) if closes <= moment < opens]

    @pytest.mark.usefixtures("worker")
    async def test_does_not_hold_an_urgent_run(
        self, client: Client, settings: Settings, hub: LocalHub, zones: OddZones
    ) -> None:
        hub.fill(10)
        policy = a_policy(run=", rate: {files_per_minute: 1}")
        policy = with_windows(policy, zones.since(datetime.now(UTC) + timedelta(hours=9)))
        run = f"{policy.name}-urgent"
        request = RunRequest(run=run, policy=policy, actor="ann", reason="the pool is critical", urgent=True)
        await client.start_workflow(RunPolicy.run, request, id=run, task_queue=settings.task_queue)
        async with asyncio.timeout(20):
            report = await run_report(client, run)
        assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 10)

    @pytest.mark.usefixtures("worker")
    async def test_can_be_switched_off_by_a_person(
        self, client: Client, settings: Settings, hub: LocalHub, zones: OddZones
    ) -> None:
        hub.fill(10)
        policy = with_windows(a_policy(), zones.since(datetime.now(UTC) + timedelta(hours=9)))
        run = await start_run(client, settings, policy, actor="ann", reason="a test")
        await until(lambda: is_held(client, run))
        assert hub.jobs() == []
        await set_limits(client, run, NewLimits(actor="bob", reason="the pool is full", window=False))
        async with asyncio.timeout(20):
            report = await run_report(client, run)
        assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 10)


async def all_paused(hub: LocalHub) -> bool:
    words = {job["state"] for job in hub.jobs()}
    return "PAUSED" in words and words <= {"PAUSED", "SUCCESS"}


async def is_held(client: Client, run: str) -> bool:
    return (await run_status(client, run)).state is RunState.WAITING


SICK = {"name": "sick", "action": {"kind": "path_fail", "code": "target_error", "message": "bucket away"}}


@pytest.mark.usefixtures("worker")
class TestTheBreaker:
    @pytest.mark.long
    async def test_opens_for_a_sick_target_while_another_goes_on_and_recovers_by_itself(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        after_files, batch, slots = 20, 5, 2
        hub.fill(100, suffix="mxf")
        hub.fill(300, folder="b")
        hub.faults({**SICK, "match": {"file": "*.mxf"}}, slow(0.1))
        breaker = f"\nbreaker: {{stop_at: {{percent: 50%, after_files: {after_files}}}, probe: 1s}}"
        retry = "{failed_files: {attempts: 3, wait: [1s]}}" + breaker
        sick, well = (
            of_type(a_policy(files=batch, concurrency=slots, run=f", target: {target}", retry=retry), suffix)
            for target, suffix in (("tape", "mxf"), ("disk", "mov"))
        )
        runs = [await start_run(client, settings, policy, actor="ann", reason="a test") for policy in (sick, well)]
        await until(lambda: is_held(client, runs[0]))
        waits = (await run_status(client, runs[0])).waits_for or ""
        assert "the breaker is open since" in waits and "100% of the last 20 files failed" in waits
        assert lost(hub) <= after_files + slots * batch
        async with asyncio.timeout(60):
            report = await run_report(client, runs[1])
        assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 300)
        probes = [body for body in bodies(settings, runs[0], "breaker.changed") if body["stand"] == "probing"]
        assert len(probes) >= 3
        assert lost(hub) <= after_files + slots * batch + (len(probes) + 1) * batch
        hub.faults()
        async with asyncio.timeout(60):
            report = await run_report(client, runs[0])
        assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 100)
        stands = [body["stand"] for body in bodies(settings, runs[0], "breaker.changed")]
        assert stands[:2] == ["open", "probing"] and stands[-1] == "closed"
        assert bodies(settings, runs[1], "breaker.changed") == []

    @pytest.mark.long
    async def test_lets_nothing_begin_while_the_site_is_not_healthy(
        self, client: Client, settings: Settings, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("activities.hub_health.LOOK_EVERY", 0.3)
        hub.fill(60)
        unwell = {"name": "unwell", "action": {"kind": "status", "status": 500}, "match": {"path": "*/health/"}}
        hub.faults(slow(0.2))
        policy = a_policy(files=2, concurrency=2, retry="{failed_files: {attempts: 1}}\nbreaker: {}")
        run = await start_run(client, settings, policy, actor="ann", reason="a test")
        await until_in_flight(client, run)
        hub.faults(slow(0.2), unwell)
        await until(lambda: is_held(client, run))
        waits = (await run_status(client, run)).waits_for or ""
        assert waits.startswith("the Hub to be fit for it: site london is not healthy: ")
        await asyncio.sleep(2)
        jobs = len(hub.jobs())
        await asyncio.sleep(2)
        assert len(hub.jobs()) == jobs < 30
        hub.faults()
        async with asyncio.timeout(40):
            report = await run_report(client, run)
        assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 60)
        assert [len(bodies(settings, run, event)) for event in ("run.hub_unwell", "run.hub_well")] == [1, 1]

    @pytest.mark.long
    async def test_waits_for_a_person_where_it_does_not_probe(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(60)
        hub.faults(SICK)
        breaker = "\nbreaker: {stop_at: {consecutive_jobs: 2}, probe: none}"
        policy = a_policy(files=5, concurrency=1, retry="{failed_files: {attempts: 3, wait: [1s]}}" + breaker)
        run = await start_run(client, settings, policy, actor="ann", reason="a test")
        await until(lambda: is_held(client, run))
        await asyncio.sleep(2)
        assert len(hub.jobs()) == 2
        assert await waits_for_somebody(client, run)
        await resume(client, run, actor="bob", reason="I looked")
        await until(lambda: tried(hub, 3))
        await until(lambda: waits_for_somebody(client, run))
        hub.faults()
        await resume(client, run, actor="bob", reason="now it is well")
        async with asyncio.timeout(60):
            report = await run_report(client, run)
        assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 60)

    @pytest.mark.usefixtures("worker")
    @pytest.mark.parametrize("then", ["pause", "stop"])
    async def test_opens_also_by_the_last_batch_of_a_segment(
        self, client: Client, settings: Settings, hub: LocalHub, monkeypatch: pytest.MonkeyPatch, then: str
    ) -> None:
        monkeypatch.setattr("workflows.segments.SEGMENT_BATCHES", 3)
        hub.fill(9)
        hub.faults(SICK)
        breaker = f"\nbreaker: {{stop_at: {{consecutive_jobs: 3}}, probe: none, then: {then}}}"
        policy = a_policy(files=1, concurrency=1, retry="{failed_files: {attempts: 1}}" + breaker)
        run = await start_run(client, settings, policy, actor="ann", reason="a test")
        if then == "pause":
            await until(lambda: waits_for_somebody(client, run))
            hub.faults()
            await resume(client, run, actor="bob", reason="it is well again")
        async with asyncio.timeout(30):
            report = await run_report(client, run)
        done = 6 if then == "pause" else 0
        assert (report.outcomes.done, report.outcomes.failed) == (done, {"target_error": 3})

    async def test_ends_the_run_where_the_policy_says_stop(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(60)
        hub.faults(SICK)
        breaker = "\nbreaker: {stop_at: {consecutive_jobs: 2}, then: stop}"
        policy = a_policy(files=5, concurrency=1, retry="{failed_files: {attempts: 1}}" + breaker)
        run = await start_run(client, settings, policy, actor="ann", reason="a test")
        async with asyncio.timeout(30):
            report = await run_report(client, run)
        assert report.state is RunState.FAILED
        assert report.trouble == "the breaker opened: 2 jobs in a row failed altogether"
        assert (report.outcomes.failed, report.outcomes.cancelled) == ({"target_error": 10}, 50)


async def waits_for_somebody(client: Client, run: str) -> bool:
    waits = (await run_status(client, run)).waits_for or ""
    return waits.startswith("somebody to resume it: the breaker is open")


async def tried(hub: LocalHub, jobs: int) -> bool:
    return len(hub.jobs()) == jobs
