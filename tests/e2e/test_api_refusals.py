"""Every route of the API refuses clearly: no token, wrong role, bad bodies, unknown names, path tricks. Never a 500."""

import os
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import CHECKS
from schemathesis.generation import GenerationMode

from orchestrator.roles import Role
from orchestrator.settings import load_settings
from orchestrator.web.app import application
from orchestrator.web.guards import LARGEST_BODY
from tests.e2e.api_machine import ApiMachine, api_machine

FUZZ = os.environ.get("HYPOTHESIS_PROFILE") == "fuzz"
FEW: dict[str, Any] = {
    "max_examples": 30 if FUZZ else 5,
    "derandomize": not FUZZ,
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
}
DIGEST = "0123456789abcdef" * 4
KNOWN = {"policy": "archive", "version": "1", "number": "1", "seq": "1", "site": "london", "digest": DIGEST}
UNKNOWN = {
    "run": "archive-20200101T000000Z-00000000", "policy": "no-such-policy", "version": "77", "number": "77777777",
    "seq": "77777777", "site": "atlantis", "digest": DIGEST, "token": "0123456789ab",
}  # fmt: skip
BODIES: dict[str, Any] = {
    "/session": {"token": "tiering_0123456789ab_" + "x" * 43},
    "/runs/{run}/approve": {"digest": DIGEST},
    "/runs/{run}/reject": {"digest": DIGEST, "reason": "no"},
    "/runs/{run}/limits": {"concurrency": 2},
    "/policies/{policy}/runs": {"reason": "a test"},
    "/holds/freezes": {"reason": "a test"},
    "/events/replay": {"id": "no-such-event", "reason": "a test"},
    "/quarantine/release": {"why": "a test", "every": True},
    "/limits": {"site": "london", "jobs": 3},
    "/tokens": {"person": "eve", "role": "viewer"},
}
TRICKS = (
    "..%2f..%2fetc%2fpasswd", "%2e%2e", "..", "%00", "a%00b", "%2f", "a%2fb", "%ff%fe", "%0d%0aX-Evil:%20y", "A" * 5000,
    "'%20OR%201=1--", "%3Cscript%3E", "-", "%F0%9F%92%A9", "archive%20", "18446744073709551616", "-1", "null",
)  # fmt: skip
WRONG_ROLES = {
    "read": (),
    "steer": (Role.VIEWER, Role.APPROVER),
    "approve": (Role.VIEWER, Role.OPERATOR),
    "administer": (Role.VIEWER, Role.OPERATOR, Role.APPROVER),
}


class Operation(NamedTuple):
    """One operation of the OpenAPI document."""

    method: str
    path: str
    described: dict[str, Any]

    @property
    def guarded(self) -> bool:
        """Whether it needs a token."""
        return bool(self.described.get("security"))

    @property
    def body(self) -> Any:
        """A body that it takes, None where it takes none."""
        if "requestBody" not in self.described:
            return None
        return BODIES.get(self.path.removeprefix("/api/v1"), {})

    def parameters(self, where: str) -> list[dict[str, Any]]:
        """Its parameters that stand there."""
        return [one for one in self.described.get("parameters", []) if one["in"] == where]

    def place(self, names: dict[str, str]) -> str:
        """Its path with names, and its query with what must be in it."""
        query = {one["name"]: "nothing" for one in self.parameters("query") if one["required"]}
        return self.path.format(**names) + ("?" + str(httpx.QueryParams(query)) if query else "")


with tempfile.TemporaryDirectory() as anywhere:
    DOCUMENT = application(load_settings(state_dir=anywhere)).openapi()
OPERATIONS = [
    Operation(method.upper(), path, described)
    for path, methods in DOCUMENT["paths"].items()
    for method, described in methods.items()
]
NAMES = {**UNKNOWN, **KNOWN}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiMachine]:
    with api_machine(tmp_path_factory.mktemp("refusals"), files=3) as here:
        yield here


def is_a_problem(answer: httpx.Response, *statuses: int) -> bool:
    """Whether an answer is a problem document of one of these statuses, with everything that every answer has."""
    where = f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:300]}"
    assert answer.status_code in statuses, where
    assert answer.headers["content-type"] == "application/problem+json", where
    assert answer.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    if answer.request.method != "HEAD":
        document = answer.json()
        assert document["status"] == answer.status_code
        assert document["type"].startswith("urn:tiering:problem:") and document["title"] and document["detail"]
    return True


def test_whoever_has_no_good_token_gets_401_everywhere(api: ApiMachine) -> None:
    expired = api.token("eve", Role.ADMIN, timedelta(microseconds=1))
    revoked = api.token("eve", Role.ADMIN, revoked=True)
    for number, one in enumerate(OPERATIONS):
        if one.guarded:
            unknown = f"tiering_{number:012x}_" + "A" * 43
            for token in (None, "nonsense", "a.b.c", unknown, "x" * 9000, expired, revoked):
                answer = api.call(one.method, one.place(NAMES), token, content=b"{" * 9)
                assert is_a_problem(answer, 401), token
                assert answer.headers["www-authenticate"].startswith("Bearer")
            assert "expired" in api.call(one.method, one.place(NAMES), expired).text
    free = {(one.method, one.path) for one in OPERATIONS if not one.guarded}
    assert free == {
        ("GET", "/healthz"), ("GET", "/readyz"), ("POST", "/api/v1/session"), ("DELETE", "/api/v1/session"),
    }  # fmt: skip


def test_nobody_does_what_their_role_does_not_allow(api: ApiMachine) -> None:
    from fastapi.routing import APIRoute

    from orchestrator.web.access import Needs, right_of
    from orchestrator.web.app import ROUTERS

    asked = set()
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            if not any(isinstance(one.dependency, Needs) for one in route.dependencies):
                continue
            right = right_of(route)
            for role in WRONG_ROLES[right]:
                for method in route.methods:
                    found = next(
                        one for one in OPERATIONS if (one.method, one.path) == (method, f"/api/v1{route.path}")
                    )
                    asked.add((method, route.path))
                    assert is_a_problem(api.call(method, found.place(NAMES), role, json=found.body), 403)
    changing = {(one.method, one.path.removeprefix("/api/v1")) for one in OPERATIONS if one.method != "GET"}
    assert changing - asked == {("POST", "/session"), ("DELETE", "/session")}


def test_bodies_that_are_none_are_refused(api: ApiMachine) -> None:
    json_type = {"content-type": "application/json"}
    hostile = (b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b'{"reason": "\\ud800"}', b'{"reason": 1}', b'{"x": 1}',
               b"[" * 5000, b'{"reason": NaN}', b'{"reason": "a\\u0000b"}', b'{"reason": "two\\nlines"}')  # fmt: skip
    for one in OPERATIONS:
        if one.body is None:
            continue
        place = one.place(NAMES)
        for body in hostile:
            assert is_a_problem(api.call(one.method, place, content=body, headers=json_type), 400, 422), body
        for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
            answer = api.call(one.method, place, content=b"{}", headers={"content-type": kind} if kind else {})
            assert is_a_problem(answer, 415, 422)
        extra = api.call(one.method, place, json={**one.body, "surprise": 1})
        assert is_a_problem(extra, 422) and "body.surprise" in extra.text


def test_bodies_that_are_too_large_are_refused_whether_they_say_so_or_not(api: ApiMachine) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(2 + LARGEST_BODY // 1000):
            yield b" " * 1000

    for one in OPERATIONS:
        if one.body is not None:
            place = one.place(NAMES)
            assert is_a_problem(api.call(one.method, place, content=b" " * (LARGEST_BODY + 1)), 413)
            assert is_a_problem(api.call(one.method, place, content=pieces()), 413)


def test_names_that_nobody_knows_are_not_found(api: ApiMachine) -> None:
    for one in OPERATIONS:
        if one.parameters("path"):
            assert is_a_problem(api.call(one.method, one.place(UNKNOWN), json=one.body), 404)


def test_no_trick_with_a_path_gets_anywhere(api: ApiMachine) -> None:
    for one in OPERATIONS:
        for parameter in one.parameters("path"):
            for trick in TRICKS:
                raw = {"target": one.place({**NAMES, parameter["name"]: trick}).encode()}
                assert is_a_problem(api.call(one.method, one.path, json=one.body, extensions=raw), 404, 405, 422)
    for place in (b"/api/v1/../../etc/passwd", b"/api/v1//runs", b"/api/v1/runs/"):
        assert is_a_problem(api.call("GET", "/", extensions={"target": place}), 404)
    for place in (b"/static/../app.py", b"/static/..%2fapp.py", b"/static/%2e%2e/%2e%2e/app.py", b"/%2e%2e/app.py"):
        page = api.call("GET", "/", extensions={"target": place})
        assert page.status_code == 404 and "def application" not in page.text


def test_parameters_that_are_unknown_wrong_or_there_twice_are_refused(api: ApiMachine) -> None:
    for one in OPERATIONS:
        if not one.guarded:
            continue
        place = one.place(NAMES)
        mark = "&" if "?" in place else "?"
        answer = api.call(one.method, f"{place}{mark}polcy=x", json=one.body)
        assert is_a_problem(answer, 422) and "query.polcy" in answer.text
        for parameter in one.parameters("query"):
            twice = api.call(one.method, f"{place}{mark}{parameter['name']}=1&{parameter['name']}=1", json=one.body)
            assert is_a_problem(twice, 422)
    assert is_a_problem(api.call("GET", "/api/v1/runs?cursor=AAAA"), 409)
    for query in ("limit=0", "limit=201", "limit=x", "limit=1e9", "cursor=!!", "since=yesterday",
                  "since=2026-01-01", "policy=UPPER", "open=perhaps", "until=0000-01-01T00:00:00Z"):  # fmt: skip
        assert is_a_problem(api.call("GET", f"/api/v1/runs?{query}"), 422)


def test_other_methods_are_refused_with_those_that_are_known(api: ApiMachine) -> None:
    known: dict[str, set[str]] = {}
    for one in OPERATIONS:
        known.setdefault(one.path, set()).add(one.method)
    for path, methods in known.items():
        for method in {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "SPAM"} - methods:
            answer = api.call(method, path.format(**NAMES))
            assert is_a_problem(answer, 405)
            assert {word.strip() for word in answer.headers["allow"].split(",")} <= methods


@pytest.mark.long
def test_whatever_is_sent_gets_an_answer_of_the_openapi_document(api: ApiMachine) -> None:
    """Schemathesis makes what each operation allows and what it forbids; the same in each run, new ones in a fuzz."""
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    schema.config.update(base_url=api.url)
    asked = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path.endswith("/live"):
            continue  # Its answer does not end.
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            try:
                cases = operation.as_strategy(generation_mode=mode)
                asked += send_some(api, cases)
            except Unsatisfiable:  # Nothing can be wrong with an operation that takes nothing.
                assert mode is GenerationMode.NEGATIVE
    assert asked > 5 * len(OPERATIONS)


def send_some(api: ApiMachine, cases: Any) -> int:
    sent = 0
    headers = {"Authorization": f"Bearer {api.tokens[Role.ADMIN]}"}
    our_own = [CHECKS.get_one("ignored_auth")]  # Above, from an address each: so many bad logins from one are refused.

    @given(case=cases)
    @settings(**FEW)
    def send(case: Any) -> None:
        nonlocal sent
        sent += 1
        answer = case.call(headers=headers, timeout=60, session=api.session)
        case.validate_response(answer, headers=headers, excluded_checks=our_own)

    send()
    return sent
