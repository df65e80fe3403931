"""The API on a real engine: steering, four eyes, reading in pages, watching live; its death costs no run anything."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from orchestrator.roles import Role
from tests.e2e.api_machine import ApiMachine, api_machine
from tests.machine import eventually


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiMachine]:
    folder = tmp_path_factory.mktemp("api")
    torn = {"name": "torn", "action": {"kind": "path_fail", "code": "EACCES", "times": 3}, "match": {"file": "*torn*"}}
    (folder / "faults.json").write_text(json.dumps({"rules": [torn]}))
    with api_machine(folder, files=40, ORCHESTRATOR_LOCALHUB_OPTIONS=f"--faults {folder}/faults.json") as here:
        yield here


def events(api: ApiMachine, path: str, who: Role = Role.VIEWER) -> Iterator[tuple[str, Any]]:
    """The server-sent events of a stream, until it ends."""
    headers = {"Authorization": f"Bearer {api.tokens[who]}", "Last-Event-ID": "none of ours, <9e99>"}
    with api.client.stream("GET", f"/api/v1{path}", headers=headers, timeout=30) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        name = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, json.loads(line.removeprefix("data: "))


def test_whoever_started_a_run_does_not_approve_it_and_nobody_approves_another_plan(api: ApiMachine) -> None:
    run = api.start("asks")
    wanted = api.wait_for_approval(run)
    assert (wanted["files"], wanted["not_by"]) == (40, "olga@api")
    own = api.token("olga", Role.APPROVER)
    refused = api.call("POST", f"/api/v1/runs/{run}/approve", own, json={"digest": wanted["digest"]})
    assert refused.status_code == 409 and "another person" in refused.json()["detail"]
    other = api.call("POST", f"/api/v1/runs/{run}/approve", Role.APPROVER, json={"digest": "0" * 64})
    assert other.status_code == 409 and wanted["digest"] in other.json()["detail"]
    said = api.post(f"/runs/{run}/reject", Role.APPROVER, {"digest": wanted["digest"], "reason": "not this week"})
    assert said["state"] in ("refused", "running")
    assert api.wait_until_ended(run) == "refused"
    [record] = api.get("/audit", run=run, event="plan.rejected")["records"]
    assert (record["actor"], record["body"]["reason"]) == ("paul@api", "not this week")


def test_an_open_run_is_paused_slowed_and_resumed_and_the_audit_knows_the_person(api: ApiMachine) -> None:
    run = api.start("asks")
    wanted = api.wait_for_approval(run)
    paused = api.post(f"/runs/{run}/pause", Role.OPERATOR, {"reason": "the tape robot moves"})
    assert [one["actor"] for one in paused["pausers"]] == ["olga@api"]
    limits = {"concurrency": 3, "rate": {"files_per_minute": 60_000, "bytes_per_minute": 2**30}}
    assert api.post(f"/runs/{run}/limits", Role.OPERATOR, limits)["limits"]["bytes_per_minute"] == 2**30
    assert api.post(f"/runs/{run}/limits", Role.OPERATOR, {"rate": "off"})["limits"]["files_per_minute"] is None
    assert api.get(f"/runs/{run}")["standing"]["state"] == "paused"
    said = api.post(f"/runs/{run}/approve", Role.APPROVER, {"digest": wanted["digest"], "reason": "looked at"})
    assert (said["state"], said["waits_for"]) == (
        "paused",
        "somebody to resume it: olga@api paused it (the tape robot moves)",
    )
    again = api.call("POST", f"/api/v1/runs/{run}/approve", Role.APPROVER, json={"digest": wanted["digest"]})
    assert again.status_code == 409
    assert api.post(f"/runs/{run}/resume", Role.OPERATOR, {})["pausers"] == []
    assert api.wait_until_ended(run) == "succeeded"
    told = {one["event"]: one["actor"] for one in api.get("/audit", run=run, limit=200)["records"]}
    assert told["run.paused"] == told["run.resumed"] == told["run.limits_set"] == "olga@api"
    assert told["plan.approved"] == "paul@api"
    over = api.call("POST", f"/api/v1/runs/{run}/pause", Role.OPERATOR, json={})
    assert (over.status_code, over.json()["type"]) == (409, "urn:tiering:problem:run-over")


def test_everything_is_read_page_by_page_and_the_pages_add_up(api: ApiMachine) -> None:
    api.add_files("read", 20)
    archived = api.start("archive")
    assert api.wait_until_ended(archived) == "succeeded"
    api.add_files("reread")
    asked = api.start("asks")
    api.wait_for_approval(asked)
    api.post(f"/runs/{asked}/cancel", Role.OPERATOR, {})
    assert api.wait_until_ended(asked) == "cancelled"

    def pages(path: str, rows: str, **params: Any) -> list[Any]:
        name, found, following = (
            {"/runs": "cursor", "/plans": "before", "/audit": "before"}.get(path, "offset"),
            [],
            None,
        )
        while True:
            page = api.get(path, **params, **({} if following is None else {name: following}))
            assert len(page[rows]) <= params["limit"]
            found += page[rows]
            following = page["next"]
            if following is None:
                return found

    assert eventually(lambda: {asked, archived} <= {one["run"] for one in api.get("/runs", open=False)["runs"]})
    runs = pages("/runs", "runs", limit=1)
    assert [one["run"] for one in runs] == [one["run"] for one in api.get("/runs")["runs"]]
    assert {one["run"]: one["policy"] for one in runs}.items() >= {(archived, "archive"), (asked, "asks")}
    assert {one["policy"] for one in api.get("/runs", policy="archive")["runs"]} == {"archive"}
    audit = pages("/audit", "records", limit=7)
    assert [one["seq"] for one in audit] == list(range(len(audit), 0, -1))
    assert api.get("/audit/verdict")["ok"] and api.get("/audit/3")["hash"] == audit[-3]["hash"]
    plans = pages("/plans", "plans", limit=1)
    assert len(plans) >= 2
    assert plans == api.get("/plans")["plans"]
    plan = api.get(f"/plans/{plans[-1]['digest']}")
    files = pages(f"/plans/{plan['digest']}/files", "files", limit=13)
    assert [one["ordinal"] for one in files] == list(range(plan["files"]))
    assert api.get(f"/plans/{plan['digest']}/report")["bytes"] == sum(one["size"] for one in files)
    ended = pages(f"/runs/{archived}/files", "files", limit=11)
    jobs = pages(f"/runs/{archived}/jobs", "jobs", limit=1)
    assert jobs == api.get(f"/runs/{archived}/jobs")["jobs"]
    end = api.get(f"/runs/{archived}")["end"]
    assert len(jobs) == end["jobs"]
    assert len(ended) == end["plan"]["files"] == sum(end["outcomes"]["skipped"].values()) + end["outcomes"]["done"]
    assert api.get("/health")["health"] in ("ok", "warn")


def test_a_run_is_watched_live_until_it_ends_and_the_whole_as_long_as_one_likes(api: ApiMachine) -> None:
    api.add_files("watched")
    run = api.start("asks")
    wanted = api.wait_for_approval(run)
    seen = []
    for name, state in events(api, f"/runs/{run}/live"):
        seen.append(name)
        if len(seen) == 1:
            assert (name, state["approval"]["digest"]) == ("standing", wanted["digest"])
            overview = next(events(api, "/live"))
            assert overview[0] == "overview" and run in [one["run"] for one in overview[1]["waiting"]]
            api.post(f"/runs/{run}/cancel", Role.OPERATOR, {"reason": "seen enough"})
    assert seen[-1] == "ended" and set(seen[:-1]) <= {"standing", "silent"}


def test_what_is_sent_live_ends_with_the_token(api: ApiMachine) -> None:
    short = api.token("eve", Role.VIEWER, timedelta(seconds=3))
    headers, began = {"Authorization": f"Bearer {short}"}, time.monotonic()
    with api.client.stream("GET", "/api/v1/live", headers=headers, timeout=30) as answer:
        lines = list(answer.iter_lines())
    assert "event: overview" in lines
    assert time.monotonic() - began < 20


def test_freezes_limits_and_the_quarantine_are_steered(api: ApiMachine) -> None:
    frozen = api.post("/holds/freezes", Role.OPERATOR, {"reason": "audit week", "site": "london"}, status=201)
    assert frozen["policies"] == ["archive", "asks"]
    skipped = api.post("/policies/archive/runs", Role.OPERATOR, {"reason": "try"}, status=202)
    assert skipped["state"] == "skipped" and "audit week" in skipped["why"]
    assert api.get("/starts", state="skipped")["starts"][0]["why"] == skipped["why"]
    api.post(f"/holds/freezes/{frozen['hold']['number']}/thaw", Role.OPERATOR, {})
    assert api.get("/holds")["holds"] == [] and len(api.get("/holds", lifted=True)["holds"]) == 1
    unknown = api.call("POST", "/api/v1/holds/freezes", Role.OPERATOR, json={"reason": "x", "site": "atlantis"})
    assert unknown.status_code == 409
    limit = api.call("PUT", "/api/v1/limits", Role.OPERATOR, json={"site": "london", "jobs": 3})
    assert limit.json()["actor"] == "olga@api" and api.get("/limits")["limits"][0]["jobs"] == 3
    assert (
        api.call("PUT", "/api/v1/limits", Role.OPERATOR, json={"site": "london", "jobs": "off"}).json()["jobs"] is None
    )
    assert api.post("/quarantine/release", Role.OPERATOR, {"every": True, "why": "new disks"}) == {"released": 0}


def test_a_request_that_is_sent_again_under_its_key_happens_once(api: ApiMachine) -> None:
    def send(key: str, path: str, body: Any, who: Role = Role.OPERATOR) -> httpx.Response:
        return api.call("POST", f"/api/v1{path}", who, json=body, headers={"Idempotency-Key": key})

    freezing = {"reason": "stock-taking", "site": "london"}
    first, again = (send("k1", "/holds/freezes", freezing) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json() and again.headers["idempotency-replayed"] == "true"
    number = first.json()["hold"]["number"]
    assert [one["number"] for one in api.get("/holds")["holds"]] == [number]
    other = send("k1", "/holds/freezes", {**freezing, "reason": "another"})
    assert (other.status_code, other.json()["type"]) == (422, "urn:tiering:problem:key-used")
    own = send("k1", "/holds/freezes", freezing, Role.ADMIN).json()["hold"]["number"]
    assert own != number, "a key is one person's"
    for freeze in (number, own):
        api.post(f"/holds/freezes/{freeze}/thaw", Role.OPERATOR, {})
    missing = [send("k2", "/runs/none-such/pause", {}) for _ in range(2)]
    assert [(one.status_code, "idempotency-replayed" in one.headers) for one in missing] == [(404, False)] * 2
    for key in ("", "x" * 256):
        assert send(key, "/holds/freezes", freezing).status_code == 422
    secret = send("k3", "/tokens", {"person": "eve", "role": "viewer", "days": 1}, Role.ADMIN)
    assert secret.status_code == 422 and "never kept" in secret.json()["detail"]


def test_a_run_is_asked_for_once_also_when_the_first_server_died_before_it_answered(api: ApiMachine) -> None:
    api.add_files("once")
    key, asked = {"Idempotency-Key": "k4"}, {"reason": "once"}
    first = api.call("POST", "/api/v1/policies/archive/runs", Role.OPERATOR, json=asked, headers=key).json()
    with sqlite3.connect(api.machine.state / "tokens.sqlite") as kept:  # As a server leaves it that dies on the way.
        kept.execute("UPDATE repeat_answers SET status = NULL, body = NULL WHERE status = 202")
    at_work = api.call("POST", "/api/v1/policies/archive/runs", Role.OPERATOR, json=asked, headers=key)
    assert (at_work.status_code, at_work.json()["type"]) == (409, "urn:tiering:problem:at-work")
    with sqlite3.connect(api.machine.state / "tokens.sqlite") as kept:
        kept.execute("UPDATE repeat_answers SET begun_us = begun_us - 160000000 WHERE status IS NULL")
    again = api.call("POST", "/api/v1/policies/archive/runs", Role.OPERATOR, json=asked, headers=key).json()
    assert (again["key"], again["run"]) == (first["key"], first["run"])
    assert api.wait_until_ended(first["run"]) == "succeeded"
    assert [one["run"] for one in api.get("/runs", policy="archive")["runs"]].count(first["run"]) == 1


def test_failed_files_are_tried_again_by_a_run_that_has_ended(api: ApiMachine) -> None:
    api.add_files("torn", 2)
    run = api.start("archive")
    assert api.wait_until_ended(run) == "failed"
    none = api.call("POST", f"/api/v1/runs/{run}/retry-failed", Role.OPERATOR, json={"error": "checksum"})
    assert none.status_code == 409 and f"no file of run {run} failed with 'checksum'" in none.json()["detail"]
    asked = api.post(f"/runs/{run}/retry-failed", Role.OPERATOR, {"reason": "new rights"}, status=202)
    assert (asked["files"], asked["is_open"]) == ({"permission_denied": 2}, False)
    assert api.wait_until_ended(asked["begun"]) == "succeeded"
    assert api.get(f"/runs/{asked['begun']}")["end"]["outcomes"]["done"] == 2


def test_every_example_of_the_documentation_works(api: ApiMachine) -> None:
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
    examples = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(examples) > 5
    environment = {**os.environ, "API": api.url, "TOKEN": api.tokens[Role.ADMIN]}
    for number, example in enumerate(examples):
        api.add_files(f"example{number}-")
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", example], env=environment, capture_output=True, text=True, timeout=60
        )
        assert ended.returncode == 0, f"{example}\n{ended.stdout}\n{ended.stderr}"


@pytest.mark.long
def test_killing_the_api_in_mid_run_costs_the_run_nothing(tmp_path: Path) -> None:
    slow = {"ORCHESTRATOR_LOCALHUB_OPTIONS": "--file-delay 0.2"}
    with api_machine(tmp_path, files=240, **slow) as api:
        run = api.start("archive")
        assert eventually(lambda: len(api.get(f"/runs/{run}/jobs")["jobs"]) >= 2)
        process = psutil.Process(api.machine.stack()["services"]["api"]["pid"])
        process.send_signal(signal.SIGKILL)
        assert eventually(lambda: api.machine.stack()["services"]["api"]["pid"] != process.pid)
        assert eventually(lambda: answers(api))
        stands = api.get(f"/runs/{run}")
        assert stands["open"] and stands["standing"]["files"]["left"] > 0, "it came back in the middle of the run"
        assert api.wait_until_ended(run) == "succeeded"
        end = api.get(f"/runs/{run}")["end"]
        assert (end["outcomes"]["done"], end["jobs"], end["trouble"]) == (240, 24, None)


def answers(api: ApiMachine) -> bool:
    try:
        return api.call("GET", "/healthz", None).status_code == 200
    except httpx.HTTPError:
        return False
