"""The namespace as Hubs describe it: every form, every name, no page lost to one bad record."""

import json
from datetime import datetime
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from activities.errors import BadAnswer
from activities.hub import files, search
from activities.hub.namespace import FileRecord, flat, from_object, listed, micros, whole
from tests.unit.hub_fixtures import always, answer, by_name, collected, in_turn, odd_hub, paged

JAN = 1_767_225_600_000_000
CHILD = {
    "path": "/m/a.mov",
    "type": "file",
    "size": 12,
    "disk_usage": 4096,
    "atime": "2026-01-01T00:00:00Z",
    "mtime": "2026-01-01T00:00:00+00:00",
    "ctime": "2026-01-01T00:00:00",
    "status": "pre-staged",
    "owner": "ann",
    "metadata": {"project": {"name": "x"}, "n": 1},
}
RECORD = FileRecord(
    "/m/a.mov", "file", 12, 4096, JAN, JAN, JAN, "premigrated", "ann", None, {"project.name": "x", "n": "1"}
)


@pytest.mark.parametrize(
    "page",
    [
        {"path": "/m", "type": "directory", "count": 1, "next": None, "children": [CHILD]},
        {"count": 1, "next": None, "results": [CHILD]},
        [CHILD],
        {"children": [CHILD | {"size": "12", "disk_usage": 4096.0, "mtime": 1767225600, "atime": "1767225600.0"}]},
        {"children": [CHILD | {"path": None, "name": "a.mov", "ctime": 1767225600000}]},
    ],
)
async def test_every_documented_form_of_a_listing_reads_the_same(page: Any) -> None:
    async with odd_hub(always(page)) as odd, odd.hub() as hub:
        for space in (None, 3):
            assert await collected(files.listing(hub, "/m", site="leeds", space=space)) == [[RECORD]]
    assert [call.name for call in odd.calls] == ["GET /file/", "GET /spaces/3/files/"]
    assert odd.calls[0].target == "/api/file/?path=%2Fm&site=leeds&details=true&page_size=100"


async def test_children_that_are_names_are_known_by_their_path_alone() -> None:
    async with odd_hub(always({"path": "/m", "children": ["a", "b\udcff"]})) as odd, odd.hub() as hub:
        assert await collected(files.listing(hub, "/m/", site="s")) == [[FileRecord("/m/a"), FileRecord("/m/b\udcff")]]


def test_an_invalid_byte_and_an_escaped_surrogate_are_the_same_name() -> None:
    raw = b'{"children":[{"path":"/m/\xff","type":"file","size":1}]}'
    escaped = b'{"children":[{"path":"/m/\\udcff","type":"file","size":1}]}'
    assert listed(raw, "/m", pytest.fail) == listed(escaped, "/m", pytest.fail) == [FileRecord("/m/\udcff", "file", 1)]


def test_one_bad_record_costs_itself_alone_and_is_told() -> None:
    problems: list[str] = []
    page = json.dumps({"children": [{"size": 3}, CHILD, 7, {"path": "/m/b", "size": "huge", "mtime": "never"}]})
    assert listed(page.encode(), "/m", problems.append) == [RECORD, FileRecord("/m/b")]
    assert len(problems) == 2


def test_a_deleted_record_is_left_out_and_an_unknown_status_is_unknown() -> None:
    page = {"children": [CHILD | {"deleted": True}, {"path": "/m/b", "status": "levitating", "size": -1}]}
    assert listed(json.dumps(page).encode(), "/m", pytest.fail) == [FileRecord("/m/b")]


async def test_a_page_that_is_not_json_is_a_retryable_error() -> None:
    async with odd_hub(always(b"\xff\xfe")) as odd, odd.hub() as hub:
        with pytest.raises(BadAnswer):
            await collected(files.listing(hub, "/m", site="s"))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_no_value_of_a_field_breaks_a_record(value: Any) -> None:
    record = from_object(dict.fromkeys(CHILD, value) | {"path": "/m/a"}, "/m", pytest.fail)
    assert record is None or (record.path == "/m/a" and (record.size is None or 0 <= record.size < 2**63))


@given(st.integers(0, 2**63 - 1025) | st.floats(0, 1e15))
def test_sizes_read_the_same_as_number_and_as_text(size: float) -> None:
    assert whole(size) == round(size)
    if isinstance(size, int):
        assert whole(str(size)) == size


@pytest.mark.parametrize("value", [None, "", "never", True, float("nan"), 1e300, [], "2026-13-01"])
def test_a_time_that_cannot_be_read_is_unknown(value: Any) -> None:
    assert micros(value) is None


@given(st.datetimes(), st.text("0123456789", max_size=9), st.sampled_from(["", "Z", "z", "+05:30", "-0100"]))
def test_a_time_reads_the_same_on_a_clean_page_and_singly(moment: datetime, digits: str, zone: str) -> None:
    text = moment.replace(microsecond=0).isoformat() + (f".{digits}" if digits else "") + zone
    child = {"path": "/m/a", "mtime": text}
    page = json.dumps({"children": [child]}).encode()
    assert listed(page, "/m", pytest.fail) == [from_object(child, "/m", pytest.fail)]


def test_microseconds_are_exact() -> None:
    assert micros("2026-01-01T00:00:00.123456Z") == JAN + 123_456
    assert micros("1969-12-31T23:59:59.999999Z") == -1


# --- single files -------------------------------------------------------------------------------------------------


class Tree:
    """A namespace of files by directory, told as objects or as lists."""

    def __init__(self, names: list[str], *, as_list: bool = False) -> None:
        self.names, self.as_list = names, as_list

    async def __call__(self, request: web.Request, body: bytes) -> web.StreamResponse:
        path = request.query["path"]
        below = [{"path": name, "type": "file", "size": 1} for name in self.names if name.startswith(path + "/")]
        if path in self.names:
            own = {"path": path, "type": "file", "size": 1}
            return answer({"count": 1, "next": None, "results": [own]} if self.as_list else {**own, "children": []})
        if not below:
            return answer({"detail": "Not found."}, 404)
        number = int(request.query.get("page", "1"))
        more = f"?page={number + 1}" if number * 100 < len(below) else None
        inner = {
            "count": len(below),
            "next": more,
            "results" if self.as_list else "children": below[number * 100 - 100 :][:100],
        }
        return answer(inner if self.as_list else {"path": path, "type": "directory", **inner})


@pytest.mark.parametrize("as_list", [False, True])
async def test_one_path_is_found_missing_or_a_directory(as_list: bool) -> None:
    async with odd_hub(Tree(["/m/a", "/m/b"], as_list=as_list)) as odd, odd.hub() as hub:
        assert await files.stat(hub, "s", "/m/a") == FileRecord("/m/a", "file", 1)
        assert await files.stat(hub, "s", "/m/zz") is None
        directory = await files.stat(hub, "s", "/m")
        assert directory is not None and directory.type == "directory"


async def test_a_path_marked_deleted_or_in_error_does_not_exist() -> None:
    script = in_turn(always({"path": "/m/a", "deleted": True}), always({"path": "/m/a", "error": "No such file"}))
    async with odd_hub(script) as odd, odd.hub() as hub:
        assert await files.stat(hub, "s", "/m/a") is None
        assert await files.stat(hub, "s", "/m/a") is None


async def test_many_files_of_one_directory_are_read_by_listing_it() -> None:
    names = [f"/m/{n}" for n in range(300)]
    async with odd_hub(Tree(names)) as odd, odd.hub() as hub:
        found = await files.stat_many(hub, "s", names)
    assert {path for path, record in found.items() if record is not None} == set(names)
    assert len(odd.calls) == 3


async def test_few_files_of_a_huge_directory_are_read_singly() -> None:
    names = [f"/m/{n}" for n in range(5000)]
    wanted = ["/m/4999", "/m/4998", "/m/4997", "/n/1", "/m/gone"]
    async with odd_hub(Tree(names)) as odd, odd.hub() as hub:
        found = await files.stat_many(hub, "s", wanted)
    assert [found[path] is not None for path in wanted] == [True, True, True, False, False]
    assert len(odd.calls) <= 6


async def test_a_directory_that_is_gone_costs_one_call() -> None:
    async with odd_hub(Tree(["/m/a"])) as odd, odd.hub() as hub:
        assert set((await files.stat_many(hub, "s", [f"/x/{n}" for n in range(50)])).values()) == {None}
    assert len(odd.calls) == 1


async def test_an_entry_that_a_listing_did_not_show_is_looked_at_once_more() -> None:
    async def shifting(request: web.Request, body: bytes) -> web.StreamResponse:
        if request.query["path"] == "/m":
            return answer({"path": "/m", "children": [{"path": "/m/a", "type": "file"}]})
        return answer({"path": request.query["path"], "type": "file"})

    async with odd_hub(shifting) as odd, odd.hub() as hub:
        found = await files.stat_many(hub, "s", ["/m/a", "/m/b"])
    assert all(found.values())


# --- search -------------------------------------------------------------------------------------------------------


async def test_a_search_is_started_waited_for_and_read_with_nested_or_flat_metadata() -> None:
    results = [
        {"path": "/m/a", "name": "a", "site": "s", "metadata": {"core": {"size": "12", "accesstime": 1767225600}}},
        {"path": "/m", "name": "b", "site": "s", "metadata": {"core.size": 3, "tag": "red"}},
        {"name": "lost"},
    ]
    scripts = {
        "POST /search/": always({"url": "http://hub/api/search/8/"}, 201),
        "GET /search/8/": in_turn(always({}, 404), paged(results)),
    }
    problems: list[str] = []
    async with odd_hub(by_name(scripts)) as odd, odd.hub() as hub:
        number = await search.start(hub, search.SearchRequest("/m", sites=["s"]))
        pages = [page async for page in search.results(hub, number, problem=problems.append)]
    assert json.loads(odd.calls[0].body) == {"path": "/m", "recursive": True, "sites": ["s"]}
    assert pages[0].records == [
        FileRecord("/m/a", None, 12, atime=JAN),
        FileRecord("/m/b", None, 3, metadata={"tag": "red"}),
    ]
    assert len(problems) == 1


async def test_a_search_that_never_was_is_not_found_after_some_patience() -> None:
    async with odd_hub(by_name({})) as odd, odd.hub() as hub:
        with pytest.raises(Exception, match="404"):
            await collected(search.results(hub, 9, patience=0.0))


def test_nested_metadata_becomes_dotted_texts() -> None:
    assert flat({"a": {"b": {"c": 1}}, "d": True, "e": None, "f": [1]}) == {"a.b.c": "1", "d": "true"}
