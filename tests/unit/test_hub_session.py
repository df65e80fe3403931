"""Tokens: fetched, refreshed, fetched anew - once for everybody - and given up clearly."""

import asyncio

import pytest
from aiohttp import web

from activities.errors import AuthError, ContractError, Forbidden, NotFound, Unreachable
from activities.hub.client import Hub
from activities.hub.credentials import ApiKey, Password, credentials_from
from tests.unit.hub_fixtures import PASSWORD, USER, Answer, OddHub, always, answer, by_name, drop, odd_hub


class Tokens:
    """A token service: `good` is what counts now; everything else is answered with `refusal`."""

    def __init__(self, refusal: int = 401, refreshes: bool = True) -> None:
        self.made = 0
        self.good: set[str] = set()
        self.refusal = refusal
        self.refreshes = refreshes

    def _new(self) -> str:
        self.made += 1
        token = f"token-{self.made}-secret"
        self.good = {token}
        return token

    async def login(self, request: web.Request, body: bytes) -> web.StreamResponse:
        given = await request.json()
        await asyncio.sleep(0.01)
        if given != {"username": USER, "password": PASSWORD}:
            return answer({"detail": "No active account"}, 401)
        return answer({"access": self._new(), "refresh": "refresh-1-secret"})

    async def refresh(self, request: web.Request, body: bytes) -> web.StreamResponse:
        await asyncio.sleep(0.01)
        if not self.refreshes or await request.json() != {"refresh": "refresh-1-secret"}:
            return answer({"detail": "Token is invalid or expired"}, 401)
        return answer({"access": self._new()})

    async def guarded(self, request: web.Request, body: bytes) -> web.StreamResponse:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") in self.good:
            return answer(["in"])
        return answer({"detail": "Given token not valid"}, self.refusal)

    def script(self, **more: Answer) -> Answer:
        return by_name(
            {
                "POST /auth/token/": self.login,
                "POST /auth/token/refresh/": self.refresh,
                "GET /jobs/": self.guarded,
                "POST /file/workflow/": self.guarded,
            }
            | more
        )


def logins(odd: OddHub) -> tuple[int, int]:
    return odd.count("POST /auth/token/"), odd.count("POST /auth/token/refresh/")


def test_a_key_is_preferred_and_half_an_account_is_refused() -> None:
    assert isinstance(credentials_from(key=" k ", username="a", password="b"), ApiKey)
    assert isinstance(credentials_from(key="", username="a", password="b"), Password)
    with pytest.raises(ValueError, match="ORCHESTRATOR_HUB_KEY"):
        credentials_from(username="a")


async def test_the_first_call_logs_in_once_for_all_callers() -> None:
    async with odd_hub(Tokens().script()) as odd, odd.user() as hub:
        assert await asyncio.gather(*(hub.get("/jobs/") for _ in range(30))) == [["in"]] * 30
        assert logins(odd) == (1, 0)


@pytest.mark.parametrize("refusal", [401, 403])
async def test_an_expired_token_is_refreshed_once_for_all_callers(refusal: int) -> None:
    tokens = Tokens(refusal)
    async with odd_hub(tokens.script()) as odd, odd.user() as hub:
        await hub.get("/jobs/")
        tokens.good.clear()
        assert await asyncio.gather(*(hub.get("/jobs/") for _ in range(30))) == [["in"]] * 30
        assert logins(odd) == (1, 1)


@pytest.mark.parametrize("refusal", [401, 403])
async def test_when_the_refresh_is_refused_one_new_login_helps(refusal: int) -> None:
    tokens = Tokens(refusal, refreshes=False)
    async with odd_hub(tokens.script()) as odd, odd.user() as hub:
        await hub.get("/jobs/")
        tokens.good.clear()
        await asyncio.gather(*(hub.get("/jobs/") for _ in range(10)))
        assert logins(odd) == (2, 1)


async def test_a_refreshed_token_that_does_not_count_leads_to_one_login() -> None:
    tokens = Tokens()

    async def useless(request: web.Request, body: bytes) -> web.StreamResponse:
        return answer({"access": "token-useless-secret"})

    async with odd_hub(tokens.script(**{"POST /auth/token/refresh/": useless})) as odd, odd.user() as hub:
        await hub.get("/jobs/")
        tokens.good.clear()
        assert await hub.get("/jobs/") == ["in"]
        assert logins(odd) == (2, 1)


async def test_a_403_that_survives_a_fresh_token_is_a_missing_permission() -> None:
    script = Tokens().script(**{"GET /users/": always({"detail": "not yours"}, 403)})
    async with odd_hub(script) as odd, odd.user() as hub:
        with pytest.raises(Forbidden, match="not yours"):
            await hub.get("/users/")
        assert odd.count("GET /users/") == 2


async def test_a_401_for_ever_ends_in_an_error_about_credentials() -> None:
    script = Tokens().script(**{"GET /users/": always({}, 401)})
    async with odd_hub(script) as odd, odd.user() as hub:
        with pytest.raises(AuthError):
            await hub.get("/users/")
        assert odd.count("GET /users/") == 3


async def test_a_refused_login_is_a_clear_error_and_not_hammered() -> None:
    async with odd_hub(Tokens().script()) as odd:
        wrong = credentials_from(username=USER, password="wrong-Pq3-secret")
        async with Hub(odd.url, credentials=wrong) as hub:
            results = await asyncio.gather(*(hub.get("/jobs/") for _ in range(20)), return_exceptions=True)
        assert all(isinstance(result, AuthError) for result in results)
        assert "check user name and password" in str(results[0])
        assert logins(odd) == (1, 0)


async def test_a_token_service_that_is_away_is_retryable_and_proves_that_a_change_was_not_sent() -> None:
    async with odd_hub(by_name({"POST /auth/token/": drop})) as odd, odd.user() as hub:
        with pytest.raises(Unreachable):
            await hub.post("/file/workflow/", {})
        assert odd.count("POST /file/workflow/") == 0


async def test_a_hub_without_tokens_and_one_with_odd_tokens_are_clear_errors() -> None:
    async with odd_hub(by_name({})) as odd, odd.user() as hub:
        with pytest.raises(NotFound, match="/auth/token/"):
            await hub.get("/jobs/")
    async with odd_hub(by_name({"POST /auth/token/": always({"token": "x"})})) as odd, odd.user() as hub:
        with pytest.raises(ContractError, match="'access'"):
            await hub.get("/jobs/")


async def test_a_change_refused_for_its_token_is_sent_again_with_a_fresh_one() -> None:
    tokens = Tokens()
    async with odd_hub(tokens.script()) as odd, odd.user() as hub:
        await hub.get("/jobs/")
        tokens.good.clear()
        assert await hub.post("/file/workflow/", {}) == ["in"]
        assert odd.count("POST /file/workflow/") == 2
