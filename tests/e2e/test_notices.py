"""Notices reach a real webhook and a real mail server once each, whatever is down or dies; nothing shows an address."""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from activities.audit import AuditLog, AuditRecord, Event
from activities.notices import notifier as notifying
from activities.notices.notifier import Notifier
from activities.notices.outbox import Outbox
from activities.notices.targets import Digest, RouteOfNotices, Target, Targets
from activities.pool_samples import PoolSamples
from orchestrator.notify_file import load_targets, unknown_services
from orchestrator.services import free_port
from orchestrator.settings import SettingsError, load_settings
from tests.notice_targets import Webhook, mail_server, webhook
from workflows.pools import Level, PoolRef

pytest_plugins = ["tests.e2e.audit_fixtures"]

SECRET = "s3cr3t-t0k3n-of-the-webhook"
AT_ONCE = timedelta(0)


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as opened:
        yield opened


class Desk:
    """An audit that is written to, and the notifier that follows it."""

    def __init__(self, folder: Path, targets: Targets, url: str = "sqlite") -> None:
        of = {name: f"sqlite:///{folder}/{name}.sqlite" if url.startswith("sqlite") else url
              for name in ("audit", "notices", "samples")}  # fmt: skip
        self.log, self.outbox = AuditLog(of["audit"]), Outbox(of["notices"])
        self.samples = PoolSamples(of["samples"])
        self.notifier = Notifier(self.log, self.outbox, targets, self.samples)
        self.outbox.hold(equipped=True)

    def record(self, event: Event, run: str | None = "run-1", *, key: str = "", **body: Any) -> None:
        key = key or f"{run}/{event}/{time.monotonic_ns()}"
        self.log.append(AuditRecord(event=event, actor="engine", run=run, key=key, body=body))

    def started(self, run: str = "run-1", policy: str = "archive", **body: Any) -> None:
        self.record(Event.RUN_STARTED, run, policy=policy, site="london", reason="by hand", **body)

    def failed(self, run: str = "run-1", policy: str = "archive") -> None:
        self.record(Event.RUN_ENDED, run, policy=policy, state="failed", trouble="the target is full", outcomes={})

    async def settled(self, done: Callable[[], bool] | None = None, *, looks: int = 20, within: float = 10) -> None:
        """Look until something holds, or some times."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            more = await self.notifier.look()
            await asyncio.gather(*self.notifier._sending.values())
            looks -= 1
            if (looks <= 0 and not more) if done is None else done():
                return
            await asyncio.sleep(0.01)


def at_once(url: str, **more: Any) -> Target:
    return Target(url=SecretStr(url), **{"settle": AT_ONCE, "again": AT_ONCE, **more})


def to(*names: str, on: tuple[Any, ...] = ("failed", "refused", "critical", "approval", "late", "paused")) -> Any:
    return RouteOfNotices(on=on, to=names)


def desk(folder: Path, hook: Webhook, **more: Any) -> Desk:
    return Desk(folder, Targets(targets={"ops": at_once(hook.url(SECRET), **more)}, routes=(to("ops"),)))


async def test_each_decision_that_matters_is_told_once_and_the_rest_never(tmp_path: Path, hook: Webhook) -> None:
    here = desk(tmp_path, hook)
    here.started()
    here.record(Event.RUN_REFUSED, why="max_files: 10 allowed, 12 found")
    for _ in range(3):  # A retried decision has the key of the first.
        here.record(Event.BREAKER_CHANGED, key="breaker", stand="open", why="20 % failed", probe_at=None)
    here.record(Event.BREAKER_CHANGED, stand="closed", why="well again")
    here.record(Event.JOB_SUBMITTED, site="london", job=7)
    here.record(Event.POOL_ALERT, None, site="london", pool="sas1", why="above critical", used=96, capacity=100)
    here.record(
        Event.START_MISSED, None, policy="archive", site="london", why="down", scheduled="22:00", text="nightly"
    )
    here.failed()
    await here.settled(lambda: here.outbox.backlog().get("sent") == 5)
    told = " ".join(one["title"] + one["message"] for one in hook.got)
    for words in ("refused", "breaker open", "Pool london/sas1", "start missed", "run failed"):
        assert words in told
    assert len(hook.got) == 3 and hook.titles[0] == "Pool london/sas1 needs somebody"


async def test_a_storm_of_a_thousand_failures_is_one_message_with_the_count(tmp_path: Path, hook: Webhook) -> None:
    here = desk(tmp_path, hook, settle=timedelta(seconds=1), again=timedelta(minutes=5))
    body = {"policy": "archive", "site": "london", "state": "failed"}
    for event in (Event.RUN_STARTED, Event.RUN_ENDED):
        runs = [f"run-{number}" for number in range(1000)]
        here.log.append_many(
            [AuditRecord(event=event, actor="engine", run=run, key=f"{run}/{event}", body=body) for run in runs]
        )
    await here.settled(lambda: bool(hook.got), within=30)
    assert hook.titles == ["1,000 × archive: run failed"]
    assert "and 995 more" in hook.got[0]["message"]
    here.failed("run-0")
    await here.settled()
    assert len(hook.got) == 1 and here.outbox.backlog() == {"sent": 1000, "waiting": 1}


async def test_failures_of_a_hundred_policies_are_three_messages(tmp_path: Path, hook: Webhook) -> None:
    here = desk(tmp_path, hook)
    for number in range(100):
        here.started(f"run-{number}", f"policy-{number}")
        here.failed(f"run-{number}", f"policy-{number}")
    await here.settled(lambda: here.outbox.backlog().get("sent") == 100)
    assert len(hook.got) == 3 and "98 notices: 98 failed" in hook.titles


async def test_no_more_messages_go_in_an_hour_than_the_target_may_have(tmp_path: Path, hook: Webhook) -> None:
    here = desk(tmp_path, hook, at_most=2)
    for number in range(4):
        here.started(f"run-{number}", f"policy-{number}")
        here.failed(f"run-{number}", f"policy-{number}")
        await here.settled(looks=6)
    assert len(hook.got) == 2 and here.outbox.backlog() == {"sent": 2, "waiting": 2}


async def test_a_target_that_is_down_loses_nothing_and_holds_up_nobody(
    tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.notices.outbox.FIRST_WAIT", timedelta(milliseconds=50))
    port = free_port()
    targets = {"ops": at_once(hook.url()), "down": at_once(f"json://127.0.0.1:{port}/{SECRET}")}
    here = Desk(tmp_path, Targets(targets=targets, routes=(to("ops", "down"),)))
    here.started()
    here.failed()
    await here.settled(lambda: bool(hook.got))
    assert hook.titles == ["archive: run failed"]
    await here.settled(lambda: here.outbox.health()["down"].failures >= 2)
    how = here.outbox.health()["down"]
    assert how.waiting == 1 and how.error is not None and "onnection error" in how.error and SECRET not in how.error
    with webhook(port) as back:
        await here.settled(lambda: bool(back.got))
        await here.settled()
        assert back.titles == ["archive: run failed"] and len(hook.got) == 1
    assert here.outbox.health()["down"].failures == 0


async def test_a_target_that_hangs_holds_up_only_itself(
    tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifying, "ANSWERS_WITHIN", 0.3)
    with webhook() as hung:
        import threading

        hung.held = threading.Event()
        targets = {"hung": at_once(hung.url()), "ops": at_once(hook.url())}
        here = Desk(tmp_path, Targets(targets=targets, routes=(to("hung", "ops"),)))
        here.started()
        here.failed()
        await here.notifier.look()
        await asyncio.to_thread(hook.arrived.wait, 5)
        assert hook.got
        await asyncio.gather(*here.notifier._sending.values())
        assert here.outbox.health()["hung"].error == "no answer within 0 s"


async def test_what_never_arrives_is_given_up_with_a_record_that_others_hear_of(
    tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.notices.outbox.FIRST_WAIT", timedelta(milliseconds=20))
    down = at_once(f"json://127.0.0.1:{free_port()}/{SECRET}", give_up_after=timedelta(milliseconds=300))
    targets = {"ops": at_once(hook.url()), "down": down}
    here = Desk(tmp_path, Targets(targets=targets, routes=(to("ops"), to("down"))))
    here.started()
    here.failed()
    await here.settled(lambda: any("are lost" in title for title in hook.titles))
    (record,) = here.log.records(event=Event.NOTICES_GIVEN_UP)
    assert record.body["target"] == "down" and record.body["kinds"] == {"failed": 1}
    assert SECRET not in str(record.body) and record.body["error"]
    assert hook.titles == ["archive: run failed", "Notices to down are lost"]


async def test_a_policy_says_who_hears_of_what_and_the_settings_say_the_rest(tmp_path: Path) -> None:
    with webhook() as own, webhook() as default, webhook() as always:
        targets = Targets(
            targets={
                "own": at_once(own.url()), "default": at_once(default.url()), "always": at_once(always.url()),
            },
            routes=(to("default"), RouteOfNotices(on=("failed",), to=("always",), always=True)),
        )  # fmt: skip
        here = Desk(tmp_path, targets)
        here.started("run-1", "mine", notify=[{"on": ["failed"], "to": "own"}])
        here.record(Event.RUN_REFUSED, "run-1", why="too many")
        here.failed("run-1", "mine")
        here.started("run-2", "other")
        here.failed("run-2", "other")
        await here.settled(lambda: len(default.got) == 2 and len(always.got) == 2)
        assert own.titles == ["mine: run failed"]
        assert sorted(default.titles) == ["mine: run refused", "other: run failed"]
        assert sorted(always.titles) == ["mine: run failed", "other: run failed"]


async def test_a_policy_without_a_success_is_late_by_its_marks_once_each(
    tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifying, "WATCHES_EVERY", 0.0)
    here = desk(tmp_path, hook)
    slo = {"last_success": {"warn": "1s", "page": "2s"}}
    here.record(Event.POLICY_APPLIED, None, policy="archive", version=1, slo=slo, sites=["london", "paris"])
    here.started("run-1")
    await here.settled(looks=2)
    await asyncio.sleep(0.6)
    here.record(Event.RUN_ENDED, "run-1", policy="archive", state="succeeded")
    await asyncio.sleep(0.7)
    await here.settled(lambda: bool(here.log.records(event=Event.POLICY_LATE)), within=3)
    assert [(one.body["site"], one.body["level"]) for one in here.log.records(event=Event.POLICY_LATE)] == [
        ("paris", "warn")
    ]
    await asyncio.sleep(1.6)
    await here.settled()
    late = [(one.body["site"], one.body["level"]) for one in here.log.records(event=Event.POLICY_LATE)]
    assert sorted(late) == [("london", "page"), ("london", "warn"), ("paris", "page"), ("paris", "warn")]
    told = " ".join(one["title"] + one["message"] for one in hook.got)
    assert told.count("archive: late") >= 1 and here.outbox.backlog()["sent"] == 4


async def test_an_approval_is_reminded_of_before_it_expires_and_not_after_it_was_given(
    tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifying, "WATCHES_EVERY", 0.0)
    here = desk(tmp_path, hook)
    for run in ("asks", "agreed"):
        here.started(run)
        expires = datetime.now(UTC) + timedelta(seconds=2)
        here.record(Event.APPROVAL_WANTED, run, digest="d", files=2, bytes=3, why="w", expires=expires.isoformat())
    here.record(Event.PLAN_APPROVED, "agreed", digest="d")
    await here.settled(lambda: any("still wanted" in title for title in hook.titles))
    await here.settled()
    assert [one["message"].split()[1] for one in hook.got if "still wanted" in one["title"]] == ["asks"]


async def test_the_digest_comes_as_text_and_as_a_page_once_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mail_server() as (inbox, port):
        url = f"mailto://127.0.0.1:{port}?from=engine@example.com&to=ops@example.com&mode=insecure"
        plan = Digest(to=("mail",), at="00:00")
        here = Desk(tmp_path, Targets(targets={"mail": at_once(url)}, digest=plan))
        now = datetime.now(UTC)
        here.samples.keep({PoolRef(site="london", pool="sas1"): Level(at=now, used=91, capacity=100)})
        here.started("run-1")
        here.record(Event.RUN_ENDED, "run-1", policy="archive", state="failed", trouble="<b>the Hub</b> said no",
                    outcomes={"done": 12, "failed": {"checksum": 3}, "bytes_done": 5 << 30})  # fmt: skip
        here.started("run-2", "other")
        await here.settled(looks=3)
        monkeypatch.setattr("activities.notices.digest._due", lambda plan, last, at: now + timedelta(minutes=1))
        monkeypatch.setattr(notifying, "WATCHES_EVERY", 0.0)
        await here.settled(lambda: bool(inbox.got))
        await here.settled()
        (mail,) = inbox.got
        parts = {part.get_content_type(): part.get_payload(decode=True).decode() for part in mail.walk()
                 if not part.is_multipart()}  # fmt: skip
        assert set(parts) == {"text/plain", "text/html"}
        for part in parts.values():
            for words in ("1 runs ended", "12 files done, 5.0 GiB", "run-2 of other", "london/sas1: 91.0%"):
                assert words in part
        assert "<b>the Hub</b>" not in parts["text/html"] and "&lt;b&gt;the Hub" in parts["text/html"]


def test_a_sender_killed_between_sending_and_recording_repeats_at_most_that_message(tmp_path: Path) -> None:
    import threading

    with webhook() as hook:
        hook.held = threading.Event()
        file = tmp_path / "notify.yaml"
        file.write_text(
            f"targets:\n  ops: {{url: '{hook.url(SECRET)}', settle: 0s, again: 0s}}\n"
            "routes:\n  - {on: [failed], to: [ops]}\n"
        )
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRATOR_")}
        environment |= {
            "ORCHESTRATOR_STATE_DIR": str(tmp_path / "state"),
            "ORCHESTRATOR_NOTIFY_FILE": str(file),
            "ORCHESTRATOR_LOG_LEVEL": "debug",
        }
        logs = tmp_path / "logs"

        def sender() -> "subprocess.Popen[bytes]":
            with logs.open("ab") as log:
                return subprocess.Popen(
                    [sys.executable, "-m", "tests.notifier_process"], env=environment, stdout=log, stderr=log
                )

        first = sender()
        try:
            outbox = Outbox(f"sqlite:///{tmp_path}/state/notices.sqlite")
            _wait(lambda: outbox.place() is not None)
            log = AuditLog(f"sqlite:///{tmp_path}/state/audit.sqlite")
            body = {"policy": "archive", "state": "failed", "site": "london"}
            for event in (Event.RUN_STARTED, Event.RUN_ENDED):
                log.append(AuditRecord(event=event, actor="engine", run="run-1", key=f"run-1/{event}", body=body))
            assert hook.arrived.wait(20)
        finally:
            first.kill()
            first.wait()
        hook.held.set()
        hook.held = None
        second = sender()
        try:
            _wait(lambda: outbox.backlog() == {"sent": 1})
        finally:
            second.terminate()
            second.wait(10)
        assert hook.titles == ["archive: run failed"] * 2
        kept = b"".join(one.read_bytes() for one in (tmp_path / "state").rglob("*") if one.is_file())
        assert SECRET.encode() not in kept + logs.read_bytes()
        assert b"127.0.0.1" in logs.read_bytes() or b"urllib3" in logs.read_bytes()


async def test_many_senders_that_take_turns_tell_each_thing_once_in_either_database(
    url: str, tmp_path: Path, hook: Webhook
) -> None:
    targets = Targets(targets={"ops": at_once(hook.url(), at_most=1000)}, routes=(to("ops"),))
    desks = [Desk(tmp_path, targets, url) for _ in range(3)]
    for turn in range(6):
        for number in range(3):
            desks[0].started(f"run-{turn}-{number}", f"policy-{turn}-{number}")
            desks[0].failed(f"run-{turn}-{number}", f"policy-{turn}-{number}")
        await asyncio.gather(*(one.settled(looks=4) for one in desks))
        desks[turn % 3].outbox.let_go()
    await asyncio.gather(*(one.settled(looks=4) for one in desks))
    assert desks[0].outbox.backlog() == {"sent": 18}
    told = [word for one in hook.got for word in re.findall(r"policy-\d-\d(?=: run failed)", str(one))]
    assert sorted(told) == sorted(f"policy-{turn}-{number}" for turn in range(6) for number in range(3))


def test_one_of_many_sends_and_one_without_targets_leaves_it_to_one_that_has_them(tmp_path: Path) -> None:
    many = [Outbox(f"sqlite:///{tmp_path}/notices.sqlite", held_for=timedelta(milliseconds=300)) for _ in range(3)]
    assert [one.hold(equipped=False) for one in many] == [True, False, False]
    assert many[2].hold(equipped=True) and not many[0].hold(equipped=True)
    time.sleep(0.35)
    assert many[1].hold(equipped=True) and not many[2].hold(equipped=True)
    many[1].let_go()
    assert many[0].hold(equipped=True)


def _wait(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_file_in_the_documentation_is_one_that_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text()
    example = page.split("```text\n")[1].split("```")[0].replace("/run/secrets/", "")
    for name, url in (("ops-slack", "json://host/a"), ("pager", "json://host/b"), ("mail", "json://host/c")):
        (tmp_path / name).write_text(url + "\n")
    (tmp_path / "notify.yaml").write_text(example)
    targets = load_targets(load_settings(notify_file=tmp_path / "notify.yaml"))
    assert set(targets.targets) == {"ops-slack", "oncall", "mail"} and targets.digest is not None
    assert unknown_services(targets) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"targets: {{ops: {{url: '{SECRET}'}}}}", "the address of ops is none"),
        (f"targets: {{ops: {{url: 'json://{SECRET}', att_most: 3}}}}", "att_most"),
        (f"targets: {{ops: {{url: 'json://{SECRET}'}}}}\nroutes: [{{on: [failed], to: [pos]}}]", "the target pos"),
        (f"targets: {{ops: {{url: 'json://{SECRET}\n", "this is not YAML"),
        (f"- json://{SECRET}", "this is not YAML"),
    ],
)
def test_a_mistake_in_the_file_is_named_without_an_address(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "notify.yaml").write_text(text)
    with pytest.raises(SettingsError) as raised:
        load_targets(load_settings(notify_file=tmp_path / "notify.yaml"))
    assert says in str(raised.value) and SECRET not in str(raised.value)
