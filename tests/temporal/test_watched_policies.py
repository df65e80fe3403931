"""The policies of watched pools: many and large, changed under way, and a desk that forgot them."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities import watching_pools
from activities.applied_policies import AppliedPolicies, keep_policy
from activities.audit import Audit
from activities.holds import Holds
from activities.ledger.log import AuditLog
from activities.pool_board import PoolBoard
from activities.starting import Starts
from activities.storage import open_storage
from activities.watching_pools import Asked, PoolWatching, PoolWish
from orchestrator.catalog import PolicyError, load_policy, read_policy
from orchestrator.engine import open_engine
from orchestrator.hub import open_hub
from orchestrator.settings import Settings
from orchestrator.watches import Watches
from tests.local_hub import LocalHub
from tests.pool_entries import a_drain
from tests.temporal.test_drains_in_trouble import status_with
from tests.temporal.watching import CAPACITY, MARKS, MIB, in_state, put, records, until
from workflows.policy import Policy
from workflows.pools import PoolState, watch_entries
from workflows.starts import StartState

TEXT = """
version: 1
name: {name}
site: london
triggers: [threshold: {{pool: sas1, {marks}}}]
select: {{from: {{space: projects}}, rules: [{{name: media, match: {{type: [mov]}}}}], exclude: [{globs}]}}
run: {{workflow: migrate}}
"""


def large(name: str, globs: int, marks: str = MARKS, letter: str = "x") -> bytes:
    patterns = ", ".join(f"{{path: '/a/folder{number:06d}/{letter * 350}/**'}}" for number in range(globs))
    return TEXT.format(name=name, marks=marks, globs=patterns).encode()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    with LocalHub(tmp_path / "hub", "--capacity", str(CAPACITY)) as running:
        yield running


@pytest.fixture
async def watches(settings: Settings, client: Client, worker: None) -> AsyncIterator[Watches]:
    yield Watches(client, settings.task_queue, open_storage(settings.storage))


@pytest.mark.long
async def test_a_pool_of_many_large_policies_is_watched_and_drained(
    hub: LocalHub, watches: Watches, settings: Settings
) -> None:
    """Six policies of 400 kB are more than Temporal takes in one value."""
    policies = [load_policy(large(f"large-{number}", 1000)) for number in range(6)]
    assert sum(len(one.model_dump_json()) for one in policies) > 2 * MIB
    hub.fill(56, size=MIB // 4)
    await put(watches, *policies)
    status = await in_state(watches, PoolState.HOLDING, PoolState.BLOCKED)
    assert status.state is PoolState.HOLDING
    assert len(status.entries) == 6


def test_a_policy_that_no_run_could_carry_is_refused_with_its_size() -> None:
    """A quote is four bytes within the text of a wish within a message."""
    with pytest.raises(PolicyError, match=r"the policy is too large: 1,\d{3},\d{3} bytes .* at most 1,048,576 fit"):
        load_policy(large("huge", 1000, letter='"'))


async def test_a_policy_of_which_a_newer_version_is_applied_drains_when_that_has_come(
    hub: LocalHub, watches: Watches, settings: Settings
) -> None:
    """An apply that died between writing the version and bringing the threshold leaves no drain by the old one."""
    first, second = large("drain", 1, f"{MARKS}, give_up_after: 9h"), large("drain", 1)
    hub.fill(56, size=MIB // 4)
    async with open_engine(settings) as engine:
        for number, text in enumerate((first, second), start=1):
            engine.versions.add(read_policy(text), number, actor="ann", reason="")
    await put(watches, load_policy(first))
    status = await status_with(watches, waits_for="policy drain was changed (version 2)", state="draining")
    assert records(settings, "start.wished") == []
    [wanted] = watches.wanted(load_policy(second), 2)
    await watches.put(wanted)
    await in_state(watches, PoolState.HOLDING)
    assert status.book.blocked is None
    assert {one["version"] for one in records(settings, "start.wished")} == {2}


async def test_a_desk_that_has_forgotten_a_wish_is_told_again(
    hub: LocalHub, watches: Watches, client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching_pools, "FORGOTTEN_AFTER", 0.5)
    hub.fill(4, size=MIB // 4)
    log, storage = AuditLog(settings.audit.get_secret_value()), open_storage(settings.storage)
    audit, policy = Audit(log), a_drain(MARKS)
    keep_policy(storage, policy)
    applied = AppliedPolicies(audit, storage)
    starts = Starts(client, audit, Holds(log), applied, settings.task_queue, settings.runs_per_site)

    async def keep(_: object) -> None:
        return None

    async with open_hub(settings) as opened:
        watching = PoolWatching(client, audit, PoolBoard(opened, keep), starts, settings.task_queue)
        wish = a_wish(policy)
        start = await ActivityEnvironment().run(watching.hear_answer, Asked(wish=wish))
        assert (start.state, start.run) == (StartState.BEGUN, wish.run)
        # A desk that is ended after that knows nothing, and the run is there all the same.
        await until(lambda: _ended(settings), within=20)
        await client.get_workflow_handle(f"{settings.task_queue}/desk/london").terminate()
        again = await ActivityEnvironment().run(watching.hear_answer, Asked(wish=wish))
        assert (again.state, again.run) == (StartState.BEGUN, wish.run)
    log.close()
    assert len(records(settings, "run.started")) == 1


async def _ended(settings: Settings) -> bool:
    return bool(records(settings, "run.ended"))


def a_wish(policy: Policy) -> PoolWish:
    [entry] = watch_entries(policy, 1)
    return PoolWish(
        key="watch/1",
        run="drain-1",
        entry=entry,
        text="a test",
        reason="a test",
        enough_bytes=MIB,
        room_bytes=None,
        tried_in=(),
        urgent=False,
        copies=False,
    )
