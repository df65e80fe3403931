"""An inventory holds every file once, under its exact name, and says what it could not read."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import duckdb
import pyarrow.parquet as pq
import pytest
from aiohttp import web

from activities import listing
from activities.bulk import Bulk
from activities.columns import to_table, write_parquet
from activities.errors import AuthError, Forbidden
from activities.hub.namespace import FileRecord
from activities.inventory import InventoryRef, InventoryRequest, inventory_parts, take_inventory
from activities.lists import BadList
from activities.sources import roots
from activities.storage import Storage, open_storage
from tests.unit.hub_fixtures import OddHub, odd_hub
from workflows.names import to_path
from workflows.policy import Source

Tree = dict[str, list[dict[str, Any]]]
PAGE = 3


def file(name: str, size: int = 1, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "file", "size": size, "mtime": "2026-01-02T03:04:05.000006Z", **more}


def folder(name: str) -> dict[str, Any]:
    return {"name": name, "type": "directory"}


class Namespace:
    """A tree that is served in pages of three; `odd` may answer for a directory instead."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.asked: Counter[str] = Counter()
        self.odd: Callable[[str], web.Response | None] = lambda directory: None

    async def __call__(self, request: web.Request, _: bytes) -> web.StreamResponse:
        if request.path.endswith("/spaces/"):
            space = {"id": 4, "name": "projects", "mountpoint": "/p"}
            return web.json_response({"count": 1, "next": None, "results": [space]})
        if request.path.endswith("/search/"):
            return web.json_response({"id": 9})
        if request.method == "DELETE":
            return web.Response(status=204)
        if request.path.endswith("/search/9/"):
            return web.json_response({"count": 3, "next": None, "results": self.tree["search"]})
        query = dict(parse_qsl(urlsplit(request.raw_path).query, errors="surrogateescape"))
        directory = query["path"]
        self.asked[directory] += 1
        odd = self.odd(directory)
        if odd is not None:
            return odd
        page = int(query.get("page", "1"))
        found = self.tree[directory]
        rest = len(found) > page * PAGE
        following = (
            f"{request.path}?{urlencode({**query, 'page': page + 1}, errors='surrogateescape')}" if rest else None
        )
        body = {
            "path": directory,
            "type": "directory",
            "count": len(found),
            "next": following,
            "children": [
                {"path": f"{directory.rstrip('/')}/{one['name']}", **one}
                for one in found[(page - 1) * PAGE : page * PAGE]
            ],
        }
        return web.Response(body=json.dumps(body).encode(), content_type="application/json")


TREE: Tree = {
    "/p": [folder("a"), folder("b"), file("1"), file("2"), {"name": "link", "type": "symlink", "size": 4}, file("3")],
    "/p/a": [file(f"x{number}", 10) for number in range(7)],
    "/p/b": [folder("c"), {"name": "pipe", "type": "fifo"}],
    "/p/b/c": [file("deep.MOV", 100, owner="ann", status="premigrated")],
}
ALL = {"/p/1", "/p/2", "/p/3", *(f"/p/a/x{number}" for number in range(7)), "/p/b/c/deep.MOV"}


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(tmp_path / "storage")


@pytest.fixture
def namespace() -> Namespace:
    return Namespace({directory: list(children) for directory, children in TREE.items()})


@pytest.fixture
async def odd(namespace: Namespace) -> AsyncIterator[OddHub]:
    async with odd_hub(namespace) as odd:
        yield odd


async def taken(odd: OddHub, storage: Storage, source: dict[str, Any], *paths: str) -> InventoryRef:
    request = InventoryRequest(name="i", site="london", source=Source.model_validate(source), paths=paths)
    root = storage.local_path("spill")
    assert root is not None
    async with odd.hub() as hub:
        return await take_inventory(hub, storage, Bulk(256 << 20, root), request)


def found(storage: Storage) -> list[str]:
    parts = inventory_parts(storage, "i", Path("unused"))
    return [to_path(text) for part in parts for text in pq.read_table(part)["path"].to_pylist()]


BROWSE = {"path": "/p"}


async def test_every_file_of_the_tree_is_there_once(odd: OddHub, storage: Storage) -> None:
    ref = await taken(odd, storage, BROWSE)
    assert sorted(found(storage)) == sorted(ALL)
    assert (ref.files, ref.bytes, ref.directories, ref.complete) == (11, 173, 4, True)


async def test_columns_hold_what_the_hub_said_and_null_where_it_did_not(odd: OddHub, storage: Storage) -> None:
    await taken(odd, storage, BROWSE)
    rows = duckdb.read_parquet([str(part) for part in inventory_parts(storage, "i", Path("unused"))])
    (row,) = (
        rows.filter("path = '/p/b/c/deep.MOV'").project("extension, size, modified, accessed, status, owner").fetchall()
    )
    assert row == ("mov", 100, 1_767_323_045_000_006, None, "premigrated", "ann")


async def test_a_space_is_listed_from_its_mount_point_or_from_the_given_folders(odd: OddHub, storage: Storage) -> None:
    assert (await taken(odd, storage, {"space": "projects"})).files == 11
    storage.delete("inventories")
    await taken(odd, storage, {"space": "projects"}, "/p/b", "/p/b/c")
    assert found(storage) == ["/p/b/c/deep.MOV"]


async def test_hard_names_are_kept_exactly(odd: OddHub, storage: Storage, namespace: Namespace) -> None:
    names = ["\udcff\udc80", "new\nline", "'\"", "\x01\x1b[2J", "x" * 255, "日本", "\U0010ffff", " ", "%41", "a\\b"]
    namespace.tree = {"/p": [*map(file, names), folder("d\udcfe\n")], "/p/d\udcfe\n": [file("in\udcfd")]}
    await taken(odd, storage, BROWSE)
    assert sorted(found(storage)) == sorted([*(f"/p/{name}" for name in names), "/p/d\udcfe\n/in\udcfd"])


async def test_a_directory_that_vanished_or_is_forbidden_is_a_problem_with_an_example(
    odd: OddHub, storage: Storage, namespace: Namespace
) -> None:
    answers = {"/p/a": 403, "/p/b/c": 404}
    namespace.odd = lambda directory: web.Response(status=answers[directory]) if directory in answers else None
    ref = await taken(odd, storage, BROWSE)
    assert (ref.files, ref.problems, ref.complete) == (3, 2, False)
    assert any("/p/a" in example and "403" in example for example in ref.examples)


async def test_a_directory_that_makes_the_hub_fail_is_tried_again_then_a_problem(
    odd: OddHub, storage: Storage, namespace: Namespace
) -> None:
    namespace.odd = lambda directory: web.Response(status=500) if directory == "/p/a" else None
    ref = await taken(odd, storage, BROWSE)
    assert (ref.files, ref.problems) == (4, 1)
    assert namespace.asked["/p/a"] >= listing.FAULTS


async def test_an_inventory_of_which_no_folder_can_be_read_is_an_error(
    odd: OddHub, storage: Storage, namespace: Namespace
) -> None:
    namespace.odd = lambda directory: web.Response(status=403)
    with pytest.raises(Forbidden):
        await taken(odd, storage, BROWSE)
    with pytest.raises(Forbidden):
        await taken(odd, storage, BROWSE)


async def test_a_listing_goes_on_where_it_broke_off_and_no_file_comes_twice(
    odd: OddHub, storage: Storage, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "LISTED_AT_ONCE", 1)
    monkeypatch.setattr(listing, "CHECKPOINT_EVERY", 0.0)
    broken: list[str] = []
    namespace.odd = lambda directory: web.Response(status=401) if directory in broken else None
    for directory in ("/p/b/c", "/p/a"):
        broken[:] = [directory]
        with pytest.raises(AuthError):
            await taken(odd, storage, BROWSE)
    broken.clear()
    ref = await taken(odd, storage, BROWSE)
    assert sorted(found(storage)) == sorted(ALL)
    assert (ref.files, ref.directories, ref.complete) == (11, 4, True)
    assert namespace.asked["/p/b"] == 1


async def test_a_large_directory_that_broke_off_leaves_nothing_of_itself(
    odd: OddHub, storage: Storage, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "HELD_ROWS", 2)
    namespace.odd = lambda directory: (
        web.Response(status=401) if directory == "/p/a" and namespace.asked["/p/a"] == 3 else None
    )
    with pytest.raises(AuthError):
        await taken(odd, storage, BROWSE)
    assert (await taken(odd, storage, BROWSE)).files == 11
    assert sorted(found(storage)) == sorted(ALL)


async def test_a_finished_inventory_is_given_back_without_asking_again(
    odd: OddHub, storage: Storage, namespace: Namespace
) -> None:
    first = await taken(odd, storage, BROWSE)
    asked = namespace.asked.total()
    assert await taken(odd, storage, BROWSE) == first
    assert namespace.asked.total() == asked


async def test_a_file_that_moves_to_the_next_page_meanwhile_is_listed_once(
    odd: OddHub, storage: Storage, namespace: Namespace
) -> None:
    def grows(directory: str) -> None:
        if directory == "/p/a" and namespace.asked["/p/a"] == 2:
            namespace.tree["/p/a"].insert(0, file("w"))

    namespace.odd = grows
    await taken(odd, storage, BROWSE)
    assert sorted(found(storage)) == sorted(ALL)


async def test_a_directory_that_claims_to_hold_its_parent_is_a_problem_and_no_circle(
    odd: OddHub, storage: Storage, namespace: Namespace
) -> None:
    namespace.tree["/p/b/c"].append({"name": "up", "path": "/p", "type": "directory"})
    ref = await taken(odd, storage, BROWSE)
    assert (ref.files, ref.problems) == (11, 1)


async def test_a_thing_of_unknown_kind_is_asked_about(odd: OddHub, storage: Storage, namespace: Namespace) -> None:
    namespace.tree["/p/b/c"] = [{"name": "what"}]
    namespace.tree["/p/b/c/what"] = []
    ref = await taken(odd, storage, BROWSE)
    assert (ref.files, ref.problems) == (10, 1) or ref.files == 10


async def test_a_search_gives_files_of_the_site_once(odd: OddHub, storage: Storage, namespace: Namespace) -> None:
    one = {"path": "/p/x.mov", "name": "x.mov", "site": "london", "metadata": {"core.size": 5, "core.type": "file"}}
    namespace.tree["search"] = [one, one, {**one, "path": "/p/y.mov", "name": "y.mov", "site": "paris"}]
    ref = await taken(odd, storage, {"path": "/p", "via": "search"})
    assert (found(storage), ref.bytes) == (["/p/x.mov"], 5)


async def test_with_discovery_the_folders_are_the_rows(odd: OddHub, storage: Storage) -> None:
    ref = await taken(odd, storage, {"discovery": "recursive"}, "/p/a", "/p/b")
    assert (found(storage), ref.files) == (["/p/a", "/p/b"], 2)


NAMED = ["/p/a", "/p/with space", "/p/\udcff"]


def as_parquet(path: Path) -> None:
    write_parquet(to_table([FileRecord(name, "file", 7) for name in NAMED]), path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.txt", b"/p/a\n/p/with space\n/p/\xff\n/p/a\n"),
        ("list", b"/p/a\0/p/with space\0/p/\xff\0"),
        ("list.csv", b"path,size\n/p/a,7\n/p/with space,\n/p/\xff,1\n"),
        ("list.jsonl", b'{"path": "/p/a", "size": 7}\n"/p/with space"\n{"path": "/p/\xff"}\n'),
        ("list.parquet", None),
    ],
)
async def test_a_list_of_paths_is_read_in_every_form(
    odd: OddHub, storage: Storage, tmp_path: Path, name: str, content: bytes | None
) -> None:
    if content is None:
        await asyncio.to_thread(as_parquet, tmp_path / name)
    else:
        (tmp_path / name).write_bytes(content)
    await taken(odd, storage, {"manifest": str(tmp_path / name)})
    assert sorted(found(storage)) == sorted(NAMED)


async def test_a_list_may_name_files_with_newlines_when_it_ends_them_by_nul(
    odd: OddHub, storage: Storage, tmp_path: Path
) -> None:
    (tmp_path / "list").write_bytes(b"/p/a\nb\0/p/c\0")
    await taken(odd, storage, {"manifest": str(tmp_path / "list")})
    assert found(storage) == ["/p/a\nb", "/p/c"]


async def test_a_list_is_read_in_the_format_that_the_policy_names(
    odd: OddHub, storage: Storage, tmp_path: Path
) -> None:
    (tmp_path / "list").write_bytes(b"1 2 0 -- /p/a%20b\n")
    with pytest.raises(BadList, match="write `format: gpfs-escape` beside `manifest`, else `format: gpfs`"):
        await taken(odd, storage, {"manifest": str(tmp_path / "list")})
    await taken(odd, storage, {"manifest": str(tmp_path / "list"), "format": "gpfs-escape"})
    assert found(storage) == ["/p/a b"]


@pytest.mark.parametrize("content", [b"/p/a\nrelative\n", b'{"path": 3}'])
async def test_a_list_that_names_no_path_is_refused(
    odd: OddHub, storage: Storage, tmp_path: Path, content: bytes
) -> None:
    name = tmp_path / ("list.jsonl" if content.startswith(b"{") else "list.txt")
    name.write_bytes(content)
    with pytest.raises(BadList, match=r"line [12] "):
        await taken(odd, storage, {"manifest": str(name)})


def test_folders_inside_others_are_dropped() -> None:
    assert roots(["/a/b", "/a", "/ab", "/a/"]) == ["/a", "/ab"]
    assert roots(["/x", "/"]) == ["/"]
