"""A real worker tells of real runs: whom the policy names, and the rest whom the settings name."""

import asyncio
from pathlib import Path

import pytest
from temporalio.client import Client

from orchestrator.runs import run_report, start_run
from orchestrator.settings import Settings
from orchestrator.worker import working
from tests.local_hub import LocalHub
from tests.notice_targets import webhook
from tests.temporal.policies import a_policy
from workflows.policy import Notify
from workflows.run import RunState


async def test_a_refused_run_is_told_to_whom_its_policy_names(
    client: Client, settings: Settings, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.notices.notifier.LOOKS_EVERY", 0.1)
    hub.fill(3)
    with webhook() as own, webhook() as default:
        file = tmp_path / "notify.yaml"
        file.write_text(
            f"targets:\n  own: {{url: '{own.url()}', settle: 0s}}\n  all: {{url: '{default.url()}', settle: 0s}}\n"
            "routes: [{on: [refused, succeeded], to: [all]}]\n"
        )
        equipped = settings.model_copy(update={"notify_file": file})
        notify = (Notify(on=("refused",), to="own"),)
        policy = a_policy(guards="{max_files: 2}").model_copy(update={"notify": notify})
        async with working(equipped, client):
            for one in (policy, a_policy()):
                run = await start_run(client, settings, one, actor="ann", reason="a test")
                async with asyncio.timeout(60):
                    report = await run_report(client, run)
                assert report.state is (RunState.REFUSED if one is policy else RunState.SUCCEEDED)
            assert await asyncio.to_thread(own.arrived.wait, 10)
            assert await asyncio.to_thread(default.arrived.wait, 10)
        assert [title.split(": ")[1] for title in own.titles] == ["run refused"]
        assert [title.split(": ")[1] for title in default.titles] == ["run succeeded"]
