"""The answers of the local Hub: the contract, who may ask, and both dialects."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from activities.hub.contract import Operation, operation, operations
from orchestrator.localhub.operations import OPERATIONS
from tests.e2e.localhub_fixtures import Rig

KINDS: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "boolean": (bool,),
    "object": (dict, list),
}
# What the reference marks as a read-only string is of any type: its generator did not know what the field holds.
BESIDES = {
    "GET /spaces/{id}/files/": {"owner", "group", "count", "next", "previous"},
    "GET /search/metadata_fields/": {"name"},
    "GET /storagepools/": {"id"},
    "GET /storagepools/{id}/": {"id"},
    "GET /filesystems/": {"id"},
    "GET /filesystems/{id}/": {"id"},
    "GET /sites/{id}/health/": {"healthy", "status", "nodes"},
    "GET /jobstats/{id}/history/": {"history"},
    "GET /tasks/{id}/files/": {"count", "next", "previous", "results", "path", "task", "code", "message"},
}
# Answers to these echo the request in the reference, secrets and all; here they do not.
NO_ECHO = {"POST /auth/token/", "POST /auth/token/refresh/", "POST /auth/token/verify/", "POST /file/workflow/"}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("hub")) as rig:
        yield rig


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("other"), "--dialect", "alternative") as rig:
        yield rig


def departures(one: Operation, answer: Any) -> list[str]:
    """Say where an answer is not what the contract says."""
    found = []
    if one.name == "GET /search/{id}/":  # pages of what the reference shows as one
        answer = answer["results"][0]
    for name, field in one.answer.items():
        values = list(_at(answer, name.replace("[]", ".[]").lstrip(".").split(".")))
        needed = field.required and one.name not in NO_ECHO
        for there, value in values:
            if not there and needed:
                found.append(f"{name} is missing")
            elif there and value is not None and not field.read_only and not isinstance(value, KINDS[field.type]):
                found.append(f"{name} is {value!r}")
    if one.answer and one.method == "GET":
        found += sorted({f"{key} is not of the contract" for key in _keys(answer) - _known(one)})
    return found


def _keys(answer: Any) -> set[str]:
    elements = answer if isinstance(answer, list) else [answer]
    keys = {key for element in elements for key in element}
    return keys | {f"results[].{key}" for element in elements for one in element.get("results", ()) for key in one}


def _known(one: Operation) -> set[str]:
    known = {".".join(name.lstrip("[].").split(".")[:2]) for name in one.answer} | {"results"}
    known |= {name.partition(".")[0] for name in known}
    known |= {name.partition("[]")[0] for name in known} | {name.removesuffix("[]") for name in known}
    besides = BESIDES.get(one.name, set())
    return known | besides | {f"results[].{name}" for name in known | besides}


def _at(value: Any, steps: list[str]) -> Iterator[tuple[bool, Any]]:
    if not steps:
        yield True, value
    elif steps[0] == "[]":
        for element in value if isinstance(value, list) else []:
            yield from _at(element, steps[1:])
    elif isinstance(value, dict) and steps[0] in value:
        yield from _at(value[steps[0]], steps[1:])
    elif isinstance(value, dict) or value is None:
        yield value is None, None


def ask(hub: Rig, path: str) -> tuple[str, dict[str, str]]:
    """Fill the parameters of a path with things that are there, and the query with what is needed."""
    known = {"{parent_lookup_schedule}": "1", "{username}": "admin", "{key}": "resident"}
    identity = "2" if path == "/schedules/{parent_lookup_schedule}/workflows/{id}/" else "1"
    identity = "3" if path.startswith("/policies/") else identity
    for name, value in known.items():
        path = path.replace(name, value)
    params = {"path": "/mmfs1/projects", "details": "true"} if path == "/file/" or path.endswith("/files/") else {}
    if path.startswith("/external_targets/"):
        params = {"path": "/"}
    return path.replace("{id}", identity), params


def test_every_served_reading_answers_as_the_contract_says(hub: Rig) -> None:
    hub.fill(3)
    hub.call("POST", "/search/", json={"path": "/mmfs1", "recursive": True})
    hub.run("premigrate", ["/mmfs1/projects/a"])
    hub.call("PUT", "/_local/throttle", json={})
    skipped = {"GET /alerts/{id}/", "GET /jobstats/{id}/", "GET /jobstats/{id}/history/"}
    wrong, read = {}, 0
    for name in OPERATIONS:
        method, path = name.split(" ")
        if method != "GET" or name in skipped:
            continue
        url, params = ask(hub, path)
        found = hub.get(url, **params)
        read += 1
        if departed := departures(operation(method, path), found):
            wrong[name] = departed
    row = hub.get("/jobstats/", state="processed")["results"][0]["id"]
    for name in ("/jobstats/{id}/", "/jobstats/{id}/history/"):
        departed = departures(operation("GET", name), hub.get(name.replace("{id}", str(row))))
        wrong |= {name: departed} if departed else {}
    assert wrong == {}
    assert read > 50


def test_every_served_writing_answers_as_the_contract_says(hub: Rig) -> None:
    login = {"username": "admin", "password": hub.password}
    space = {"name": "made", "mountpoint": "/mmfs1/made"}
    schedule, workflow = {"name": "s", "site": "london"}, {"site": "london", "workflow": "migrate"}
    job = {"site": "london", "workflow": "migrate", "paths": [{"path": "/mmfs1/projects/none"}]}
    wrong: dict[str, list[str]] = {}

    def send(template: str, body: Any = None, **ids: Any) -> Any:
        method, path = template.split(" ")
        answer = hub.call(method, path.format(**ids), json=body)
        assert answer.status_code < 300, (template, answer.text)
        content = answer.json() if answer.content else None
        if content and (departed := departures(operation(method, path), content)):
            wrong[template] = departed
        return content

    refresh = send("POST /auth/token/", login)["refresh"]
    token = send("POST /auth/token/refresh/", {"refresh": refresh})["access"]
    send("POST /auth/token/verify/", {"token": token, "type": "access"})
    key = send("POST /auth/clientkeys/", {"name": "a key"})
    send("PATCH /auth/clientkeys/{id}/", {"name": "another name"}, id=key["id"])
    send("DELETE /auth/clientkeys/{id}/", id=key["id"])
    made = send("POST /spaces/", space)
    send("PATCH /spaces/{id}/", {"size": 1 << 30}, id=made["id"])
    send("DELETE /spaces/{id}/", id=made["id"])
    planned = send("POST /schedules/", schedule)["id"]
    send("PATCH /schedules/{id}/", {"hour": "5"}, id=planned)
    step = send("POST /schedules/{parent_lookup_schedule}/workflows/", workflow, parent_lookup_schedule=planned)["id"]
    both = {"parent_lookup_schedule": planned, "id": step}
    send("PATCH /schedules/{parent_lookup_schedule}/workflows/{id}/", {"queue": "bulk"}, **both)
    send("DELETE /schedules/{parent_lookup_schedule}/workflows/{id}/", **both)
    send("POST /schedules/{id}/run/", id=planned)
    send("DELETE /schedules/{id}/", id=planned)
    policy = send("POST /policies/", {"name": "p"})["id"]
    send("PATCH /policies/{id}/", {"enabled": True}, id=policy)
    send("DELETE /policies/{id}/", id=policy)
    send("PATCH /workflows/{id}/", {"visible": True}, id=1)
    send("PATCH /configurations/", {"jobs_ttl": 7})
    search = send("POST /search/", {"path": "/mmfs1/projects"})["id"]
    send("DELETE /search/{id}/", id=search)
    sent = send("POST /file/workflow/", job)["job"]
    for word in ("pause", "resume", "cancel", "resubmit"):
        send(f"POST /jobs/{{id}}/{word}/", id=sent)
    send("DELETE /jobs/{id}/", id=sent)
    assert wrong == {}


def test_an_operation_that_is_not_served_says_so_and_another_path_is_not_found(hub: Rig) -> None:
    unserved = [one for one in operations() if one.name not in OPERATIONS]
    assert len(operations()) == 155
    assert len(unserved) < 65
    for one in unserved:
        path = one.path
        for name in one.path_params:
            path = path.replace("{" + name + "}", "1")
        answer = hub.call(one.method, path)
        assert (answer.status_code, answer.json()["operation"]) == (501, one.name)
    assert hub.call("GET", "/nothing/").status_code == 404
    assert hub.call("PUT", "/sites/").status_code == 405
    assert hub.call("GET", "/jobs/99999/progress/").status_code == 404
    assert hub.call("GET", "/jobs/x/progress/").status_code == 404


def test_nobody_asks_without_credentials_that_hold(hub: Rig) -> None:
    for header in ("", "Api-Key", "Api-Key wrong", "Bearer wrong", "Basic YTpi", f"Bearer {hub.key}"):
        with hub.client(Authorization=header) as client:
            assert client.get(f"{hub.url}/sites/").status_code == 401, header
    key = hub.call("POST", "/auth/clientkeys/", json={"name": "short-lived"}).json()
    with hub.client(Authorization=f"Api-Key {key['api_key']}") as client:
        assert client.get(f"{hub.url}/sites/").status_code == 200
        hub.call("DELETE", f"/auth/clientkeys/{key['id']}/")
        assert client.get(f"{hub.url}/sites/").status_code == 401
    wrong = {"username": "admin", "password": "guess"}
    assert httpx.post(f"{hub.url}/auth/token/", json=wrong).status_code == 401


def test_tokens_expire_after_their_lifetime(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("short")
    with Rig(folder, "--access-lifetime", "1", "--refresh-lifetime=-5") as hub:
        tokens = httpx.post(f"{hub.url}/auth/token/", json={"username": "admin", "password": hub.password}).json()

        def status(token: str) -> int:
            return httpx.get(f"{hub.url}/sites/", headers={"Authorization": f"Bearer {token}"}).status_code

        assert status(tokens["access"]) == 200
        assert status(tokens["refresh"]) == 401
        assert httpx.post(f"{hub.url}/auth/token/refresh/", json={"refresh": tokens["refresh"]}).status_code == 401
        until = time.monotonic() + 3
        while status(tokens["access"]) == 200:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert status(tokens["access"]) == 401


def test_the_alternative_dialect_answers_in_the_other_forms(other: Rig) -> None:
    files = [other.virtual(path) for path in other.fill(6)]
    answers = [
        other.call("POST", "/file/workflow/", json={"site": "london", "workflow": "migrate", "paths": [{"path": path}]})
        for path in files[:2]
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json()["id"] == "1"
    assert answers[1].json()["url"].endswith("/jobs/2/")
    assert all("job" not in answer.json() for answer in answers)
    assert other.call("GET", "/jobs/1/").status_code == 405
    assert other.call("GET", "/jobs/1/files/").status_code == 404
    until = time.monotonic() + 10
    while {task["state"] for task in other.get("/tasks/", job_id=1)["results"]} != {"SUCCESS"}:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert other.get("/jobs/1/progress/") in ("100%", {"percentage": 100.0})
    job = other.get("/jobs/")["results"][-1]
    assert "state" not in job
    assert isinstance(job["created"], float)
    assert job["counts"]["processed"] == "1"
    assert [one["id"] for one in other.get("/jobs/", state="SUCCESS", created_time_to=job["created"])["results"]] == [
        "1"
    ]
    found = other.get("/file/", path=files[0])["results"][0]
    assert (found["status"], found["size"]) == ("migrated", "5000")
    assert "Z" not in found["mtime"]
    listed = other.get("/spaces/1/files/", path="/mmfs1/projects/a", details="true")["children"]
    assert {child["status"] for child in listed} == {"migrated", "unmanaged"}
    search = other.call("POST", "/search/", json={"path": "/mmfs1/projects/a"}).json()
    assert "id" not in search
    (first, *_) = other.get(search["url"].removeprefix(other.url))["results"]
    assert first["metadata"]["core"]["size"] == "5000"
    assert first["metadata"]["ngenea"]["status"] == "migrated"
    assert isinstance(other.get("/storagepools/")[0]["capacity"], str)


def test_the_alternative_dialect_resubmits_as_a_new_job_and_says_403_to_an_expired_token(other: Rig) -> None:
    missing = other.filesystem / "projects" / "later.mov"
    body = {"site": "london", "workflow": "migrate", "paths": [{"path": "/mmfs1/projects/later.mov"}]}
    answer = other.call("POST", "/file/workflow/", json=body).json()
    job = int(answer.get("id") or answer["url"].rstrip("/").rpartition("/")[2])
    while other.get("/jobs/", state="FAILURE")["count"] == 0:
        time.sleep(0.02)
    missing.write_bytes(b"here now")
    again = other.call("POST", f"/jobs/{job}/resubmit/").json()
    assert int(again.get("id") or again["url"].rstrip("/").rpartition("/")[2]) == job + 1
    tokens = httpx.post(f"{other.url}/auth/token/", json={"username": "admin", "password": other.password}).json()
    other.call("POST", "/_local/expire-tokens")
    headers = {"Authorization": f"Bearer {tokens['access']}"}
    assert httpx.get(f"{other.url}/sites/", headers=headers).status_code == 403
