"""What the Hub tells about sites, pools, queues and the rest: read tolerantly, refused clearly."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from activities.errors import ContractError, HubError
from activities.hub import (
    alerts,
    configurations,
    nodes,
    policies,
    queues,
    schedules,
    sites,
    spaces,
    storagepools,
    tasks,
    workflows,
)
from activities.hub.reading import MaybeMoment, MaybeWhole, Record, Reference, read
from tests.unit.hub_fixtures import always, by_name, collected, drop, in_turn, odd_hub, paged

JAN = datetime(2026, 1, 1, tzinfo=UTC)


class Sample(Record):
    when: MaybeMoment = None
    size: MaybeWhole = None
    label: str | None = None
    on: bool | None = None
    site: Reference = None


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01T01:00:00+01:00",
        "2026-01-01 00:00:00.000000",
        "1767225600",
        1767225600,
        1767225600.0,
        1767225600000,
    ],
)
def test_every_form_of_a_time_is_the_same_moment(text: Any) -> None:
    assert read(Sample, {"when": text}, "GET /x/").when == JAN


def test_numbers_and_texts_stand_for_each_other_and_the_unknown_is_left_out() -> None:
    told = {"size": "12", "label": 7, "on": "true", "site": {"id": 3, "name": "leeds"}, "when": "", "new": {"a": 1}}
    assert read(Sample, told, "GET /x/") == Sample(size=12, label="7", on=True, site="leeds")
    assert read(Sample, {"size": "1.5e3", "site": 3}, "GET /x/") == Sample(size=1500, site="3")
    assert read(Sample, {"size": 2.0**70 // 1e9}, "GET /x/").size is not None


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"size": "lots"}, "size"),
        ({"when": "soon"}, "when"),
        ({"on": "perhaps"}, "on"),
        ({"label": []}, "label"),
        ([], "(the whole)"),
        (None, "(the whole)"),
    ],
)
def test_a_wrong_type_names_operation_and_field_and_never_the_value(told: Any, field: str) -> None:
    with pytest.raises(ContractError) as caught:
        read(Sample, told, "GET /x/")
    assert f"GET /x/: field {field!r}" in str(caught.value)
    assert not any(word in str(caught.value) for word in ("lots", "soon", "perhaps"))


def test_a_zone_is_turned_into_utc() -> None:
    moment = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert read(Sample, {"when": moment.isoformat()}, "GET /x/").when == JAN


FAMILIES: list[tuple[Any, str, dict[str, Any], dict[str, Any]]] = [
    (sites.sites, "/sites/", {"id": "1", "name": "leeds", "spaces": None}, {"id": 1, "name": "leeds", "spaces": ()}),
    (
        spaces.spaces,
        "/spaces/",
        {
            "id": 2,
            "name": "media",
            "mountpoint": "/m",
            "size": "5",
            "sites": ["leeds", {"name": "x", "pool": {"name": "p"}}],
        },
        {"id": 2, "mountpoint": "/m", "size": 5},
    ),
    (
        storagepools.storagepools,
        "/storagepools/",
        {"name": "p", "site": 1, "filesystem": "f", "capacity": "100", "used_space": 81, "free_space": 9},
        {"capacity": 100, "utilisation": 0.81},
    ),
    (
        workflows.workflows,
        "/workflows/",
        {"id": 1, "name": "recall", "label": "R", "enabled": True, "fields": [{"name": "lock_level"}, "x"]},
        {"name": "recall", "fields": ({"name": "lock_level"}, {"name": "x"})},
    ),
    (
        workflows.workflows,
        "/workflows/",
        {"id": 1, "name": "recall", "fields": {"lock_level": {"type": "choice"}}},
        {"fields": ({"name": "lock_level", "type": "choice"},)},
    ),
    (
        queues.queues,
        "/queues/",
        {"id": 1, "name": "default", "site": "leeds", "nodes": "n1, n2", "last_heartbeat": 1767225600},
        {"nodes": ("n1", "n2"), "last_heartbeat": JAN},
    ),
    (nodes.nodes, "/nodes/", {"id": 1, "name": "n", "site": "s", "online": "true"}, {"online": True, "site": "s"}),
    (tasks.tasks, "/tasks/", {"id": 1, "job": "/api/jobs/7/", "tasktype": "t", "state": "NEW"}, {"job": 7}),
    (
        alerts.alerts,
        "/alerts/",
        {"id": 1, "name": "a", "severity": "critical", "timestamp": "2026-01-01T00:00:00"},
        {"timestamp": JAN, "severity": "critical"},
    ),
    (policies.policies, "/policies/", {"id": 1, "name": "p", "spaces": [1, 2], "threads": "4"}, {"threads": 4}),
    (
        schedules.schedules,
        "/schedules/",
        {"id": 1, "name": "s", "site": "s", "hour": 22},
        {"hour": "22", "minute": "*"},
    ),
]


@pytest.mark.parametrize(("lister", "path", "told", "read_as"), FAMILIES)
async def test_a_family_reads_envelopes_and_bare_lists(lister: Any, path: str, told: Any, read_as: Any) -> None:
    for script in (paged([told]), always([told])):
        async with odd_hub(by_name({f"GET {path}": script})) as odd, odd.hub() as hub:
            (found,) = await collected(lister(hub))
            assert {name: getattr(found, name) for name in read_as} == read_as


async def test_a_record_that_lacks_what_it_is_named_by_is_a_clear_error() -> None:
    async with odd_hub(paged([{"id": 1}])) as odd, odd.hub() as hub:
        with pytest.raises(ContractError, match="GET /sites/: field 'name'"):
            await collected(sites.sites(hub))


async def test_a_site_is_well_unless_it_says_or_shows_otherwise() -> None:
    told = [always({"name": "leeds"}), always({}), always({"error": "salt is down"}), drop]
    async with odd_hub(in_turn(*told)) as odd, odd.hub() as hub:
        found = [await sites.health(hub, 1) for _ in told]
    assert [health.healthy for health in found] == [True, True, False, False]
    assert found[2].error == "salt is down"


async def test_the_configuration_reads_as_object_and_as_list() -> None:
    for told in ({"jobs_ttl": "30"}, [{"jobs_ttl": 30}], {"count": 1, "results": [{"jobs_ttl": 30}]}):
        async with odd_hub(always(told)) as odd, odd.hub() as hub:
            assert (await configurations.current(hub)).jobs_ttl == 30


async def test_one_thing_is_asked_for_by_its_number_and_named_ones_are_found() -> None:
    site = {"id": 4, "name": "leeds", "shortcode": "lds"}
    async with odd_hub(by_name({"GET /sites/4/": always(site), "GET /sites/": paged([site])})) as odd, odd.hub() as hub:
        assert (await sites.one(hub, 4)).name == "leeds"
        by_code, nobody = await sites.named(hub, "lds"), await sites.named(hub, "york")
        assert by_code is not None and by_code.id == 4 and nobody is None
        with pytest.raises(HubError):
            await sites.one(hub, 5)
