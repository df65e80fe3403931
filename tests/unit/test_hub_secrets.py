"""No credential appears in a repr, a log record, an error, its causes or a traceback, whatever goes wrong."""

import asyncio
import json
import logging
import traceback
from collections.abc import Iterator

import pytest
from aiohttp import web

from activities.errors import HubError, as_application_error
from activities.hub.client import Hub
from activities.hub.credentials import credentials_from
from tests.unit.hub_fixtures import KEY, PASSWORD, QUICK, USER, Answer, always, answer, by_name, drop, odd_hub
from tests.unit.test_hub_session import Tokens

SECRETS = (KEY, PASSWORD, "-secret")


def everything_of(error: BaseException) -> Iterator[str]:
    """All texts that a log, a history or a debugger could take from an error, its causes included."""
    seen: set[int] = set()
    rest: list[BaseException | None] = [error]
    while rest:
        one = rest.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield from (str(one), repr(one), repr(one.args), repr(vars(one)))
        yield from traceback.format_exception(one)
        request = getattr(one, "request", None) or getattr(one, "_request", None)
        yield repr(getattr(request, "headers", None))
        yield repr(getattr(request, "content", None))
        rest += [one.__cause__, one.__context__]


async def echo(request: web.Request, body: bytes) -> web.StreamResponse:
    """A Hub that says back what it was sent."""
    said = f"{request.headers.get('Authorization')} {body.decode()}"
    return answer({"detail": said}, 400)


async def no_http(request: web.Request, body: bytes) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(b"SSH-2.0-not-http\r\n\r\n")  # type: ignore[attr-defined]
    request.transport.close()
    return web.Response()


async def slow(request: web.Request, body: bytes) -> web.StreamResponse:
    await asyncio.sleep(0.3)
    return answer()


TROUBLE: list[Answer] = [echo, no_http, drop, slow, *(always({"a": 1}, status) for status in (401, 403, 404, 500, 503))]


@pytest.mark.parametrize("script", TROUBLE)
async def test_an_error_with_a_key_tells_nothing(script: Answer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with odd_hub(script) as odd, odd.hub(read_timeout=0.1) as hub:
        for call in (hub.get("/jobs/"), hub.post("/file/workflow/", {}), anext(hub.pages("/jobs/"))):
            with pytest.raises(HubError) as caught:
                await call
            _hold_nothing([*everything_of(caught.value), *everything_of(as_application_error(caught.value))])
        assert any(KEY in str(call.authorization) for call in odd.calls)
        _hold_nothing([repr(hub), repr(vars(hub)), repr(hub._session), repr(vars(hub._session)), caplog.text])


@pytest.mark.parametrize("script", TROUBLE)
async def test_an_error_of_a_login_or_a_refresh_tells_nothing(script: Answer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = Tokens()
    for broken in ({"POST /auth/token/": script}, {"POST /auth/token/refresh/": script}, {"GET /jobs/": script}):
        async with odd_hub(tokens.script(**broken)) as odd, odd.user(read_timeout=0.1) as hub:
            for _ in range(2):
                try:
                    await hub.get("/jobs/")
                except HubError as error:
                    _hold_nothing(everything_of(error))
                tokens.good.clear()
            _hold_nothing([repr(hub), repr(vars(hub)), repr(hub._session), repr(vars(hub._session))])
    _hold_nothing([caplog.text, *(repr(vars(record)) for record in caplog.records)])


async def test_no_connection_tells_nothing() -> None:
    for given in ({"key": KEY}, {"username": USER, "password": PASSWORD}):
        async with Hub("http://127.0.0.1:9", credentials=credentials_from(**given), backoff=QUICK) as hub:
            with pytest.raises(HubError) as caught:
                await hub.get("/jobs/")
        _hold_nothing(everything_of(caught.value))


def test_credentials_do_not_show_themselves() -> None:
    for credentials in (credentials_from(key=KEY), credentials_from(username=USER, password=PASSWORD)):
        _hold_nothing([repr(credentials), str(credentials), json.dumps(vars(credentials), default=str)])


async def test_a_key_that_cannot_be_a_header_is_not_shown_either() -> None:
    key = f"{KEY}\nInjected: yes"
    async with odd_hub(by_name({})) as odd, odd.hub(credentials=credentials_from(key=key)) as hub:
        with pytest.raises(HubError) as caught:
            await hub.get("/jobs/")
        assert odd.calls == []
    _hold_nothing(everything_of(caught.value))


def _hold_nothing(texts: Iterator[str] | list[str]) -> None:
    for text in texts:
        assert not [secret for secret in SECRETS if secret in text], text
