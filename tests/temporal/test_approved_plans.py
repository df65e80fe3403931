"""What runs is what was approved: exactly the planned files, less those that the re-check leaves out, and nothing else.

A hundred random plans over real files: each is made, approved by its digest after files were changed, removed and
added, and compared with what the Hub then has on its disks.
"""

import asyncio
import itertools
import json
import os
import shutil
import time
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from temporalio.client import Client

from activities.outcomes import read_outcomes
from activities.storage import open_storage
from orchestrator.catalog import load_policy
from orchestrator.runs import decide, run_report, run_status, start_run
from orchestrator.settings import Settings
from tests.local_hub import LocalHub
from workflows.names import to_path
from workflows.plan import Plan
from workflows.run import RunState

AT_ONCE = 10
ROUNDS = 10
SERIAL = itertools.count(1)
OLD = int(time.time()) - 365 * 86_400
MOUNT = "/mmfs1/projects"

POLICY = """
version: 1
name: approved-{serial}
site: london
select:
  from: {{space: projects}}
  paths: [{folder}]
  rules: [{{name: media, match: {{type: [mov]}}}}]
approval: {{required: always}}
run:
  workflow: {workflow}
  batch: {{files: {batch}}}
  concurrency: {concurrency}
  recheck: {{compare: {compare}}}
  verify: {verify}
retry: {{failed_files: {{attempts: 1}}}}
"""

NAMES = st.sampled_from(["a", "b", "new\nline", "sp ace", "\udcff", "%41", "'q\"", "日本", "c{d}*"])
PLACES = st.tuples(st.lists(NAMES, max_size=2).map("/".join), NAMES, st.sampled_from([".mov", ".MOV", ".txt", ""]))
SIZES = st.integers(10, 9000)
"""No two contents are equal: a copy of the same bytes serves whatever file has the inode of a removed one."""

FATES = ("stays", "grows", "touched", "rewritten in secret", "removed", "becomes a folder", "migrated elsewhere")


@dataclass(frozen=True)
class Story:
    """One plan: the files, what becomes of each until the approval, and what is new by then."""

    files: dict[str, tuple[int, str]]
    added: frozenset[str]
    workflow: str
    batch: int
    concurrency: int
    compare: tuple[str, ...]
    verify: str

    def expected(self, path: str) -> tuple[str, str | None]:
        """How a planned file has to end."""
        _, fate = self.files[path]
        if fate in ("removed", "becomes a folder"):
            return ("skipped", "changed")
        if (fate == "grows" and "size" in self.compare) or (fate == "touched" and "modified" in self.compare):
            return ("skipped", "changed")
        return ("skipped", "already_done") if fate == "migrated elsewhere" else ("done", None)

    @property
    def planned(self) -> set[str]:
        """The files that the policy's rule takes."""
        return {path for path in self.files if path.lower().endswith(".mov")}


def _stories() -> st.SearchStrategy[Story]:
    paths = PLACES.map(lambda place: "/".join(part for part in (place[0], f"{place[1]}{place[2]}") if part))
    return st.builds(
        Story,
        files=st.dictionaries(paths, st.tuples(SIZES, st.sampled_from(FATES)), min_size=1, max_size=9),
        added=st.frozensets(paths, max_size=3),
        workflow=st.sampled_from(["migrate", "premigrate"]),
        batch=st.integers(1, 4),
        concurrency=st.integers(1, 3),
        compare=st.sampled_from([("size", "modified"), ("size",), ("modified",)]),
        verify=st.sampled_from(["none", "status"]),
    )


class Stage:
    """A folder of the Hub in which one story plays."""

    def __init__(self, hub: LocalHub, story: Story) -> None:
        self.story = story
        self.name = f"p{next(SERIAL):04d}"
        self.root = hub.projects / self.name
        self.copies = hub.target / "projects" / self.name
        self.root.mkdir()
        self.taken = {path: content for path, content in self._contents() if self._write(path, content)}

    def _contents(self) -> list[tuple[str, bytes]]:
        return [
            (path, f"{self.name}/{number}|".encode()[:size].ljust(size, b"."))
            for number, (path, (size, _)) in enumerate(self.story.files.items())
        ]

    def _write(self, path: str, content: bytes) -> bool:
        """Write an old file; False where a folder of another file lies, or a file in the way of its folder."""
        target = self.root / path
        if target.exists() or any(parent.is_file() for parent in target.parents):
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        os.utime(target, (OLD, OLD))
        return True

    @property
    def planned(self) -> set[str]:
        return self.story.planned & self.taken.keys()

    def elsewhere(self) -> list[str]:
        """The files that somebody else migrates before the approval."""
        return [
            f"{MOUNT}/{self.name}/{path}" for path in self.planned if self.story.files[path][1] == "migrated elsewhere"
        ]

    def change(self) -> None:
        """Let happen what happens between the plan and its approval."""
        for path in self.taken:
            target, fate = self.root / path, self.story.files[path][1]
            if fate == "grows":
                self.taken[path] += b"more"
            elif fate == "rewritten in secret":
                self.taken[path] = bytes(byte ^ 1 for byte in self.taken[path])
            if fate in ("grows", "rewritten in secret"):
                target.write_bytes(self.taken[path])
                os.utime(target, (OLD, OLD))
            elif fate == "touched":
                os.utime(target, (OLD, OLD + 1))
            elif fate == "removed":
                target.unlink()
            elif fate == "becomes a folder":
                target.unlink()
                target.mkdir()
                (target / "inside.mov").write_bytes(b"new")
        for path in self.story.added - self.taken.keys():
            self._write(path, b"was not there when the plan was made")

    def policy(self) -> Any:
        story = self.story
        text = POLICY.format(
            serial=self.name,
            folder=f"{MOUNT}/{self.name}",
            workflow=story.workflow,
            batch=story.batch,
            concurrency=story.concurrency,
            compare=list(story.compare),
            verify=story.verify,
        )
        return load_policy(text.encode(), "approved.yaml")

    def copied(self) -> dict[str, bytes]:
        """What the Hub has copied of this folder, by its own disk."""
        files = (path for path in self.copies.rglob("*") if path.is_file())
        return {str(path.relative_to(self.copies)): path.read_bytes() for path in files}

    def clear(self) -> None:
        shutil.rmtree(self.root)


def migrate_elsewhere(hub: LocalHub, paths: list[str]) -> None:
    if not paths:
        return
    body = {"site": "london", "workflow": "migrate", "paths": [{"path": path} for path in paths]}
    job = hub.call("POST", "/api/file/workflow/", content=json.dumps(body))["job"]
    deadline = time.monotonic() + 30
    while (state := hub.call("GET", f"/api/jobs/{job}/")["state"]) not in ("SUCCESS", "PARTIAL", "FAILURE", "SKIPPED"):
        assert time.monotonic() < deadline, state
        time.sleep(0.02)
    assert state == "SUCCESS"


async def planned(client: Client, settings: Settings, stage: Stage) -> tuple[str, Plan | None]:
    """Start a run, and give its plan when it waits for somebody to approve it; a plan of nothing asks nobody."""
    run = await start_run(client, settings, stage.policy(), actor="ann", reason="a test")
    async with asyncio.timeout(150):
        while not (status := await run_status(client, run)).state.final:
            if status.approval is not None:
                assert status.plan is not None
                assert status.plan.digest == status.approval.digest
                return run, status.plan
            await asyncio.sleep(0.1)
    return run, None


async def ended(client: Client, settings: Settings, stage: Stage, run: str, plan: Plan | None) -> None:
    """Approve the plan, and compare how every file ended with how it had to end."""
    assert (plan.files if plan else 0) == len(stage.planned), stage.story
    if plan is not None:
        await decide(client, run, actor="bob", reason="", digest=plan.digest, approved=True)
    async with asyncio.timeout(150):
        report = await run_report(client, run)
    assert report.state is RunState.SUCCEEDED, (report, stage.story)
    assert report.outcomes.total == len(stage.planned)
    rows = read_outcomes(open_storage(settings.storage), run, limit=1000)
    found = {to_path(row.path).removeprefix(f"{MOUNT}/{stage.name}/"): (row.outcome, row.reason) for row in rows}
    assert found == {path: stage.story.expected(path) for path in stage.planned}, stage.story
    done = {path for path, end in found.items() if end[0] == "done"}
    assert stage.copied() == {
        path: stage.taken[path]
        for path in stage.planned
        if path in done or stage.story.files[path][1] == "migrated elsewhere"
    }, stage.story


@pytest.mark.long
@pytest.mark.usefixtures("worker")
@examples(
    max_examples=ROUNDS,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
@given(stories=st.lists(_stories(), min_size=AT_ONCE, max_size=AT_ONCE))
async def test_exactly_the_approved_files_less_those_left_out_are_processed(
    client: Client, settings: Settings, hub: LocalHub, stories: list[Story]
) -> None:
    stages = [Stage(hub, story) for story in stories]
    plans = await asyncio.gather(*(planned(client, settings, stage) for stage in stages))
    await asyncio.to_thread(migrate_elsewhere, hub, [path for stage in stages for path in stage.elsewhere()])
    for stage in stages:
        stage.change()
    await asyncio.gather(*(ended(client, settings, stage, *plan) for stage, plan in zip(stages, plans, strict=True)))
    processed = hub.call("GET", "/_local/processed")
    copied = {f"{MOUNT}/{stage.name}/{path}" for stage in stages for path in stage.copied()}
    names = tuple(f"{MOUNT}/{stage.name}/" for stage in stages)
    assert dict.fromkeys(copied, 1) == {path: n for path, n in processed.items() if path.startswith(names)}
    for stage in stages:
        stage.clear()
