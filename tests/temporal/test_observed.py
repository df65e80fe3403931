"""A real run as those see it who watch over it: metrics, probes, one trace, and names in the logs."""

import asyncio
import base64
import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import aiohttp
import pytest
from pydantic import SecretStr
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

from orchestrator.logs import configure_logs
from orchestrator.observing.activities import Observed
from orchestrator.observing.door import open_door
from orchestrator.observing.tracing import traced, traced_application
from orchestrator.observing.working import observed_worker
from orchestrator.runs import run_report, start_run
from orchestrator.services import free_port
from orchestrator.settings import Settings
from orchestrator.temporal import connect
from orchestrator.web.app import application
from orchestrator.web.signature import keys_of, signed_headers
from tests.documented_metrics import ALERTS, DASHBOARD, expressions, metrics_in
from tests.local_hub import LocalHub
from tests.otlp import Receiver, receiver
from tests.temporal.policies import a_policy
from workflows.payload import Payload
from workflows.run import RunState


@pytest.fixture
def traces() -> Iterator[Receiver]:
    with receiver() as received:
        yield received


async def test_a_run_shows_in_metrics_probes_and_one_trace(
    settings: Settings, hub: LocalHub, traces: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.notices.notifier.LOOKS_EVERY", 0.1)
    monkeypatch.setattr("orchestrator.observing.state.FRESH_FOR", 0.0)
    hub.fill(12)
    address = f"127.0.0.1:{free_port()}"
    watched = settings.model_copy(update={"metrics_address": address, "traces_url": traces.url})
    async with observed_worker(watched), aiohttp.ClientSession(f"http://{address}") as asks:
        client = await connect(watched)
        for _ in range(2):
            run = await start_run(client, watched, a_policy(files=5), actor="ann", reason="a test")
            async with asyncio.timeout(60):
                report = await run_report(client, run)
            assert report.state is RunState.SUCCEEDED
            hub.fill(12)
        for path in ("/healthz", "/readyz"):
            async with asks.get(path) as answer:
                assert answer.status == 200, await answer.text()
        for _ in range(200):
            if value(text := await metrics(asks), "orchestrator_runs_ended_total", 'state="succeeded"') >= 2:
                break
            await asyncio.sleep(0.1)
    assert value(text, "orchestrator_files_total", 'outcome="done"') >= 12
    assert value(text, "orchestrator_jobs_submitted_total") >= 3 <= value(text, "orchestrator_submit_seconds_count")
    assert value(text, "orchestrator_audit_records") > 10
    assert value(text, "orchestrator_hub_request_seconds_count", 'method="POST",status="2xx"') >= 3
    assert value(text, "temporal_workflow_completed_total", "RunPolicy") >= 1
    assert run not in text and "/mmfs1" not in text
    sdk = {name for file in (DASHBOARD, ALERTS) for one in expressions(file) for name in metrics_in(one)}
    assert {name for name in sdk if name.startswith("temporal_") and not re.search(rf"^{name}\b", text, re.M)} == set()
    calls = [one for one in traces.spans if one.name == "POST" and "RunActivity:submit_batch" in traces.above(one)]
    assert len(calls) >= 3
    for one in calls:
        above = traces.above(one)
        assert "StartActivity:submit_batch" in above and "StartChildWorkflow:RunBatches" in above, above
    asked = [one for one in traces.spans if one.name == "SignalWithStartWorkflow:RunDesk"]
    assert len(asked) == 2 and {one.trace for one in calls} == {one.trace for one in asked}


class Fine(Payload):
    """As much of an activity's argument as names it."""

    run: str = "archive-20261123T220000Z-4f2a91c7"
    round: int = 2
    batch: int = 7
    job: int = 41


@activity.defn
async def logs_a_line(fine: Fine) -> None:
    await asyncio.to_thread(logging.getLogger("library").warning, "slow")


@workflow.defn(sandboxed=False)
class Logs:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(logs_a_line, Fine(), start_to_close_timeout=timedelta(seconds=10))


async def test_each_line_of_an_activity_says_of_what_it_is(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    handlers, level = logging.root.handlers[:], logging.root.level
    configure_logs(settings.model_copy(update={"log_format": "json"}))
    queue = settings.task_queue
    try:
        async with Worker(
            client, task_queue=queue, workflows=[Logs], activities=[logs_a_line], interceptors=[Observed()]
        ):
            await client.execute_workflow(Logs.run, id=f"{queue}-logs", task_queue=queue)
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
    (line,) = [one for one in map(json.loads, stream.getvalue().splitlines()) if one["message"] == "slow"]
    said = {name: line[name] for name in ("run", "policy", "round", "batch", "job", "activity", "attempt")}
    assert said == {
        "run": "archive-20261123T220000Z-4f2a91c7", "policy": "archive", "round": 2, "batch": 7, "job": 41,
        "activity": "logs_a_line", "attempt": 1,
    }  # fmt: skip


def test_without_the_setting_nothing_of_traces_is_even_imported() -> None:
    code = (
        "import sys, orchestrator.observing.working, orchestrator.cli.main\n"
        "from orchestrator.observing.tracing import interceptors, worker_interceptors\n"
        "assert not [*interceptors(), *worker_interceptors()]\n"
        "assert not [name for name in sys.modules if 'opentelemetry' in name or name.startswith('apprise')]\n"
        "import orchestrator.web.app\n"  # FastAPI looks whether the API of OpenTelemetry is there, and no further.
        "assert not [name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


async def metrics(asks: aiohttp.ClientSession) -> str:
    async with asks.get("/metrics") as answer:
        assert answer.status == 200
        return await answer.text()


def value(text: str, name: str, label: str = "") -> float:
    found = [line for line in text.splitlines() if re.match(rf"{name}(\{{|\s)", line) and label in line]
    return sum(float(line.rsplit(" ", 1)[1]) for line in found)


async def test_a_request_to_the_api_begins_the_trace_and_is_counted_by_its_route(
    client: Client, settings: Settings, traces: Receiver
) -> None:
    secret = "whsec_" + base64.b64encode(b"x" * 32).decode()
    told = settings.model_copy(update={"traces_url": traces.url, "event_secrets": SecretStr(secret)})
    body = json.dumps({"specversion": "1.0", "id": "e1", "source": "/test", "type": "test.event"}).encode()
    headers = {"content-type": "application/cloudevents+json", **signed_headers(keys_of(secret)[0], body)}
    with traced(told, "api"):
        served = open_door(traced_application(application(told)), "127.0.0.1", 0)
        async with served as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as asks:
            before = await metrics(asks)  # Other tests of this process were counted too.
            async with asks.post("/events?path=/a/secret.mov", data=body, headers=headers) as answer:
                assert answer.status == 202, await answer.text()
            for path, status in (("/no/such/0123456789", 404), ("/api/v1/runs/0123456789", 401)):
                async with asks.get(path) as answer:
                    assert answer.status == status
            text = await metrics(asks)
    (signal,) = [one for one in traces.spans if one.name == "SignalWithStartWorkflow:RouteEvents"]
    assert "POST /events" in traces.above(signal), traces.above(signal)
    for label in ('route="/events",status="2xx"', 'route="/api/v1/runs/{run}",status="4xx"'):
        counted = [value(one, "orchestrator_api_request_seconds_count", label) for one in (before, text)]
        assert counted[1] - counted[0] == 1, label
    assert "0123456789" not in text
    assert not [one for one in traces.spans if "secret.mov" in str(one.attributes)]
