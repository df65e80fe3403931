"""How the client behaves towards a Hub that is busy, broken, or not a Hub at all."""

import asyncio
import gzip
import json
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web
from pydantic import BaseModel

from activities.errors import (
    PERMANENT,
    AuthError,
    BadAnswer,
    Busy,
    ContractError,
    Forbidden,
    HubError,
    NotFound,
    OutcomeUnknown,
    Refused,
    ServerFault,
    Unreachable,
    as_application_error,
)
from activities.hub.client import Hub
from activities.hub.credentials import credentials_from
from activities.hub.wire import base_url, filled, query_string
from tests.unit.hub_fixtures import KEY, QUICK, always, answer, collected, drop, in_turn, odd_hub, paged


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("https://hub.example", "https://hub.example/api"),
        ("https://hub.example/", "https://hub.example/api"),
        ("https://hub.example/api/", "https://hub.example/api"),
        ("http://hub.example:8000/front/api", "http://hub.example:8000/front/api"),
    ],
)
def test_the_base_address_always_ends_in_api(given: str, normal: str) -> None:
    assert base_url(given) == normal


@pytest.mark.parametrize("wrong", ["hub.example", "ftp://hub", "https://", "https://ann:pw@hub/api", "https://h/?a=b"])
def test_a_wrong_base_address_is_refused_without_being_repeated(wrong: str) -> None:
    with pytest.raises(ValueError, match="Hub's URL") as caught:
        base_url(wrong)
    assert "pw" not in str(caught.value)


async def test_the_key_goes_with_every_request_to_a_path_below_api() -> None:
    async with odd_hub(always({"ok": True})) as odd, odd.hub() as hub:
        assert await hub.get("/jobs/7/progress/") == {"ok": True}
    assert odd.calls[0].target == "/api/jobs/7/progress/"
    assert odd.calls[0].authorization == f"Api-Key {KEY}"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_read_is_tried_again_after_a_server_fault(status: int) -> None:
    async with odd_hub(in_turn(always({}, status), always({}, status), always([1]))) as odd, odd.hub() as hub:
        assert await hub.get("/alerts/") == [1]
    assert len(odd.calls) == 3


async def test_a_read_is_tried_again_after_a_dropped_connection() -> None:
    async with odd_hub(in_turn(drop, drop, drop, always([1]))) as odd, odd.hub() as hub:
        assert await hub.get("/alerts/") == [1]


async def test_trying_ends_with_the_class_that_says_what_was_wrong() -> None:
    for script, kind in ((always({}, 502), ServerFault), (drop, Unreachable), (always({}, 503), Busy)):
        async with odd_hub(script) as odd, odd.hub() as hub:
            with pytest.raises(kind):
                await hub.get("/alerts/")
            assert len(odd.calls) >= QUICK.attempts


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Refused),
        (401, AuthError),
        (403, Forbidden),
        (404, NotFound),
        (405, Refused),
        (409, Refused),
        (302, Refused),
        (501, Refused),
    ],
)
async def test_an_answer_that_cannot_change_is_not_asked_for_again(status: int, kind: type[HubError]) -> None:
    async with odd_hub(always({"detail": "no such luck"}, status)) as odd, odd.hub() as hub:
        with pytest.raises(kind) as caught:
            await hub.get("/jobs/7/progress/")
    assert len(odd.calls) == 1
    assert caught.value.status == status
    assert "GET /jobs/7/progress/" in str(caught.value)
    assert type(caught.value).__name__ in PERMANENT


async def test_a_redirect_is_never_followed() -> None:
    async with odd_hub(always([])) as other:
        async with odd_hub(always({}, 301, Location=other.url + "/api/jobs/")) as odd, odd.hub() as hub:
            with pytest.raises(Refused, match="redirects"):
                await hub.get("/jobs/")
        assert other.calls == []


async def test_retry_after_in_seconds_is_honoured_and_capped() -> None:
    script = in_turn(always({}, 429, Retry_After="3600"), always([]))
    async with odd_hub(script) as odd, odd.hub() as hub:
        await hub.get("/jobs/")
    assert 0.05 <= odd.calls[1].at - odd.calls[0].at < 2


async def test_retry_after_as_a_date_is_honoured() -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    async with odd_hub(always({}, 503, Retry_After=when)) as odd, odd.hub() as hub:
        with pytest.raises(Busy) as caught:
            await hub.get("/jobs/")
    assert caught.value.retry_after is not None and 25 < caught.value.retry_after <= 30
    assert odd.calls[1].at - odd.calls[0].at >= 0.05


async def test_the_hubs_own_wait_reaches_temporal() -> None:
    error = as_application_error(Busy("later", retry_after=12.0))
    assert error.next_retry_delay == timedelta(seconds=12)
    assert (error.type, error.non_retryable) == ("Busy", False)
    assert as_application_error(NotFound("gone")).non_retryable


async def test_a_web_page_is_a_retryable_bad_answer() -> None:
    page = web_page()
    async with odd_hub(page) as odd, odd.hub() as hub:
        with pytest.raises(BadAnswer, match="web page"):
            await hub.get("/jobs/")
    assert len(odd.calls) == QUICK.attempts


async def test_an_answer_that_is_cut_off_is_read_again() -> None:
    async with odd_hub(in_turn(always(b'{"count": 3, "resu'), always([]))) as odd, odd.hub() as hub:
        assert await hub.get("/jobs/") == []
    async with odd_hub(in_turn(always(b'{"count": 3, "resu'), paged([1]))) as odd, odd.hub() as hub:
        assert [page.records() async for page in hub.pages("/jobs/")] == [[1]]


@pytest.mark.parametrize("depth", [100_000])
async def test_an_answer_that_is_nested_without_end_is_a_bad_answer(depth: int) -> None:
    async with odd_hub(always(b"[" * depth + b"\xff")) as odd, odd.hub() as hub:
        with pytest.raises(BadAnswer):
            await hub.get("/jobs/")


async def test_a_compressed_answer_is_read_and_a_broken_one_is_a_bad_answer() -> None:
    packed = always(gzip.compress(b"[1]"), Content_Encoding="gzip")
    async with odd_hub(in_turn(always(b"\x1f\x8bnonsense", Content_Encoding="gzip"), packed)) as odd, odd.hub() as hub:
        assert await hub.get("/jobs/") == [1]
    assert len(odd.calls) == 2


async def test_a_slow_hub_runs_into_the_time_out() -> None:
    async def slow(request: web.Request, body: bytes) -> web.StreamResponse:
        await asyncio.sleep(2)
        return answer()

    async with odd_hub(slow) as odd, odd.hub(read_timeout=0.05) as hub:
        start = time.monotonic()
        with pytest.raises(Unreachable, match="time-out"):
            await hub.get("/jobs/")
        assert time.monotonic() - start < 1.5


async def test_no_more_requests_are_in_flight_than_allowed_and_none_fails_for_waiting() -> None:
    async def slow(request: web.Request, body: bytes) -> web.StreamResponse:
        await asyncio.sleep(0.03)
        return answer()

    async with odd_hub(slow) as odd, odd.hub(max_connections=3, connect_timeout=0.05) as hub:
        await asyncio.gather(*(hub.get("/jobs/") for _ in range(12)))
    assert odd.most_in_flight == 3


# --- changes: sent once -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_change_that_ended_in_a_server_fault_is_unknown_and_sent_once(status: int) -> None:
    async with odd_hub(always({}, status, Retry_After="1")) as odd, odd.hub() as hub:
        with pytest.raises(OutcomeUnknown):
            await hub.post("/schedules/", {"name": "a"})
    assert len(odd.calls) == 1


async def test_a_change_whose_answer_is_lost_late_or_no_json_is_unknown_and_sent_once() -> None:
    async def slow(request: web.Request, body: bytes) -> web.StreamResponse:
        await asyncio.sleep(0.3)
        return answer()

    for script in (drop, slow, web_page(), always(b'{"job": 1')):
        async with odd_hub(script) as odd, odd.hub(read_timeout=0.1) as hub:
            with pytest.raises(OutcomeUnknown):
                await hub.post("/schedules/", {"name": "a"})
        assert len(odd.calls) == 1


async def test_a_change_over_a_kept_connection_that_died_is_sent_once() -> None:
    async with odd_hub(in_turn(always({}), drop, always({}))) as odd, odd.hub() as hub:
        await hub.post("/schedules/", {})
        with pytest.raises(OutcomeUnknown):
            await hub.post("/schedules/", {})
    assert len(odd.calls) == 2


async def test_a_change_refused_for_load_was_certainly_not_done() -> None:
    async with odd_hub(always({}, 429, Retry_After="7")) as odd, odd.hub() as hub:
        with pytest.raises(Busy) as caught:
            await hub.post("/schedules/", {})
    assert (caught.value.retry_after, len(odd.calls)) == (7.0, 1)


async def test_a_change_that_could_not_be_sent_is_tried_again_and_is_not_unknown() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with Hub(f"http://127.0.0.1:{port}", credentials=credentials_from(key=KEY), backoff=QUICK) as hub:
        with pytest.raises(Unreachable) as caught:
            await hub.post("/schedules/", {})
    assert not caught.value.sent


async def test_a_change_that_may_be_repeated_is() -> None:
    async with odd_hub(in_turn(drop, always({}, 504), always({"id": 1}))) as odd, odd.hub() as hub:
        assert await hub.post("/search/", {}, repeat=True) == {"id": 1}
    assert len(odd.calls) == 3


# --- pages --------------------------------------------------------------------------------------------------------


class Number(BaseModel):
    n: int


async def test_items_come_from_every_page_whatever_count_says() -> None:
    async def lying(request: web.Request, body: bytes) -> web.StreamResponse:
        number = int(request.query.get("page", "1"))
        following = f"?page={number + 1}" if number < 4 else None
        return answer({"count": 1, "next": following, "results": [{"n": number}]})

    async with odd_hub(lying) as odd, odd.hub() as hub:
        assert [one.n for one in await collected(hub.items("/jobs/", None, Number))] == [1, 2, 3, 4]
    assert all("page_size=100" in call.target for call in odd.calls)


async def test_a_bare_list_is_one_page() -> None:
    async with odd_hub(always([{"n": 1}, {"n": 2}])) as odd, odd.hub() as hub:
        assert [one.n for one in await collected(hub.items("/alerts/", None, Number))] == [1, 2]


@pytest.mark.parametrize(
    "address", ["http://elsewhere.example/api/jobs/?page=2", "//elsewhere.example/api/jobs/?page=2"]
)
async def test_a_next_on_another_host_is_never_followed(address: str) -> None:
    async with odd_hub(always({"next": address, "results": []})) as odd, odd.hub() as hub:
        with pytest.raises(ContractError, match="another host"):
            await collected(hub.pages("/jobs/"))
    assert len(odd.calls) == 1


async def test_a_next_that_names_another_scheme_or_port_of_the_host_stays_with_our_address() -> None:
    script = in_turn(
        always({"next": "https://127.0.0.1:1/other/jobs/?page=2", "results": []}), always({"next": None, "results": []})
    )
    async with odd_hub(script) as odd, odd.hub() as hub:
        assert len(await collected(hub.pages("/jobs/", {"site": "a b"}))) == 2
    assert odd.calls[1].target == "/api/jobs/?site=a%20b&page_size=100&page=2"


@pytest.mark.parametrize("loop", [lambda page: "?page=1&page_size=100", lambda page: f"?page={3 - page}"])
async def test_a_next_that_leads_in_a_circle_is_an_error(loop: object) -> None:
    async def script(request: web.Request, body: bytes) -> web.StreamResponse:
        page = int(request.query.get("page", "1"))
        return answer({"next": loop(page), "results": [{"n": page}]})  # type: ignore[operator]

    async with odd_hub(script) as odd, odd.hub() as hub:
        with pytest.raises(ContractError, match="circle"):
            await collected(hub.pages("/jobs/"))
    assert len(odd.calls) <= 3


@pytest.mark.parametrize("wrong", [{"a": 1}, ["x"], "http://[", True])
async def test_a_next_that_is_no_address_is_an_error(wrong: object) -> None:
    async with odd_hub(always({"next": wrong, "results": []})) as odd, odd.hub() as hub:
        with pytest.raises(ContractError, match="'next'"):
            await collected(hub.pages("/jobs/"))


async def test_reading_goes_on_from_a_next_that_was_kept() -> None:
    async with odd_hub(paged([{"n": n} for n in range(250)])) as odd, odd.hub() as hub:
        pages = [page async for page in hub.pages("/jobs/", {"site": "a"})]
        again = [page async for page in hub.pages(str(pages[0].next))]
    assert [page.content for page in again] == [page.content for page in pages[1:]]


# --- names --------------------------------------------------------------------------------------------------------


async def test_a_name_that_is_not_utf8_reaches_the_hub_byte_for_byte_in_a_query_and_on_every_page() -> None:
    name = b"/mmfs1/a b+c%20\xff\n'\"[]&=#/\xe2\x82\xac".decode("utf-8", "surrogateescape")

    async def rewriting(request: web.Request, body: bytes) -> web.StreamResponse:
        page = int(request.query.get("page", "1"))
        mangled = f"?path=%EF%BF%BD&page={page + 1}" if page < 2 else None
        return answer({"next": mangled, "children": []})

    async with odd_hub(rewriting) as odd, odd.hub() as hub:
        await collected(hub.pages("/file/", {"path": name, "details": True}))
    sent = "path=%2Fmmfs1%2Fa%20b%2Bc%2520%FF%0A%27%22%5B%5D%26%3D%23%2F%E2%82%AC"
    assert odd.calls[0].target == f"/api/file/?{sent}&details=true&page_size=100"
    assert odd.calls[1].target == f"/api/file/?{sent}&details=true&page_size=100&page=2"


async def test_a_name_that_is_not_utf8_travels_as_an_ascii_escape_in_json() -> None:
    async with odd_hub(always({"id": 1})) as odd, odd.hub() as hub:
        await hub.post("/search/", {"path": "/a\udcff\ud800é"}, repeat=True)
    assert odd.calls[0].body == b'{"path":"/a\\udcff\\ud800\\u00e9"}'
    assert json.loads(odd.calls[0].body)["path"] == "/a\udcff\ud800é"


def test_other_lone_surrogates_do_not_break_a_query() -> None:
    assert query_string({"path": "\ud800\udcff"}) == "path=%ED%A0%80%FF"


def test_parameters_are_written_as_a_hub_reads_them() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    given = {"state": ["NEW", "PENDING"], "details": True, "from": moment, "none": None, "n": 3}
    assert query_string(given) == "state=NEW&state=PENDING&details=true&from=2026-01-02T03%3A04%3A05Z&n=3"


@pytest.mark.parametrize("climbing", ["..", ".", ""])
def test_no_value_can_climb_out_of_its_path(climbing: str) -> None:
    assert filled("/users/{username}/", username="a/../b?c") == "/users/a%2F..%2Fb%3Fc/"
    with pytest.raises(ValueError, match="path"):
        filled("/users/{username}/", username=climbing)


def web_page() -> object:
    async def script(request: web.Request, body: bytes) -> web.StreamResponse:
        return web.Response(text="<!doctype html><h1>Sign in</h1>", content_type="text/html")

    return script
