"""Jobs of the local Hub: names of every kind, control, resubmission, filters and pages."""

import json
import os
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.e2e.localhub_fixtures import Rig, is_stub


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("hub")) as rig:
        yield rig


@pytest.fixture
def slow(hub: Rig) -> Iterator[Rig]:
    hub.call("PUT", "/_local/throttle", json={"file_delay": 0.05})
    yield hub
    hub.call("PUT", "/_local/throttle", json={})


NAMES = [
    b"plain.mov",
    b"a b'c\"d.mov",
    b"line\nbreak\tand\x01control",
    b"not-utf8-\xff\xfe\xc3",
    b"\xe2\x82",
    "grüße-日本-\U0001f3ac.mov".encode(),
    b"percent%2Fand%FF",
    b"question?&=#;+",
    b"-rf",
    b"~",
    b"back\\slash",
    b" ",
    b"x" * 255,
    b"\xff" * 255,
]


def test_every_name_that_a_file_can_have_goes_through_listing_migration_and_recall(hub: Rig) -> None:
    folder = hub.filesystem / "projects" / "names"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        (folder / os.fsdecode(name)).write_bytes(b"%d" % number * 100)
    wanted = {name.decode("utf-8", "surrogateescape") for name in NAMES}
    listed = hub.get("/spaces/1/files/", path="/mmfs1/projects/names", details="true")["children"]
    assert {child["name"] for child in listed} == wanted
    paths = [child["path"] for child in listed]
    body = {"site": "london", "workflow": "migrate", "paths": [{"path": path} for path in paths]}
    job = hub.wait(hub.call("POST", "/file/workflow/", content=_ascii(body)).json()["job"])
    assert set(hub.outcomes(job["id"])) == set(paths)
    assert job["counts"]["processed"] == len(NAMES)
    for path in paths:
        raw = path.encode("utf-8", "surrogateescape")
        found = hub.call("GET", f"/file/?path={quote(raw)}").json()
        assert (found["path"], found["status"]) == (path, "migrated")
        rows = hub.call("GET", f"/jobstats/?job={job['id']}&path={quote(raw)}").json()["results"]
        assert [row["path"] for row in rows] == [path]
    assert hub.run("recall", ["/mmfs1/projects/names"])["counts"]["processed"] == len(NAMES)
    for number, name in enumerate(NAMES):
        assert (folder / os.fsdecode(name)).read_bytes() == b"%d" % number * 100


def test_paths_beyond_the_limit_of_one_call_are_tiered_too(hub: Rig) -> None:
    here = os.open(hub.filesystem / "projects", os.O_RDONLY)
    for _ in range(25):
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    file = os.open("deep.mov", os.O_CREAT | os.O_WRONLY, dir_fd=here)
    os.write(file, b"deep" * 1000)
    os.close(file)
    path = "/mmfs1/projects" + ("/" + "d" * 200) * 25 + "/deep.mov"
    assert len(path) > 5000
    assert hub.run("migrate", [path])["counts"]["processed"] == 1
    assert os.stat("deep.mov", dir_fd=here).st_blocks == 0
    assert hub.run("recall", ["/mmfs1/projects/" + "d" * 200])["counts"]["processed"] == 1
    os.close(here)


def test_a_path_that_no_file_can_have_is_refused(hub: Rig) -> None:
    for text in ("/mmfs1/a\0b", "/mmfs1/\ud800", ""):
        body = {"site": "london", "workflow": "migrate", "paths": [{"path": text}]}
        assert hub.call("POST", "/file/workflow/", content=_ascii(body)).status_code == 400


def test_a_submission_that_makes_no_sense_is_refused_and_makes_no_job(hub: Rig) -> None:
    good = {"site": "london", "workflow": "migrate", "paths": [{"path": "/mmfs1/x"}]}
    before = hub.get("/jobs/")["count"]
    for wrong in (
        {"site": "paris"},
        {"workflow": "teleport"},
        {"queue": "none"},
        {"discovery": "snapdiff"},
        {"paths": []},
        {"paths": ["/mmfs1/x"]},
        {"job": 99999},
        {"fields": "x"},
    ):
        assert hub.call("POST", "/file/workflow/", json=good | wrong).status_code == 400, wrong
    assert hub.call("POST", "/file/workflow/", content=b"{not json").status_code == 400
    hub.call("PATCH", "/workflows/1/", json={"enabled": False})
    assert hub.call("POST", "/file/workflow/", json=good).status_code == 400
    hub.call("PATCH", "/workflows/1/", json={"enabled": True})
    assert hub.get("/jobs/")["count"] == before


def test_the_same_path_twice_is_one_path_and_paths_can_be_added_to_a_job(hub: Rig) -> None:
    files = [hub.virtual(path) for path in hub.fill(3, folder="added")]
    job = hub.run("migrate", [files[0], files[0], files[1]])
    assert job["counts"]["total"] == 2
    assert hub.submit("migrate", [files[2], files[1]], job=job["id"]) == job["id"]
    assert hub.wait(job["id"])["counts"]["processed"] == 3


def test_a_paused_job_stands_still_until_it_is_resumed(slow: Rig) -> None:
    files = slow.fill(80, folder="paused")
    job = slow.submit("migrate", [slow.virtual(path) for path in files])
    time.sleep(0.3)
    slow.call("POST", f"/jobs/{job}/pause/")
    until = time.monotonic() + 5
    while slow.get(f"/jobs/{job}/")["state"] != "PAUSED":
        assert time.monotonic() < until
        time.sleep(0.02)
    counts = slow.get(f"/jobs/{job}/")["counts"]
    assert 0 < counts["processed"] < 80
    time.sleep(0.3)
    assert slow.get(f"/jobs/{job}/")["counts"] == counts
    slow.call("PUT", "/_local/throttle", json={})
    slow.call("POST", f"/jobs/{job}/resume/")
    assert slow.wait(job)["counts"]["processed"] == 80
    assert slow.get("/_local/processed", workflow="migrate")[slow.virtual(files[0])] == 1


def test_a_cancelled_job_leaves_the_rest_as_it_was_and_resubmission_does_it(slow: Rig) -> None:
    files = slow.fill(80, folder="cancelled")
    job = slow.submit("migrate", [slow.virtual(path) for path in files])
    time.sleep(0.3)
    slow.call("POST", f"/jobs/{job}/cancel/")
    found = slow.wait(job)
    assert found["state"] == "CANCELLED"
    states = {path: state for path, (state, _) in slow.outcomes(job).items()}
    assert 0 < found["counts"]["cancelled"] < 80
    for path in files:
        assert is_stub(path, path.stat().st_size) == (states[slow.virtual(path)] == "processed")
    slow.call("POST", f"/jobs/{job}/cancel/")
    slow.call("POST", f"/jobs/{job}/pause/")
    assert slow.get(f"/jobs/{job}/")["state"] == "CANCELLED"
    slow.call("PUT", "/_local/throttle", json={})
    assert slow.call("POST", f"/jobs/{job}/resubmit/").json() == {"job": job}
    assert slow.wait(job)["counts"]["processed"] == 80
    processed = slow.processed("migrate")
    assert {processed[slow.virtual(path)] for path in files} == {1}


def test_resubmission_does_nothing_while_a_job_runs_and_keeps_the_history_of_a_path(slow: Rig) -> None:
    (path,) = slow.fill(1, folder="history")
    missing = "/mmfs1/projects/history/late"
    job = slow.submit("migrate", [slow.virtual(path), missing])
    assert slow.call("POST", f"/jobs/{job}/resubmit/").json() == {}
    assert slow.wait(job)["state"] == "PARTIAL"
    (path.parent / "late").write_bytes(b"here now")
    slow.call("POST", f"/jobs/{job}/resubmit/")
    assert slow.wait(job)["state"] == "SUCCESS"
    row = next(row for row in slow.get("/jobstats/", job=job)["results"] if row["path"] == missing)
    assert slow.get(f"/jobstats/{row['id']}/history/")["history"] == [
        {"state": "failed", "code": "no_such_file", "message": "no such file"}
    ]


def test_a_deleted_job_is_gone_with_all_that_belongs_to_it(slow: Rig) -> None:
    files = slow.fill(60, folder="gone")
    job = slow.submit("migrate", [slow.virtual(path) for path in files])
    time.sleep(0.1)
    assert slow.call("DELETE", f"/jobs/{job}/").status_code == 204
    assert slow.call("GET", f"/jobs/{job}/progress/").status_code == 404
    assert slow.get("/jobstats/", job=job)["count"] == 0
    assert slow.get("/tasks/", job_id=job)["count"] == 0
    still = sum(path.stat().st_blocks > 0 for path in files)
    time.sleep(0.3)
    assert sum(path.stat().st_blocks > 0 for path in files) == still > 0


def test_progress_grows_to_100_and_tasks_tell_the_same_story(slow: Rig) -> None:
    files = slow.fill(12, folder="progress")
    job = slow.submit("migrate", [slow.virtual(path) for path in files])
    seen = []
    while not seen or seen[-1] < 100:
        seen.append(slow.get(f"/jobs/{job}/progress/")["progress"])
        time.sleep(0.02)
    assert seen == sorted(seen)
    assert len(set(seen)) > 2
    (task,) = slow.get("/tasks/", job_id=job)["results"]
    assert task["state"] == "SUCCESS"
    assert slow.get("/tasks/", job_id=job, state="STARTED")["count"] == 0
    assert slow.get(f"/jobs/{job}/statistics/")["processed"] == 12


def test_a_file_in_the_hands_of_one_job_is_skipped_as_busy_by_another(hub: Rig) -> None:
    (path,) = hub.fill(1, folder="both", size=3 << 20)
    hub.call("PUT", "/_local/throttle", json={"bytes_per_second": 4 << 20})
    try:
        first = hub.submit("migrate", [hub.virtual(path)])
        time.sleep(0.2)
        second = hub.submit("delete", [hub.virtual(path)])
        assert hub.wait(second)["counts"]["skipped"] == 1
        assert hub.outcomes(second) == {hub.virtual(path): ("skipped", "busy")}
        assert hub.wait(first)["state"] == "SUCCESS"
    finally:
        hub.call("PUT", "/_local/throttle", json={})


def test_jobs_are_filtered_by_everything_that_the_contract_names(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Rig(tmp_path_factory.mktemp("filters")) as hub:
        (path,) = hub.fill(1)
        good = hub.run("premigrate", [hub.virtual(path)], queue="bulk")
        noop = hub.run("premigrate", [hub.virtual(path)])
        bad = hub.run("recall", ["/mmfs1/projects/none"])

        def found(**params: object) -> list[int]:
            return [job["id"] for job in hub.get("/jobs/", **params)["results"]]

        assert found() == [bad["id"], noop["id"], good["id"]]
        assert found(state="SUCCESS,SKIPPED") == [noop["id"], good["id"]]
        assert found(state=["FAILURE", "SKIPPED"]) == [bad["id"], noop["id"]]
        assert found(workflow="recall", site="london") == [bad["id"]]
        assert found(site="paris") == found(site_id=2) == []
        assert found(queue="bulk") == found(queue_id=2) == [good["id"]]
        assert found(created_time_from=noop["created"]) == [bad["id"], noop["id"]]
        assert found(created_time_to=good["created"].rstrip("Z")) == [good["id"]]
        assert found(completed_time_from=bad["completed"]) == [bad["id"]]
        assert found(hide_noop="true") == [bad["id"], good["id"]]
        assert found(input_paths_prefix="/mmfs1/projects/a/") == [noop["id"], good["id"]]
        assert found(owner_ids="-1") == []
        assert len(found(created="day")) == 3
        assert hub.get("/jobs/", workflow="premigrate")["stats"] == {"SUCCESS": 1, "SKIPPED": 1}
        assert hub.call("GET", "/jobs/", params={"created_time_from": "yesterday"}).status_code == 400
        assert hub.get("/jobstats/", job=bad["id"], state="failed")["count"] == 1
        assert hub.get("/jobstats/", job=bad["id"], state="processed,skipped")["count"] == 0


def test_pages_have_the_sizes_of_the_contract(hub: Rig) -> None:
    hub.fill(230, folder="pages", size=10)
    path = "/mmfs1/projects/pages"
    for given, size in ((None, 20), (5, 20), (20, 20), (100, 100), (500, 100), (0, 230)):
        page = hub.get("/spaces/1/files/", path=path, **({} if given is None else {"page_size": given}))
        assert (len(page["children"]), page["count"]) == (size, 230)
    names, url = [], f"{hub.url}/spaces/1/files/?path={path}&page_size=100&details=true"
    with hub.client() as client:
        while url:
            page = client.get(url).json()
            names += [child["name"] for child in page["children"]]
            url = page["next"]
    assert names == sorted(names)
    assert len(names) == 230
    assert hub.get("/spaces/1/files/", path=path, page=12)["next"] is None
    assert hub.call("GET", "/spaces/1/files/", params={"path": path, "page": 13}).status_code == 404
    assert hub.call("GET", "/spaces/1/files/", params={"path": "/mmfs1"}).status_code == 400


def test_a_search_finds_what_its_filters_say(hub: Rig) -> None:
    hub.fill(30, folder="search/deep", size=1000)
    body = {
        "path": "/mmfs1/projects/search",
        "recursive": True,
        "filters": {"core.size": {"gte": 1010}, "type": "file"},
    }
    answer = hub.call("POST", "/search/", json=body).json()
    results = hub.get(f"/search/{answer['id']}/", page_size=0, sort="-core.size")["results"]
    assert [result["metadata"]["core.size"] for result in results] == list(range(1029, 1009, -1))
    assert results[0]["path"] == "/mmfs1/projects/search/deep/f0029.mov"
    flat = hub.call("POST", "/search/", json={"path": "/mmfs1/projects/search"}).json()
    assert [one["name"] for one in hub.get(f"/search/{flat['id']}/")["results"]] == ["deep"]
    assert hub.call("DELETE", f"/search/{flat['id']}/").status_code == 204
    assert hub.call("GET", f"/search/{flat['id']}/").status_code == 404
    assert hub.call("POST", "/search/", json=body | {"filters": {"colour": "red"}}).status_code == 400


def test_a_new_folder_is_a_space_and_a_made_space_is_a_folder(hub: Rig) -> None:
    (hub.filesystem / "found").mkdir()
    names = {space["name"]: space for space in hub.get("/spaces/")["results"]}
    assert names["found"]["mountpoint"] == "/mmfs1/found"
    made = hub.call("POST", "/spaces/", json={"name": "new", "mountpoint": "/mmfs1/new"})
    assert made.status_code == 201
    assert (hub.filesystem / "new").is_dir()
    assert hub.call("POST", "/spaces/", json={"name": "new", "mountpoint": "/mmfs1/new"}).status_code == 400
    assert hub.get(f"/spaces/{made.json()['id']}/files/")["children"] == []


def test_a_schedule_that_is_run_makes_its_jobs(hub: Rig) -> None:
    hub.fill(2, folder="scheduled")
    body = {"name": "now", "site": "london", "managed_paths": ["/mmfs1/projects/scheduled"]}
    schedule = hub.call("POST", "/schedules/", json=body).json()
    hub.call("POST", f"/schedules/{schedule['id']}/workflows/", json={"site": "london", "workflow": "migrate"})
    (job,) = hub.call("POST", f"/schedules/{schedule['id']}/run/").json()["jobs"]
    assert hub.wait(job)["counts"]["processed"] == 2
    assert [one["id"] for one in hub.get("/jobs/", schedule_ids=schedule["id"])["results"]] == [job]


def _ascii(body: object) -> bytes:
    return json.dumps(body).encode("ascii")
