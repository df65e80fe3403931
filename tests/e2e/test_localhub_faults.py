"""The fault model of the local Hub, as a client meets it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.localhub_fixtures import Rig

SUBMIT = {"method": "POST", "path": "/file/workflow/"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("hub")) as rig:
        yield rig


@pytest.fixture
def hub(shared: Rig) -> Iterator[Rig]:
    yield shared
    assert shared.call("DELETE", "/_local/faults").status_code == 204


def body(name: str = "x") -> dict[str, object]:
    return {"site": "london", "workflow": "migrate", "paths": [{"path": f"/mmfs1/projects/{name}"}]}


def test_an_answer_lost_after_the_work_leaves_a_job_and_one_lost_before_leaves_none(hub: Rig) -> None:
    before = hub.get("/jobs/")["count"]
    for kind, made in (("drop_before", 0), ("drop_after", 1)):
        hub.faults({"match": SUBMIT, "action": {"kind": kind}})
        with pytest.raises(httpx.RemoteProtocolError), hub.client() as client:
            client.post(f"{hub.url}/file/workflow/", json=body())
        assert hub.get("/jobs/")["count"] == before + made


def test_every_third_submission_is_answered_504_after_the_job_was_made(hub: Rig) -> None:
    action = {"kind": "status", "status": 504, "when": "after", "retry_after": 2}
    hub.faults({"match": SUBMIT, "action": action, "schedule": {"every": 3}})
    before = hub.get("/jobs/")["count"]
    answers = [hub.call("POST", "/file/workflow/", json=body()) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [201, 201, 504, 201, 201, 504]
    assert answers[2].headers["retry-after"] == "2"
    assert hub.get("/jobs/")["count"] == before + 6


def test_schedules_say_which_requests_are_hit(hub: Rig) -> None:
    def statuses(**schedule: float) -> list[int]:
        rule = {"match": {"path": "/sites/"}, "action": {"kind": "status", "status": 503}, "schedule": schedule}
        hub.faults(rule, seed=5)
        return [hub.call("GET", "/sites/").status_code for _ in range(8)]

    assert statuses(first=2) == [503, 503] + [200] * 6
    assert statuses(after=6) == [200] * 6 + [503] * 2
    assert statuses(every=2, limit=1) == [200, 503] + [200] * 6
    assert statuses(probability=0.5) == statuses(probability=0.5)
    assert set(statuses(probability=0.5)) == {200, 503}


def test_bodies_can_be_html_or_cut_in_half_and_answers_slow(hub: Rig) -> None:
    hub.faults({"match": {"path": "/queues/"}, "action": "malformed"})
    answer = hub.call("GET", "/queues/")
    assert answer.headers["content-type"].startswith("text/html")
    with pytest.raises(ValueError, match="Expecting value"):
        answer.json()
    hub.faults({"match": {"path": "/queues/"}, "action": "truncated"})
    with pytest.raises(httpx.RemoteProtocolError):
        hub.call("GET", "/queues/")
    hub.faults({"match": {"path": "/queues/"}, "action": {"kind": "delay", "seconds": 0.3}})
    began = time.monotonic()
    assert hub.call("GET", "/queues/").status_code == 200
    assert time.monotonic() - began >= 0.3


def test_an_outage_lasts_its_time_and_the_local_endpoints_stay_reachable(hub: Rig) -> None:
    rule = {"match": {"path": "/sites/"}, "action": {"kind": "outage", "seconds": 0.6}, "schedule": {"limit": 1}}
    hub.faults(rule)
    with pytest.raises(httpx.RemoteProtocolError):
        hub.call("GET", "/sites/")
    with pytest.raises(httpx.RemoteProtocolError):
        hub.call("GET", "/queues/")
    assert hub.call("GET", "/_local/faults").json()["fired"][0]["fired"] == 1
    time.sleep(0.7)
    assert hub.call("GET", "/sites/").status_code == 200


def test_a_token_can_expire_in_mid_run(hub: Rig) -> None:
    with hub.client(Accept="application/json") as client:
        tokens = client.post(f"{hub.url}/auth/token/", json={"username": "admin", "password": hub.password}).json()
        headers = {"Authorization": f"Bearer {tokens['access']}"}
        assert client.get(f"{hub.url}/sites/", headers=headers).status_code == 200
        hub.faults({"match": {"path": "/sites/"}, "action": "token_expired", "schedule": {"limit": 1}})
        assert client.get(f"{hub.url}/sites/", headers=headers).status_code == 401
        assert client.get(f"{hub.url}/sites/", headers=headers).status_code == 401
        fresh = client.post(f"{hub.url}/auth/token/refresh/", json={"refresh": tokens["refresh"]}).json()["access"]
        assert client.get(f"{hub.url}/sites/", headers={"Authorization": f"Bearer {fresh}"}).status_code == 200


def test_progress_falls_back_when_told_to(hub: Rig) -> None:
    (path,) = hub.fill(1)
    job = hub.run("premigrate", [hub.virtual(path)])
    action = {"kind": "progress_back", "by": 30}
    hub.faults({"match": {"path": "/jobs/*/progress/"}, "action": action, "schedule": {"every": 2}})
    assert [hub.get(f"/jobs/{job['id']}/progress/")["progress"] for _ in range(3)] == [100, 70, 100]


def test_a_stuck_job_never_moves_until_it_is_cancelled_or_the_faults_end(hub: Rig) -> None:
    files = hub.fill(3, folder="stuck")
    hub.faults({"match": {"workflow": "migrate"}, "action": "stuck", "schedule": {"limit": 2}})
    first, second = (hub.submit("migrate", [hub.virtual(path)]) for path in files[:2])
    assert hub.run("migrate", [hub.virtual(files[2])])["state"] == "SUCCESS"
    assert hub.get(f"/jobs/{first}/")["state"] == "STARTED"
    assert hub.get(f"/jobs/{first}/progress/")["progress"] == 0
    hub.call("POST", f"/jobs/{first}/cancel/")
    assert hub.wait(first)["state"] == "CANCELLED"
    hub.call("DELETE", "/_local/faults")
    assert hub.wait(second)["state"] == "SUCCESS"


def test_paths_fail_by_glob_and_by_share_for_some_times_and_this_is_remembered(tmp_path: Path) -> None:
    rules = [
        {
            "name": "for ever",
            "match": {"file": "*/f0000.mov"},
            "action": {"kind": "path_fail", "code": "target_error", "message": "the tape is torn"},
        },
        {"name": "twice", "match": {"percent": 20}, "action": {"kind": "path_fail", "code": "io_error", "times": 2}},
    ]
    file = tmp_path / "faults.json"
    file.write_text(json.dumps({"seed": 3, "rules": rules}))
    hub = Rig(tmp_path / "hub", "--faults", str(file))
    with hub:
        names = [hub.virtual(path) for path in hub.fill(100, size=50)]
        job = hub.run("migrate", names)
        failed = {path for path, (state, _) in hub.outcomes(job["id"]).items() if state == "failed"}
        assert names[0] in failed
        assert 10 <= len(failed) <= 32
        assert job["state"] == "PARTIAL"
        row = hub.get("/jobstats/", job=job["id"], path=names[0])["results"][0]
        assert (row["code"], row["message"]) == ("target_error", "the tape is torn")
        hub.kill()
        hub.arguments = []
        hub.start()
        again = hub.run("migrate", sorted(failed))
        assert again["counts"]["failed"] == len(failed)
        last = hub.run("migrate", sorted(failed))
        assert {path for path, (state, _) in hub.outcomes(last["id"]).items() if state == "failed"} == {names[0]}
        assert set(hub.processed("migrate").values()) == {1}


def test_rules_that_are_not_in_the_form_are_refused(hub: Rig, tmp_path: Path) -> None:
    for wrong in (
        [],
        {"rules": {}},
        {"rules": [{"action": "explode"}]},
        {"rules": [{"action": "drop_after", "when": "now"}]},
        {"rules": [{"action": {"kind": "status", "code": 500}}]},
        {"rules": [{"match": {"colour": "red"}, "action": "drop_after"}]},
    ):
        assert hub.call("PUT", "/_local/faults", json=wrong).status_code == 400, wrong
    with hub.client(Authorization="Api-Key wrong") as client:
        assert client.get(hub.local_url + "/faults").status_code == 401


def test_the_counters_say_what_was_asked(hub: Rig) -> None:
    before = hub.call("GET", "/_local/counters").json()
    hub.get("/sites/1/health/")
    after = hub.call("GET", "/_local/counters").json()
    name = "GET /sites/{id}/health/"
    assert after[name] == before.get(name, 0) + 1
