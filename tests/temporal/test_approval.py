"""A plan that needs a person's word waits for it, and what runs is exactly what was approved."""

import asyncio

import pytest
from temporalio.client import Client

from activities.audit import AuditLog, AuditRecord
from orchestrator.runs import RunError, cancel, decide, run_report, run_status, start_run
from orchestrator.settings import Settings
from tests.local_hub import LocalHub
from tests.temporal.policies import a_policy
from workflows.policy import Policy
from workflows.run import ApprovalWanted, RunReport, RunState

ALWAYS = "{required: always}"


async def waiting(
    client: Client, settings: Settings, policy: Policy, *, actor: str = "ann@ws1", version: int | None = None
) -> tuple[str, ApprovalWanted]:
    run = await start_run(client, settings, policy, actor=actor, reason="a test", version=version)
    async with asyncio.timeout(30):
        while (wanted := (await run_status(client, run)).approval) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return run, wanted


async def ended(client: Client, run: str) -> RunReport:
    async with asyncio.timeout(60):
        return await run_report(client, run)


async def approve(client: Client, run: str, digest: str, actor: str = "bob@ws2") -> None:
    await decide(client, run, actor=actor, reason="looks right", digest=digest, approved=True)


def events(settings: Settings, run: str) -> list[tuple[str, str]]:
    log = AuditLog(settings.audit.get_secret_value())
    try:
        return [(record.event, record.actor) for record in log.records(run=run)]
    finally:
        log.close()


@pytest.mark.usefixtures("worker")
class TestAPlan:
    async def test_waits_sends_nothing_and_goes_on_when_it_is_approved(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(7)
        run, wanted = await waiting(client, settings, a_policy(approval=ALWAYS))
        status = await run_status(client, run)
        assert (wanted.files, wanted.bytes, wanted.not_by) == (7, 700, None)
        assert status.state is RunState.WAITING
        assert "approval until" in (status.waits_for or "")
        assert hub.jobs() == []
        await approve(client, run, wanted.digest)
        report = await ended(client, run)
        assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 7)
        assert ("approval.wanted", "engine") in events(settings, run)
        assert ("plan.approved", "bob@ws2") in events(settings, run)

    async def test_is_approved_by_its_own_digest_alone(self, client: Client, settings: Settings, hub: LocalHub) -> None:
        hub.fill(3)
        run, wanted = await waiting(client, settings, a_policy(approval=ALWAYS))
        for other in ("", wanted.digest[:11], "0" * 64, wanted.digest + "0"):
            with pytest.raises(RunError, match="look at the plan again"):
                await approve(client, run, other)
        assert hub.jobs() == []
        await approve(client, run, wanted.digest[:12].upper())
        assert (await ended(client, run)).outcomes.done == 3

    async def test_is_rejected_for_good(self, client: Client, settings: Settings, hub: LocalHub) -> None:
        hub.fill(3)
        run, wanted = await waiting(client, settings, a_policy(approval=ALWAYS))
        await decide(client, run, actor="bob@ws2", reason="not before the audit", digest=wanted.digest, approved=False)
        report = await ended(client, run)
        assert (report.state, report.trouble) == (
            RunState.REFUSED,
            "bob@ws2 rejected the plan: not before the audit",
        )
        assert hub.jobs() == []
        with pytest.raises(RunError, match="it ended refused"):
            await approve(client, run, wanted.digest)

    async def test_wants_four_eyes_where_the_policy_does(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(3)
        policy = a_policy(approval="{required: always, not_by_owner: true}")
        run, wanted = await waiting(client, settings, policy)
        for same in ("ann@ws1", "ann@ws2", "Ann@ws1"):
            with pytest.raises(RunError, match="ask a colleague"):
                await approve(client, run, wanted.digest, actor=same)
        await approve(client, run, wanted.digest, actor="bob@ws1")
        assert (await ended(client, run)).state is RunState.SUCCEEDED

    async def test_expires(self, client: Client, settings: Settings, hub: LocalHub) -> None:
        hub.fill(3)
        run, _ = await waiting(client, settings, a_policy(approval="{required: always, expires: 1s}"))
        report = await ended(client, run)
        assert report.state is RunState.EXPIRED
        assert "nobody approved" in (report.trouble or "")
        assert hub.jobs() == []

    async def test_can_be_cancelled_while_it_waits(self, client: Client, settings: Settings, hub: LocalHub) -> None:
        hub.fill(3)
        run, wanted = await waiting(client, settings, a_policy(approval=ALWAYS))
        await cancel(client, run, actor="ann")
        report = await ended(client, run)
        assert (report.state, report.outcomes.cancelled) == (RunState.CANCELLED, 3)
        with pytest.raises(RunError, match="it ended cancelled"):
            await approve(client, run, wanted.digest)

    async def test_does_not_spend_its_deadline_on_waiting(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(3)
        run, wanted = await waiting(client, settings, a_policy(approval=ALWAYS, run=", deadline: 4s"))
        await asyncio.sleep(5)
        await approve(client, run, wanted.digest)
        assert (await ended(client, run)).state is RunState.SUCCEEDED

    async def test_that_deletes_waits_by_default(self, client: Client, settings: Settings, hub: LocalHub) -> None:
        hub.fill(3)
        run, wanted = await waiting(client, settings, a_policy(workflow="delete"))
        assert wanted.why == "the hub workflow delete deletes data"
        await decide(client, run, actor="bob", reason="no", digest=wanted.digest, approved=False)
        assert (await ended(client, run)).state is RunState.REFUSED

    async def test_of_nothing_asks_nobody(self, client: Client, settings: Settings, hub: LocalHub) -> None:
        run = await start_run(client, settings, a_policy(approval=ALWAYS), actor="ann", reason="a test")
        assert (await ended(client, run)).state is RunState.SUCCEEDED

    async def test_within_the_automatic_bounds_is_approved_by_the_policy(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(3)
        policy = a_policy(approval="{required: always, auto: {max_files: 3, max_bytes: 1MiB}}")
        run = await start_run(client, settings, policy, actor="ann", reason="a test")
        assert (await ended(client, run)).outcomes.done == 3
        assert ("plan.approved", "engine") in events(settings, run)
        hub.fill(4, suffix="mov", folder="more")
        run, wanted = await waiting(client, settings, policy)
        assert wanted.files == 7
        await cancel(client, run, actor="ann")


@pytest.mark.usefixtures("worker")
class TestAGuardThatAsks:
    async def test_lets_a_person_agree_to_more(self, client: Client, settings: Settings, hub: LocalHub) -> None:
        hub.fill(7)
        policy = a_policy(guards="{max_files: 6, on_exceed: ask}", approval="{required: never}")
        run, wanted = await waiting(client, settings, policy)
        assert "guards.max_files allows 6" in wanted.why
        await approve(client, run, wanted.digest)
        assert (await ended(client, run)).outcomes.done == 7

    async def test_asks_nobody_about_a_plan_that_it_allows(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(6)
        policy = a_policy(guards="{max_files: 6, on_exceed: ask}")
        run = await start_run(client, settings, policy, actor="ann", reason="a test")
        assert (await ended(client, run)).outcomes.done == 6

    async def test_does_not_let_automatic_bounds_agree(self, client: Client, settings: Settings, hub: LocalHub) -> None:
        hub.fill(7)
        guards, approval = "{max_files: 6, on_exceed: ask}", "{required: always, auto: {max_files: 100}}"
        run, _ = await waiting(client, settings, a_policy(guards=guards, approval=approval))
        await cancel(client, run, actor="ann")


@pytest.mark.usefixtures("worker")
class TestAnUnusualPlan:
    async def test_is_measured_by_the_last_runs(self, client: Client, settings: Settings, hub: LocalHub) -> None:
        policy = a_policy(guards="{unusual: {factor: 2}}")
        hub.fill(4)
        for _ in range(3):
            run = await start_run(client, settings, policy, actor="ann", reason="a test")
            assert (await ended(client, run)).state is RunState.SUCCEEDED
        hub.fill(9, folder="more")
        run = await start_run(client, settings, policy, actor="ann", reason="a test")
        report = await ended(client, run)
        assert report.state is RunState.REFUSED
        assert "13 files, the median of the last 3 runs is 4, guards.unusual allows 2 times that" in (
            report.trouble or ""
        )
        cut = policy.model_copy(update={"guards": policy.guards.model_copy(update={"on_exceed": "truncate"})})
        run = await start_run(client, settings, cut, actor="ann", reason="a test")
        report = await ended(client, run)
        assert report.plan is not None
        assert (report.state, report.plan.files) == (RunState.SUCCEEDED, 8)


@pytest.mark.usefixtures("worker")
class TestAnApprovalThatComesTooLate:
    async def test_is_of_no_use_when_the_policy_changed(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(3)
        policy = a_policy(approval=ALWAYS)
        run, wanted = await waiting(client, settings, policy, version=1)
        log = AuditLog(settings.audit.get_secret_value())
        body = {"policy": policy.name, "version": 2, "policy_digest": "0" * 64}
        log.append(AuditRecord(event="policy.applied", actor="carl", key=f"policy/{policy.name}/2", body=body))
        log.close()
        await approve(client, run, wanted.digest)
        report = await ended(client, run)
        assert report.state is RunState.REFUSED
        assert "carl applied version 2" in (report.trouble or "")
        assert hub.jobs() == []

    async def test_is_of_no_use_when_the_inventory_is_too_old(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(3)
        run, wanted = await waiting(client, settings, a_policy(approval=ALWAYS, guards="{inventory_max_age: 3s}"))
        await asyncio.sleep(4)
        await approve(client, run, wanted.digest)
        report = await ended(client, run)
        assert report.state is RunState.REFUSED
        assert "inventory" in (report.trouble or "")
        assert hub.jobs() == []
