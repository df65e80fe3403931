"""Jobs: submitted once, found again, watched by the thousand, settled by exceptions."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from activities.errors import Busy, NotFound, OutcomeUnknown, Refused, Unreachable
from activities.hub import jobs, jobstats
from activities.hub.jobs import SubmitRequest
from activities.hub.states import DELETED, combined, state_of
from activities.hub.watching import percent
from tests.unit.hub_fixtures import Answer, always, answer, by_name, collected, drop, in_turn, odd_hub, paged

BATCH = SubmitRequest("leeds", "migrate", ["/mmfs1/a", "/mmfs1/b\udcff"], queue="default")


@pytest.mark.parametrize(
    "told",
    [
        {"job": 12},
        {"id": "12"},
        {"job_id": 12},
        {"url": "http://hub/api/jobs/12/"},
        {"job": "/api/jobs/12"},
        {"job": {"id": 12}},
        {"job": None, "id": 12},
        12,
        "12",
    ],
)
async def test_the_job_is_read_from_any_form_of_answer(told: Any) -> None:
    for status in (200, 201, 202):
        async with odd_hub(always(told, status)) as odd, odd.hub() as hub:
            assert await jobs.submit(hub, BATCH) == 12


async def test_a_submit_sends_what_is_set_and_nothing_else() -> None:
    async with odd_hub(always({"job": 1})) as odd, odd.hub() as hub:
        await jobs.submit(hub, BATCH)
        await jobs.submit(
            hub, SubmitRequest("s", "recall", ["/a"], discovery="recursive", fields={"lock_level": "none"})
        )
    assert json.loads(odd.calls[0].body) == {
        "site": "leeds",
        "workflow": "migrate",
        "paths": [{"path": "/mmfs1/a"}, {"path": "/mmfs1/b\udcff"}],
        "queue": "default",
    }
    assert json.loads(odd.calls[1].body)["fields"] == {"lock_level": "none"}


@pytest.mark.parametrize(
    "script",
    [
        drop,
        *(always({}, status) for status in (500, 502, 503, 504)),
        *(always(told, 201) for told in ({}, None, b"{", b"", {"job": "soon"}, {"job": True}, {"job": -1})),
    ],
)
async def test_a_submit_without_a_trustworthy_answer_is_unknown_and_sent_once(script: Answer) -> None:
    async with odd_hub(script) as odd, odd.hub() as hub:
        with pytest.raises(OutcomeUnknown):
            await jobs.submit(hub, BATCH)
        assert len(odd.calls) == 1
    async with odd_hub(drop) as odd, odd.hub() as hub:
        with pytest.raises(OutcomeUnknown):
            await jobs.resubmit(hub, 7)
        assert len(odd.calls) == 1


@pytest.mark.parametrize(("status", "kind"), [(400, Refused), (404, NotFound), (429, Busy)])
async def test_a_declined_submit_made_no_job(status: int, kind: type[Exception]) -> None:
    async with odd_hub(always({}, status)) as odd, odd.hub() as hub:
        with pytest.raises(kind):
            await jobs.submit(hub, BATCH)


async def test_resubmit_gives_the_new_number_or_keeps_the_old_one() -> None:
    for told, number in (({"id": 9}, 9), (None, 7), ({"status": "ok"}, 7)):
        async with odd_hub(always(told)) as odd, odd.hub() as hub:
            assert await jobs.resubmit(hub, 7) == number
            assert odd.calls[0].name == "POST /jobs/7/resubmit/"


async def test_find_asks_for_site_workflow_and_time_and_filters_by_time_itself() -> None:
    listed = [
        {"id": 1, "created": "2026-01-01T00:00:00", "state": "SUCCESS", "site": {"name": "leeds"}},
        {"url": "http://hub/api/jobs/2/", "created": "2026-01-03T00:00:00Z", "status": "STARTED", "site": 4},
        {"id": "3", "created": None},
    ]
    async with odd_hub(paged(listed)) as odd, odd.hub() as hub:
        found = await collected(jobs.find(hub, "leeds", "migrate", datetime(2026, 1, 2, tzinfo=UTC)))
    assert [(job.id, job.state, job.site) for job in found] == [(2, "STARTED", "4"), (3, None, None)]
    assert "site=leeds&workflow=migrate&created_time_from=2026-01-02T00%3A00%3A00Z" in odd.calls[0].target


# --- state --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "read"),
    [
        (37, 37.0),
        ("37", 37.0),
        ("37%", 37.0),
        ({"progress": 37.5}, 37.5),
        ({"percentage": "3%"}, 3.0),
        ({"completion": {"percent": 4}}, 4.0),
        ({"percent": None, "completed": 5}, 5.0),
        (120, 100.0),
        (-1, 0.0),
        *((told, None) for told in ("soon", None, True, math.nan, [])),
    ],
)
def test_progress_is_read_from_any_form(told: Any, read: float | None) -> None:
    assert percent(told) == read


def test_an_unknown_word_is_not_final_and_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    assert not state_of("FLOATING\n").final
    assert not state_of("floating").final
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("words", "word", "final"),
    [
        (["SUCCESS", "SUCCESS"], "SUCCESS", True),
        (["SUCCESS", "STARTED"], "STARTED", False),
        (["SUCCESS", "FAILURE"], "PARTIAL", True),
        (["FAILURE", "ERROR"], "FAILURE", True),
        (["SKIPPED"], "SKIPPED", True),
        (["SUCCESS", "REVOKED"], "CANCELLED", True),
        (["PAUSED", "SUCCESS"], "PAUSED", False),
    ],
)
def test_tasks_together_tell_the_state_of_their_job(words: list[str], word: str, final: bool) -> None:
    assert (combined(words).word, combined(words).final) == (word, final)


async def test_a_hub_without_job_details_tells_the_state_by_its_tasks_and_is_not_asked_again() -> None:
    script = by_name({"GET /tasks/": paged([{"id": 1, "job": 5, "state": "SUCCESS"}])})
    async with odd_hub(script) as odd, odd.hub() as hub:
        assert (await jobs.state(hub, 5)).final
        assert (await jobs.state(hub, 5)).final
    assert odd.count("GET /jobs/5/") == 1


async def test_a_job_without_tasks_is_pending_while_its_progress_is_there_and_else_unknown_to_the_hub() -> None:
    none: dict[str, Answer] = {"GET /tasks/": paged([])}
    async with odd_hub(by_name(none | {"GET /jobs/5/progress/": always(0)})) as odd, odd.hub() as hub:
        assert (await jobs.state(hub, 5)).word == "PENDING"
        with pytest.raises(NotFound):
            await jobs.state(hub, 6)


class Farm:
    """A Hub with jobs in states, told in one of several ways."""

    def __init__(self, states: dict[int, str], *, filters: bool = True, tells: bool = True) -> None:
        self.states, self.filters, self.tells = states, filters, tells

    async def __call__(self, request: web.Request, body: bytes) -> web.StreamResponse:
        parts = request.path.removeprefix("/api").strip("/").split("/")
        wanted = set(request.query.getall("state", [])) if self.filters else set()
        shown = {job: word for job, word in self.states.items() if not wanted or word in wanted}
        if parts == ["jobs"]:
            listed = [{"id": job} | ({"state": word} if self.tells else {}) for job, word in shown.items()]
            return await paged(listed)(request, body)
        if parts == ["tasks"]:
            job = int(request.query.get("job_id", "0"))
            tasks = [{"id": n, "job": n, "state": word} for n, word in shown.items() if job in (0, n)]
            return await paged(tasks)(request, body)
        job = int(parts[1])
        if job not in self.states or (len(parts) == 2 and not self.tells):
            return answer({}, 404)
        return answer({"id": job, "state": self.states[job]} if len(parts) == 2 else 50)


async def test_a_thousand_jobs_in_flight_cost_ten_calls() -> None:
    farm = Farm(dict.fromkeys(range(1, 1001), "STARTED"))
    async with odd_hub(farm) as odd, odd.hub() as hub:
        found = await jobs.states(hub, range(1, 1001), "leeds", datetime(2026, 1, 1, tzinfo=UTC))
    assert len(found) == 1000 and not any(state.final for state in found.values())
    assert len(odd.calls) == 10


async def test_jobs_that_ended_or_were_deleted_are_looked_at_singly() -> None:
    farm = Farm({job: "STARTED" if job % 10 else "SUCCESS" for job in range(1, 101)})
    async with odd_hub(farm) as odd, odd.hub() as hub:
        found = await jobs.states(hub, [*range(1, 101), 999])
    assert sum(state.final for state in found.values()) == 11
    assert found[999].word == DELETED
    assert odd.count("GET /jobs/") == 1


@pytest.mark.parametrize("farm", [{"filters": False}, {"tells": False}, {"filters": False, "tells": False}])
async def test_states_are_right_from_a_hub_that_ignores_filters_or_whose_list_tells_no_state(farm: Any) -> None:
    words = {job: ("SUCCESS", "STARTED", "PAUSED", "FAILURE")[job % 4] for job in range(1, 301)}
    async with odd_hub(Farm(words, **farm)) as odd, odd.hub() as hub:
        found = await jobs.states(hub, range(1, 201))
    assert {job: state.final for job, state in found.items()} == {
        job: words[job] in ("SUCCESS", "FAILURE") for job in range(1, 201)
    }


async def test_a_long_list_of_strangers_is_not_read_to_its_end() -> None:
    farm = Farm(dict.fromkeys(range(1, 20001), "STARTED"), filters=False)
    async with odd_hub(farm) as odd, odd.hub() as hub:
        found = await jobs.states(hub, [19_997, 19_998, 19_999])
    assert len(found) == 3
    assert len(odd.calls) <= 10


async def test_one_job_that_cannot_be_looked_at_does_not_hide_the_others() -> None:
    async def script(request: web.Request, body: bytes) -> web.StreamResponse:
        if request.path == "/api/jobs/":
            return answer([])
        return answer({}, 500) if request.path == "/api/jobs/2/" else answer({"state": "SUCCESS"})

    async with odd_hub(script) as odd, odd.hub() as hub:
        assert set(await jobs.states(hub, [1, 2, 3])) == {1, 3}
    async with odd_hub(drop) as odd, odd.hub() as hub:
        with pytest.raises(Unreachable):
            await jobs.states(hub, [1])


async def test_steering_is_repeated_until_it_is_heard() -> None:
    async with odd_hub(in_turn(drop, always({}, 502), always({}))) as odd, odd.hub() as hub:
        await jobs.cancel(hub, 3)
        await jobs.pause(hub, 3)
        await jobs.resume(hub, 3)
    names = [call.name for call in odd.calls]
    assert names == ["POST /jobs/3/cancel/"] * 3 + ["POST /jobs/3/pause/", "POST /jobs/3/resume/"]


# --- paths and outcomes -------------------------------------------------------------------------------------------

ROWS = [{"job": 3, "path": "/a", "state": "processed"}, {"job": 3, "path": "/b\udcff", "state": "FAILED", "code": 5}]


@pytest.mark.parametrize(
    "script",
    [
        {"GET /jobs/3/files/": always(["/a", "/b\udcff"])},
        {"GET /jobs/3/files/": paged([{"path": "/a"}, {"path": "/b\udcff"}, {"path": "/a"}], 2)},
        {"GET /jobs/3/files/": always({"summary": 2}), "GET /jobstats/": paged(ROWS)},
        {"GET /jobs/3/files/": always(b"<html>"), "GET /jobstats/": paged(ROWS)},
        {"GET /jobstats/": paged(ROWS)},
    ],
)
async def test_the_paths_of_a_job_come_from_wherever_the_hub_has_them(script: dict[str, Answer]) -> None:
    async with odd_hub(by_name(script)) as odd, odd.hub() as hub:
        assert await collected(jobs.paths(hub, 3)) == ["/a", "/b\udcff"]


class Stats:
    """Rows of one job, filtered by state or not."""

    def __init__(self, words: dict[str, str], *, filters: bool = True) -> None:
        self.words, self.filters, self.read = words, filters, 0

    async def __call__(self, request: web.Request, body: bytes) -> web.StreamResponse:
        wanted = set(request.query.getall("state", []))
        rows = [
            {"job": 3, "path": path, "state": word, "code": "E1", "message": "no", "task": 1}
            for path, word in self.words.items()
            if not wanted or not self.filters or word in wanted
        ]
        size = int(request.query["page_size"])
        self.read += min(size, len(rows))
        return await paged(rows, size)(request, body)


async def test_of_a_job_that_went_well_hardly_a_row_is_read() -> None:
    stats = Stats({f"/f{n}": "processed" for n in range(5000)})
    async with odd_hub(stats) as odd, odd.hub() as hub:
        assert await collected(jobstats.exceptions(hub, 3)) == []
    assert stats.read <= 60


@pytest.mark.parametrize("filters", [True, False])
async def test_every_exception_is_found_whether_the_hub_filters_or_not(filters: bool) -> None:
    words = {f"/f{n}": "processed" for n in range(950)} | {f"/s{n}": "skipped" for n in range(30)}
    words |= {f"/x{n}": "failed" for n in range(20)}
    async with odd_hub(Stats(words, filters=filters)) as odd, odd.hub() as hub:
        found = await collected(jobstats.exceptions(hub, 3))
        assert {one.path for one in found} == {path for path, word in words.items() if word != "processed"}
        assert len(found) == 50
        assert found[-1].code == "E1" and found[-1].message == "no"


async def test_an_exception_under_a_word_never_seen_is_not_missed() -> None:
    stats = Stats({"/a": "processed", "/b": "evaporated", "/c": "failed"})
    async with odd_hub(stats) as odd, odd.hub() as hub:
        found = await collected(jobstats.exceptions(hub, 3))
    assert [(one.path, one.state) for one in found] == [("/b", "evaporated"), ("/c", "failed")]


async def test_a_hub_that_refuses_the_filter_is_read_in_full() -> None:
    async def script(request: web.Request, body: bytes) -> web.StreamResponse:
        return answer({"state": "not a choice"}, 400) if "state" in request.query else await paged(ROWS)(request, body)

    async with odd_hub(script) as odd, odd.hub() as hub:
        assert [one.path for one in await collected(jobstats.exceptions(hub, 3))] == ["/b\udcff"]


async def test_rows_of_other_jobs_are_left_out() -> None:
    rows = [*ROWS, {"job": 4, "path": "/z", "state": "failed"}, {"job": "http://h/api/jobs/3/", "path": "/u"}]
    async with odd_hub(paged(rows)) as odd, odd.hub() as hub:
        found = await collected(jobstats.everything(hub, 3))
    assert [(one.path, one.state) for one in found] == [("/a", "processed"), ("/b\udcff", "failed"), ("/u", "unknown")]
