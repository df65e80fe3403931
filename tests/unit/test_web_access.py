"""Who comes in: tokens, sessions, OIDC bearers, cross-site requests, failed logins; and what nobody foresaw."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.requests import Request
from structlog.testing import capture_logs

from activities.ledger.log import AuditLog
from orchestrator.granting import grant, own_token, withdraw
from orchestrator.roles import Role
from orchestrator.settings import Settings, load_settings
from orchestrator.tokens import Tokens
from orchestrator.web.access import COOKIE, SECURE_COOKIE
from orchestrator.web.app import application
from orchestrator.web.attempts import ALLOWED, REMEMBERED, WINDOW, Attempts
from orchestrator.web.guards import Guards
from orchestrator.web.live import MOST_OF_ONE, Live
from orchestrator.web.problems import Problem

ME = "/api/v1/session"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(state_dir=tmp_path)


def made(
    settings: Settings, person: str = "ann", role: Role = Role.ADMIN, *, revoked: bool = False, **lasts: int
) -> str:
    tokens, log = Tokens(settings.tokens.get_secret_value()), AuditLog(settings.audit.get_secret_value())
    token, text = grant(tokens, log, person, role, timedelta(**lasts or {"hours": 1}), actor="test@here")
    if revoked:
        withdraw(tokens, log, token.id, actor="test@here")
    return text


def at(settings: Settings, address: str = "10.0.0.1", base: str = "http://tiering.test") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(application(settings), client=(address, 1234))
    return httpx.AsyncClient(transport=transport, base_url=base)


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


async def test_a_token_speaks_for_its_person_and_only_its_hash_is_kept(settings: Settings) -> None:
    text = made(settings, "olga", Role.OPERATOR)
    async with at(settings) as client:
        answer = (await client.get(ME, headers=bearer(text))).json()
    assert (answer["person"], answer["role"], answer["rights"]) == ("olga", "operator", ["read", "steer"])
    written = b"".join(file.read_bytes() for file in settings.state_dir.rglob("*") if file.is_file())
    assert text.encode() not in written and text.rpartition("_")[2].encode() not in written
    assert b"token.created" in written


async def test_a_token_of_the_stack_is_kept_for_its_user_alone_and_used_again(settings: Settings) -> None:
    text = own_token(settings, "ann@host")
    file = settings.state_dir / "api.token"
    assert file.read_text().strip() == text == own_token(settings, "ann@host")
    assert file.stat().st_mode & 0o777 == 0o600
    tokens = Tokens(settings.tokens.get_secret_value())
    tokens.revoke(tokens.listed()[0].id, by="test@here")
    assert own_token(settings, "ann@host") != text


async def test_a_browser_gets_a_cookie_that_no_script_reads_and_signs_out(settings: Settings) -> None:
    async with at(settings) as client:
        given = await client.post(ME, json={"token": made(settings)})
        cookie = given.headers["set-cookie"]
        assert given.status_code == 201
        assert all(word in cookie for word in (f"{COOKIE}=session_", "HttpOnly", "SameSite=strict", "Path=/"))
        assert "Secure" not in cookie
        assert (await client.get(ME)).json()["person"] == "ann"
        session = client.cookies[COOKIE]
        assert (await client.delete(ME, headers={"Sec-Fetch-Site": "same-origin"})).status_code == 204
        assert (await client.get(ME, headers={"Cookie": f"{COOKIE}={session}"})).status_code == 401


async def test_behind_tls_the_cookie_is_for_tls_and_this_host_alone(tmp_path: Path) -> None:
    settings = load_settings(state_dir=tmp_path, public_url="https://tiering.test")
    async with at(settings, base="https://tiering.test") as client:
        given = await client.post(ME, json={"token": made(settings)})
        assert given.headers["set-cookie"].startswith(f"{SECURE_COOKIE}=") and "Secure" in given.headers["set-cookie"]
        assert given.headers["strict-transport-security"]
        assert (await client.get(ME)).status_code == 200


async def test_a_revoked_token_ends_its_sessions(settings: Settings) -> None:
    tokens = Tokens(settings.tokens.get_secret_value())
    async with at(settings) as client:
        await client.post(ME, json={"token": made(settings)})
        tokens.revoke(tokens.listed()[0].id, by="test@here")
        assert (await client.get(ME)).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.test"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.test"},
        {"Origin": "null"},
        {"Origin": "http://tiering.test.evil.test"},
        {},  # A cookie, and no word where the request comes from.
    ],
)
async def test_what_another_sites_page_sends_is_refused(settings: Settings, headers: dict[str, str]) -> None:
    async with at(settings) as client:
        await client.post(ME, json={"token": made(settings)})
        sent = {"person": "eve", "role": "admin"}
        answer = await client.post("/api/v1/tokens", json=sent, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:tiering:problem:cross-site")
        assert [one.person for one in Tokens(settings.tokens.get_secret_value()).listed()] == ["ann"]
        if headers:
            assert (await client.post(ME, json={"token": made(settings)}, headers=headers)).status_code == 403


async def test_our_own_pages_may_send(settings: Settings) -> None:
    async with at(settings) as client:
        await client.post(ME, json={"token": made(settings)})
        for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://tiering.test"}):
            assert (await client.delete(ME, headers=headers)).status_code == 204


async def test_after_some_failures_an_address_is_not_listened_to_but_for_whom_it_knows(settings: Settings) -> None:
    good, other = made(settings), made(settings, "bob")
    app = httpx.ASGITransport(application(settings), client=("10.0.0.1", 1234))
    async with httpx.AsyncClient(transport=app, base_url="http://tiering.test") as client:
        assert (await client.get(ME, headers=bearer(good))).status_code == 200
        seen = [(await client.get(ME, headers=bearer(f"guess {n}"))).status_code for n in range(ALLOWED + 3)]
        assert seen == [401] * ALLOWED + [429] * 3
        refused = await client.get(ME, headers=bearer(other))
        assert refused.status_code == 429 and 0 < int(refused.headers["retry-after"]) <= WINDOW
        assert (await client.post(ME, json={"token": other})).status_code == 429
        assert (await client.get(ME, headers=bearer(good))).status_code == 200
        app.client = ("10.0.0.2", 1234)
        assert (await client.get(ME, headers=bearer(other))).status_code == 200


def test_whoever_guesses_at_one_token_is_not_listened_to_from_anywhere_and_memory_is_bounded() -> None:
    now = 0.0
    attempts = Attempts(clock=lambda: now)
    for number in range(3 * REMEMBERED):
        attempts.failed(f"address {number}", f"tiering_{number % 3}", "x")
    assert attempts.wait("elsewhere", "tiering_1", "y") > 0
    assert attempts.wait("elsewhere", "tiering_9", "y") == 0
    assert len(attempts._failures) <= REMEMBERED
    now = 1e9
    assert attempts.wait("elsewhere", "tiering_1", "y") == 0


class Keys:
    """An OIDC issuer on loopback: its discovery document and its keys; it can rotate them, and be away."""

    def __init__(self) -> None:
        self.keys = {"one": rsa.generate_private_key(65537, 2048)}
        self.asked = 0
        self.away = False
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                found: dict[str, Any] = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}
                if self.path == "/keys":
                    found = {"keys": [issuer._public(kid, key) for kid, key in issuer.keys.items()]}
                self.send_response(503 if issuer.away else 200)
                self.end_headers()
                self.wfile.write(json.dumps(found).encode())

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def sign(self, key: Any = None, kid: str = "one", algorithm: str = "RS256", **changed: Any) -> str:
        claims = {
            "iss": self.url, "aud": "tiering", "sub": "4711", "preferred_username": "ann",
            "realm": {"groups": ["storage-ops"]}, "exp": time.time() + 300, **changed,
        }  # fmt: skip
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, key or self.keys[kid], algorithm, headers={"kid": kid})

    @staticmethod
    def _public(kid: str, key: Any) -> dict[str, Any]:
        return {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"}


@pytest.fixture
def issuer() -> Iterator[Keys]:
    keys = Keys()
    yield keys
    keys.server.shutdown()


@pytest.fixture
async def oidc(tmp_path: Path, issuer: Keys) -> AsyncIterator[Callable[[str], Any]]:
    settings = load_settings(
        state_dir=tmp_path,
        oidc_issuer=issuer.url,
        oidc_audience="tiering",
        oidc_role_claim="realm.groups",
        oidc_roles="storage-ops=operator, storage-approvers=approver, storage-admins=admin",
    )
    app, number = httpx.ASGITransport(application(settings), client=("10.0.0.1", 1)), iter(range(1000))

    async def ask(text: str) -> tuple[int, Any]:
        app.client = (f"10.0.1.{next(number)}", 1)
        answer = await client.get(ME, headers=bearer(text))
        return answer.status_code, answer.json()

    async with httpx.AsyncClient(transport=app, base_url="http://tiering.test") as client:
        yield ask


async def test_an_oidc_token_speaks_for_its_person_in_the_role_of_their_group(oidc: Any, issuer: Keys) -> None:
    status, me = await oidc(issuer.sign())
    assert (status, me["person"], me["role"]) == (200, "ann", "operator")
    status, me = await oidc(issuer.sign(realm={"groups": ["storage-admins", "storage-ops", "staff"]}))
    assert (status, me["role"]) == (200, "admin")


async def test_oidc_tokens_that_are_not_for_us_are_refused(oidc: Any, issuer: Keys) -> None:
    stranger, curve = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
    head, claims, signature = issuer.sign().split(".")
    bad = {
        "expired": issuer.sign(exp=time.time() - 60),
        "without an end": issuer.sign(exp=None),
        "for others": issuer.sign(aud="mail"),
        "of another issuer": issuer.sign(iss="https://evil.test"),
        "not valid yet": issuer.sign(nbf=time.time() + 600),
        "signed by a stranger": issuer.sign(stranger),
        "of an unknown key": issuer.sign(stranger, kid="two"),
        "of another kind of key": issuer.sign(curve, algorithm="ES256"),
        "without a role": issuer.sign(realm={"groups": ["staff"]}),
        "with roles that exclude each other": issuer.sign(realm={"groups": ["storage-ops", "storage-approvers"]}),
        "without a person": issuer.sign(preferred_username=None),
        "with a person that steers terminals": issuer.sign(preferred_username="ann\x1b[31m"),
        "unsigned": jwt.encode({"iss": issuer.url, "aud": "tiering"}, None, "none"),
        "signed with the public key as a secret": jwt.encode({"iss": issuer.url}, "x" * 32, "HS256"),
        "altered": f"{head}.{claims[:-4]}AAAA.{signature}",
        "cut": f"{head}..{signature}",
    }
    for what, text in bad.items():
        status, problem = await oidc(text)
        assert status == 401, what
        assert problem["type"] == "urn:tiering:problem:wrong-token" and text[:20] not in json.dumps(problem)


async def test_an_issuer_that_rotates_its_keys_or_is_away_is_asked_seldom(oidc: Any, issuer: Keys) -> None:
    assert (await oidc(issuer.sign()))[0] == 200
    asked = issuer.asked
    for number in range(20):
        assert (await oidc(issuer.sign(rsa_key, kid=f"new {number}")))[0] == 401
    assert issuer.asked == asked, "within half a minute the issuer is not asked again, whatever is sent"
    issuer.away = True
    assert (await oidc(issuer.sign()))[0] == 200, "known keys hold while the issuer is away"


async def test_an_issuer_that_was_never_there_is_a_503(oidc: Any, issuer: Keys) -> None:
    issuer.away = True
    status, problem = await oidc(issuer.sign())
    assert (status, problem["type"]) == (503, "urn:tiering:problem:unavailable")


rsa_key = rsa.generate_private_key(65537, 2048)


async def test_what_nobody_foresaw_is_a_problem_whose_id_stands_in_the_log_and_tells_nothing() -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("tiering_0123456789ab_secret")

    transport = httpx.ASGITransport(Guards(failing, secure=False))
    with capture_logs() as logs:
        async with httpx.AsyncClient(transport=transport, base_url="http://tiering.test") as client:
            answer = await client.get("/anything")
    assert answer.status_code == 500 and answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text
    assert logs[0]["incident"] == answer.json()["instance"]


async def test_live_connections_are_bounded_and_end_with_the_server() -> None:
    live = Live()

    async def watch() -> int:
        async with live.connection("ann"):
            return len([None async for _ in live.steps(30)])

    watching = [asyncio.create_task(watch()) for _ in range(MOST_OF_ONE)]
    await asyncio.sleep(0)
    with pytest.raises(Problem) as refused:
        live.check("ann")
    assert refused.value.status == 429
    live.check("bob")
    live.close()
    assert await asyncio.wait_for(asyncio.gather(*watching), 1) == [1] * MOST_OF_ONE
    assert live.open == 0


def test_every_route_says_what_it_needs() -> None:
    from fastapi import APIRouter

    from orchestrator.web.access import Guarded

    router = APIRouter(route_class=Guarded)
    with pytest.raises(AssertionError, match="/open must say what it needs"):

        @router.get("/open")
        async def forgotten(request: Request) -> None: ...
