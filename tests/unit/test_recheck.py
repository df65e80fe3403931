"""The look at a batch's files just before they are sent: what is not certainly as planned stays where it is."""

from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import web

from activities.errors import AuthError, Retryable
from activities.manifests import Batch
from activities.recheck import changed
from activities.whereabouts import misplaced
from tests.unit.hub_fixtures import answer, odd_hub
from tests.unit.selection_fixtures import made_policy
from workflows.order import JobOrder, order_of

MOMENT = 1_700_000_000_000_000
THEN = "2023-11-14T22:13:20Z"
AS_PLANNED: dict[str, Any] = {"type": "file", "size": 10, "mtime": THEN, "status": "resident"}


def a_batch(*paths: str, size: int | None = 10, modified_us: int | None = MOMENT) -> Batch:
    many = len(paths)
    return Batch(0, list(range(many)), paths, [size] * many, [modified_us] * many, "")


def an_order(workflow: str = "migrate", **run: Any) -> JobOrder:
    return order_of(made_policy(run={"workflow": workflow, "batch": {"files": 10}, **run}))


class Shown:
    """A Hub whose files are what a test says: attributes, a status to answer with, or nothing."""

    def __init__(self, files: Mapping[str, Mapping[str, Any] | int], *, site: str | None = "london") -> None:
        self.files = files
        self.sites = [] if site is None else [{"id": 1, "name": site}]

    async def __call__(self, request: web.Request, body: bytes) -> web.StreamResponse:
        if request.path.endswith("/sites/"):
            return answer({"count": len(self.sites), "next": None, "results": self.sites})
        path = request.query["path"]
        found = self.files.get(path)
        if isinstance(found, int):
            return answer({"detail": "no"}, found)
        return answer({"detail": "Not found."}, 404) if found is None else answer({"path": path, **found})


async def left_out(
    files: Mapping[str, Mapping[str, Any] | int], order: JobOrder | None = None, batch: Batch | None = None, **hub: Any
) -> list[tuple[int, str, str | None]]:
    async with odd_hub(Shown(files, **hub)) as odd, odd.hub() as client:
        found = await changed(client, order or an_order(), batch or a_batch(*(f"/{name}/f" for name in "abc")))
        return [(one.ordinal, one.outcome, one.reason) for one in found]


async def test_files_as_planned_are_sent_and_one_that_is_gone_is_not() -> None:
    assert await left_out({"/a/f": AS_PLANNED, "/c/f": AS_PLANNED}) == [(1, "skipped", "changed")]


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ({"size": 11}, ("skipped", "changed")),
        ({"size": 0}, ("skipped", "changed")),
        ({"mtime": "2023-11-14T22:13:21Z"}, ("skipped", "changed")),
        ({"mtime": "2023-11-14T22:13:19Z"}, ("skipped", "changed")),
        ({"type": "directory"}, ("skipped", "changed")),
        ({"type": "symlink"}, ("skipped", "changed")),
        ({"size": None}, ("skipped", "unknown_attribute")),
        ({"mtime": None}, ("skipped", "unknown_attribute")),
        ({"mtime": "yesterday"}, ("skipped", "unknown_attribute")),
        ({"size": 11, "mtime": None}, ("skipped", "changed")),
        ({"status": "migrated"}, ("skipped", "already_done")),
        ({"status": "no such word"}, None),
        ({"atime": THEN}, None),
    ],
)
async def test_what_is_known_must_be_the_same(now: dict[str, Any], end: tuple[str, str] | None) -> None:
    found = await left_out({"/a/f": AS_PLANNED | now}, batch=a_batch("/a/f"))
    assert found == ([] if end is None else [(0, *end)])


async def test_what_the_plan_did_not_know_cannot_differ() -> None:
    batch = a_batch("/a/f", size=None, modified_us=None)
    assert await left_out({"/a/f": {"type": "file"}}, batch=batch) == []


@pytest.mark.parametrize(("workflow", "status"), [("premigrate", "migrated"), ("recall", "resident")])
async def test_a_file_that_is_there_already_is_not_sent(workflow: str, status: str) -> None:
    files = {"/a/f": AS_PLANNED | {"status": status}}
    assert await left_out(files, an_order(workflow), a_batch("/a/f")) == [(0, "skipped", "already_done")]


async def test_a_hub_workflow_of_ones_own_has_no_place_that_is_there_already() -> None:
    assert await left_out({"/a/f": AS_PLANNED | {"status": "migrated"}}, an_order("send"), a_batch("/a/f")) == []


async def test_only_what_the_policy_compares_counts() -> None:
    order = an_order(recheck={"compare": ["size"]})
    assert await left_out({"/a/f": AS_PLANNED | {"mtime": None}}, order, a_batch("/a/f")) == []


async def test_a_file_that_the_hub_refuses_to_show_costs_only_itself() -> None:
    files = {"/a/f": AS_PLANNED, "/b/f": 400, "/c/f": AS_PLANNED}
    assert await left_out(files) == [(1, "failed", "hub_error")]


async def test_nothing_is_decided_while_the_hub_fails_or_does_not_know_its_own_site() -> None:
    with pytest.raises(Retryable):
        await left_out({"/a/f": AS_PLANNED, "/b/f": 503, "/c/f": AS_PLANNED})
    with pytest.raises(Retryable, match="its own site"):
        await left_out({"/a/f": AS_PLANNED}, site=None)


async def test_refused_credentials_are_not_a_property_of_a_file() -> None:
    with pytest.raises(AuthError):
        await left_out({"/a/f": AS_PLANNED, "/b/f": 401, "/c/f": AS_PLANNED})


@pytest.mark.parametrize("now", [None, {"type": "directory"}])
async def test_a_path_that_only_a_list_named_fails_for_there_is_no_such_file(now: Mapping[str, Any] | None) -> None:
    files = {"/a/f": AS_PLANNED, **({} if now is None else {"/b/f": now})}
    policy = made_policy(select={"from": {"manifest": "list.txt"}})
    batch = a_batch("/a/f", "/b/f", size=None, modified_us=None)
    assert await left_out(files, order_of(policy), batch) == [(1, "failed", "no_such_file")]


@pytest.mark.parametrize(
    ("workflow", "now", "place"),
    [
        ("migrate", {"status": "migrated"}, None),
        ("migrate", {"status": "premigrated"}, "premigrated"),
        ("migrate", {"status": None}, "in a state that the Hub does not tell"),
        ("migrate", {"status": "moonlit"}, "in a state that the Hub does not tell"),
        ("migrate", None, "gone"),
        ("premigrate", {"status": "migrated"}, None),
        ("premigrate", {"status": "resident"}, "resident"),
        ("recall", {"status": "premigrated"}, None),
        ("recall", {"status": "migrated"}, "migrated"),
        ("delete", None, None),
        ("delete", {"status": "resident"}, "resident"),
        ("send", {"status": "resident"}, None),
    ],
)
async def test_a_file_is_where_its_hub_workflow_puts_files_or_it_is_told_where_it_is(
    workflow: str, now: dict[str, Any] | None, place: str | None
) -> None:
    files = {} if now is None else {"/a/f": AS_PLANNED | now}
    async with odd_hub(Shown(files)) as odd, odd.hub() as client:
        assert await misplaced(client, "london", workflow, ["/a/f"]) == ({} if place is None else {"/a/f": place})
