"""Every typed family against a local Hub, in both dialects, with names that hurt."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from activities.errors import AuthError, NotFound, Refused
from activities.hub import (
    alerts,
    auth,
    configurations,
    files,
    jobs,
    jobstats,
    nodes,
    policies,
    queues,
    schedules,
    search,
    sites,
    spaces,
    storagepools,
    tasks,
    workflows,
)
from activities.hub.client import Hub
from activities.hub.contract import operation
from activities.hub.credentials import credentials_from
from activities.hub.jobs import SubmitRequest
from orchestrator.cli.endings import Refusal
from orchestrator.cli.hub import call
from orchestrator.localhub.child import LocalHubProcess

HARD = [
    b"plain.mov",
    b"two words+plus%20.mov",
    b"quote'\"&=#?;.mov",
    b"new\nline\t\x01.mov",
    "größe-日本.mov".encode(),
    b"not-utf8-\xff\xfe.mov",
    b"\xed\xb3\xbf.mov",
    b"n" * 251 + b".mov",
]
MANY = 230


@pytest.fixture(scope="module", params=["standard", "alternative"])
def local(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHubProcess]:
    folder = tmp_path_factory.mktemp(f"hub-{request.param}")
    with LocalHubProcess(folder, "--dialect", request.param, "--access-lifetime", "1") as process:
        top = os.fsencode(process.filesystem / "projects")
        for name in HARD:
            _make(top + b"/hard/" + name, b"content of " + name)
        for number in range(MANY):
            _make(top + b"/many/f%03d.bin" % number, b"x" * (number + 1))
        for number in range(3):
            _make(top + b"/small/s%d.bin" % number, b"y" * 4096)
        yield process


def _make(path: bytes, content: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - pathlib has no paths of bytes
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(content)


@asynccontextmanager
async def client(local: LocalHubProcess) -> AsyncIterator[Hub]:
    async with Hub(local.url, credentials=credentials_from(key=local.key)) as hub:
        yield hub


def hard_paths() -> set[str]:
    return {"/mmfs1/projects/hard/" + name.decode("utf-8", "surrogateescape") for name in HARD}


async def ended(hub: Hub, job: int) -> jobs.JobState:
    for _ in range(400):
        state = await jobs.state(hub, job)
        if state.final:
            return state
        await asyncio.sleep(0.05)
    raise AssertionError(f"job {job} did not end: {state}")


async def test_everything_that_a_run_looks_at_first_is_read(local: LocalHubProcess) -> None:
    async with client(local) as hub:
        (site,) = [one async for one in sites.sites(hub)]
        assert site.name == "london" and await sites.one(hub, site.id) == await sites.named(hub, "london")
        assert (await sites.health(hub, site.id)).healthy
        space = await spaces.named(hub, "projects")
        assert space is not None and space.mountpoint == "/mmfs1/projects"
        assert (await spaces.one(hub, space.id)).name == "projects"
        pools = [one async for one in storagepools.storagepools(hub)]
        assert pools and all(pool.capacity > 0 and pool.utilisation is not None for pool in pools)
        names = {one.name: one async for one in workflows.workflows(hub)}
        assert {"migrate", "premigrate", "recall"} <= set(names) and names["migrate"].enabled
        assert (await workflows.one(hub, names["recall"].id)).name == "recall"
        queue = await queues.named(hub, "default", site="london")
        assert queue is not None and queue.last_heartbeat is not None
        assert (await queues.one(hub, queue.id)).name == "default"
        node = await anext(nodes.nodes(hub))
        assert node.online and (await nodes.one(hub, node.id)).name == node.name
        assert isinstance([one async for one in alerts.alerts(hub)], list)
        assert (await configurations.current(hub)).jobs_ttl


async def test_a_family_that_a_hub_does_not_serve_is_refused_at_once(local: LocalHubProcess) -> None:
    async with client(local) as hub:
        for asked in (
            anext(policies.policies(hub), None),
            anext(schedules.schedules(hub), None),
            auth.permissions(hub),
        ):
            try:
                await asked
            except Refused as error:
                assert error.status == 501


async def test_a_client_key_is_made_used_and_deleted(local: LocalHubProcess) -> None:
    async with client(local) as hub:
        made = await auth.make_key(hub, "for a test")
        assert made.api_key is not None and made.api_key.get_secret_value() not in repr(made)
        async with Hub(local.url, credentials=credentials_from(key=made.api_key)) as other:
            assert made.id in [key.id async for key in auth.keys(other)]
        await auth.delete_key(hub, made.id)
        async with Hub(local.url, credentials=credentials_from(key=made.api_key)) as other:
            with pytest.raises(AuthError):
                await sites.named(other, "london")


async def test_a_user_outlives_the_token(local: LocalHubProcess) -> None:
    account = credentials_from(username="admin", password=local.password)
    async with Hub(local.url, credentials=account) as hub:
        assert [one async for one in sites.sites(hub)]
        await asyncio.sleep(1.2)
        results = await asyncio.gather(*(sites.named(hub, "london") for _ in range(20)))
        assert all(results)
    wrong = credentials_from(username="admin", password="no such password")
    async with Hub(local.url, credentials=wrong) as hub:
        with pytest.raises(AuthError):
            await sites.named(hub, "london")


async def test_hard_names_are_listed_looked_up_and_found_exactly(local: LocalHubProcess) -> None:
    async with client(local) as hub:
        space = await spaces.named(hub, "projects")
        assert space is not None
        for listing in (
            files.listing(hub, "/mmfs1/projects/hard", site="london"),
            files.listing(hub, "/mmfs1/projects/hard", site="london", space=space.id),
        ):
            records = [record async for page in listing for record in page]
            assert {record.path for record in records} == hard_paths()
            assert all(record.type == "file" and record.status == "resident" for record in records)
            for record in records:
                seen = os.stat(_real(local, record.path))  # noqa: PTH116
                assert (record.size, record.mtime) == (seen.st_size, seen.st_mtime_ns // 1000)
        for path in hard_paths():
            found = await files.stat(hub, "london", path)
            assert found is not None and found.path == path
        missing = "/mmfs1/projects/hard/gone\udcff"
        many = await files.stat_many(hub, "london", [*hard_paths(), missing])
        assert many.pop(missing) is None
        assert {record.path for record in many.values() if record is not None} == hard_paths()


async def test_a_long_directory_is_listed_page_by_page_and_goes_on_from_any_page(local: LocalHubProcess) -> None:
    async with client(local) as hub:
        pages = [page async for page in files.listing_pages(hub, "/mmfs1/projects/many", site="london")]
        assert [len(page.records) for page in pages] == [100, 100, 30]
        after = files.listing(hub, "/mmfs1/projects/many", site="london", after=pages[0].next)
        assert [len(page) async for page in after] == [100, 30]
        paths = [f"/mmfs1/projects/many/f{number:03}.bin" for number in range(MANY)]
        sizes = {path: record and record.size for path, record in (await files.stat_many(hub, "london", paths)).items()}
        assert [sizes[path] for path in paths] == list(range(1, MANY + 1))


async def test_a_search_finds_every_name(local: LocalHubProcess) -> None:
    async with client(local) as hub:
        number = await search.start(hub, search.SearchRequest("/mmfs1/projects/hard", sites=["london"]))
        records = [record async for page in search.results(hub, number) for record in page.records]
        found = {record.path: record for record in records if record.type != "directory"}
        assert set(found) == hard_paths()
        assert all(record.size is not None and record.mtime is not None for record in found.values())
        await search.delete(hub, number)


async def test_a_job_is_submitted_watched_found_and_settled(local: LocalHubProcess) -> None:
    before = datetime.now(UTC) - timedelta(seconds=60)
    wanted = sorted(hard_paths())
    async with client(local) as hub:
        job = await jobs.submit(hub, SubmitRequest("london", "migrate", wanted, queue="default"))
        state = await ended(hub, job)
        assert state.word == "SUCCESS"
        assert await jobs.progress(hub, job) == 100.0
        found = {one.id: one async for one in jobs.find(hub, "london", "migrate", before)}
        assert job in found and found[job].created is not None and found[job].created >= before
        assert sorted([path async for path in jobs.paths(hub, job)]) == wanted
        assert [one async for one in jobstats.exceptions(hub, job)] == []
        assert await jobstats.count(hub, job, jobstats.DONE_WORDS) == len(HARD)
        assert {one.path async for one in jobstats.everything(hub, job)} == set(wanted)
        assert {task.job async for task in tasks.tasks(hub, job=job)} == {job}
        records = await files.stat_many(hub, "london", wanted)
        assert all(record is not None and record.status == "migrated" for record in records.values())
        back = await jobs.submit(hub, SubmitRequest("london", "recall", wanted, fields={"lock_level": "none"}))
        assert (await ended(hub, back)).word == "SUCCESS"
    for name in HARD:
        path = "/mmfs1/projects/hard/" + name.decode("utf-8", "surrogateescape")
        assert await asyncio.to_thread(Path(os.fsdecode(_real(local, path))).read_bytes) == b"content of " + name


async def test_what_failed_is_told_by_path_with_code_and_message(local: LocalHubProcess) -> None:
    paths = [*(f"/mmfs1/projects/many/f{number:03}.bin" for number in range(120)), "/mmfs1/projects/gone\udcff"]
    async with client(local) as hub:
        job = await jobs.submit(hub, SubmitRequest("london", "premigrate", paths))
        await ended(hub, job)
        (failed,) = [one async for one in jobstats.exceptions(hub, job)]
        assert failed.path == "/mmfs1/projects/gone\udcff" and not failed.done and (failed.code or failed.message)
        again = await jobs.resubmit(hub, job)
        await ended(hub, again)


async def test_many_jobs_are_watched_together_and_a_deleted_one_is_told_apart(local: LocalHubProcess) -> None:
    async with client(local) as hub:
        made = [
            await jobs.submit(hub, SubmitRequest("london", "premigrate", [f"/mmfs1/projects/small/s{number}.bin"]))
            for number in range(3)
        ]
        for job in made:
            await ended(hub, job)
        await jobs.delete(hub, made[0])
        found = await jobs.states(hub, made, "london", datetime.now(UTC) - timedelta(hours=1))
        assert [found[job].word for job in made] == ["DELETED", "SUCCESS", "SUCCESS"]
        with pytest.raises(NotFound):
            await jobs.state(hub, made[0])


async def test_a_job_is_paused_resumed_and_cancelled(local: LocalHubProcess) -> None:
    async with client(local) as hub:
        job = await jobs.submit(hub, SubmitRequest("london", "recall", ["/mmfs1/projects/many"], discovery="recursive"))
        await jobs.pause(hub, job)
        await jobs.resume(hub, job)
        await jobs.cancel(hub, job)
        assert (await ended(hub, job)).final
        for steer in (jobs.pause, jobs.resume, jobs.cancel):
            await steer(hub, job)
        assert (await jobs.state(hub, job)).final


async def test_the_command_calls_what_the_contract_has_and_sends_nothing_else(local: LocalHubProcess) -> None:
    async with client(local) as hub:
        assert (await call(hub, "GET", "/sites/1/"))["name"] == "london"
        listed = await call(hub, "GET", "/file/", {"path": "/mmfs1/projects/many", "details": "false"}, every_page=True)
        assert len(listed) == MANY
        with pytest.raises(Refusal, match="did you mean 'path'"):
            await call(hub, "GET", "/file/", {"paht": "/x"})
        body = {"site": "london", "workflow": "levitate", "paths": [{"path": "/mmfs1/projects/small/s0.bin"}]}
        with pytest.raises(Refused, match="levitate"):
            await call(hub, "POST", "/file/workflow/", body=body)
    assert operation("POST", "/file/workflow/").body["workflow"].required


def _real(local: LocalHubProcess, path: str) -> bytes:
    return os.fsencode(local.filesystem) + os.fsencode(path).removeprefix(b"/mmfs1")
