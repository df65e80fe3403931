"""Routes: which events a policy wants, and at which sites it starts for them."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.catalog import load_policy
from workflows.events import RUN_ENDED, CloudEvent
from workflows.routes import PolicyRoutes, Route, equal, routes_of, sites_for, wants

POLICY = """
version: 1
name: drain
sites: [london, paris]
triggers:
  - schedule: {cron: "0 3 * * *"}
  - event: {type: hub.alert, where: {name: lowDiskSpace, severity: [warning, critical]}, settle: 2m}
  - after: {policy: first, state: succeeded}
  - after: {policy: second, state: any}
select: {from: {space: p}}
run: {workflow: migrate}
"""


def event(data: Any = None, kind: str = "t", **attributes: Any) -> CloudEvent:
    return CloudEvent(id="1", source="test", type=kind, subject="sas1", data=data, attributes=attributes)


def route(**where: Any) -> Route:
    return Route(trigger=0, kind="event", type="t", where={name: (value,) for name, value in where.items()}, text="")


def dotted(name: str, *values: Any) -> Route:
    return Route(trigger=0, kind="event", type="t", where={name: values}, text="")


def test_a_policy_has_a_route_for_each_event_and_chain_under_its_triggers_number() -> None:
    found = routes_of(load_policy(POLICY.encode(), "x"))
    assert [(one.trigger, one.kind, one.type, one.settle, one.text) for one in found] == [
        (
            1,
            "event",
            "hub.alert",
            timedelta(minutes=2),
            "event hub.alert where name: lowDiskSpace, severity: [warning, critical]",
        ),
        (2, "after", RUN_ENDED, timedelta(0), "after first succeeded"),
        (3, "after", RUN_ENDED, timedelta(0), "after second ended"),
    ]


def test_a_chain_wants_the_end_that_it_names() -> None:
    _, first, second = routes_of(load_policy(POLICY.encode(), "x"))
    failed = event({"policy": "first", "state": "failed"}, RUN_ENDED)
    assert wants(first, event({"policy": "first", "state": "succeeded"}, RUN_ENDED))
    assert not wants(first, failed)
    assert not wants(second, failed)
    assert wants(second, event({"policy": "second", "state": "failed"}, RUN_ENDED))


def test_every_field_must_have_one_of_its_values() -> None:
    wanted = Route(trigger=0, kind="event", type="t", where={"a": (1, 2), "b": ("x",)}, text="")
    assert wants(wanted, event({"a": 2, "b": "x"}))
    assert not wants(wanted, event({"a": 2, "b": "y"}))
    assert not wants(wanted, event({"a": 3, "b": "x"}))
    assert not wants(wanted, event({"b": "x"}))


def test_another_type_is_not_wanted_whatever_it_says() -> None:
    assert wants(route(), event())
    assert not wants(route(), event(kind="T"))


@pytest.mark.parametrize("data", [None, 5, "text", [], [{"a": 1}], {"a": None}, {"a": {"b": 1}}])
def test_data_without_the_field_is_not_wanted(data: Any) -> None:
    assert not wants(route(a=1), event(data))


def test_a_name_is_sought_in_the_data_first_then_among_the_attributes() -> None:
    assert wants(route(subject="mine"), event({"subject": "mine"}))
    assert not wants(route(subject="sas1"), event({"subject": "mine"}))
    assert wants(route(subject="sas1"), event({"other": 1}))
    assert wants(route(region="eu"), event(region="eu"))
    assert wants(route(source="test"), event(source="an extension never hides an attribute"))


def test_dots_lead_into_the_data_and_a_name_with_dots_is_found_too() -> None:
    assert wants(dotted("pool.name", "sas1"), event({"pool": {"name": "sas1"}}))
    assert wants(dotted("pool.name", "sas1"), event({"pool.name": "sas1"}))
    assert wants(dotted("data.pool.name", "sas1"), event({"pool": {"name": "sas1"}}))
    assert not wants(dotted("pool.name", "sas1"), event({"pool": "sas1"}))


@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [
        (5, "5", True),
        (5, 5.0, True),
        ("5", 5, True),
        ("5", "5.0", False),
        (5, "five", False),
        (5, True, False),
        (1, True, False),
        (True, "true", True),
        (True, "True", True),
        (True, "yes", False),
        (False, "", False),
        ("a", "A", False),
        ("a", ["b", "a"], True),
        ("a", [], False),
        ("a", {"a": 1}, False),
        (2**53 + 1, str(2**53 + 1), True),
        (2**53 + 1, str(2**53), False),
    ],
)
def test_values_are_equal_as_people_read_them(wanted: Any, found: Any, same: bool) -> None:
    assert equal(wanted, found) is same


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.sampled_from(["a", "a.b", "data.a", ".", "..", ""]), st.text() | st.integers() | st.booleans())
def test_no_event_breaks_the_comparison(data: Any, name: str, value: Any) -> None:
    assert wants(dotted(name, value), event(data)) in (True, False)


def test_a_chain_stays_at_the_site_of_its_run_where_the_policy_has_it() -> None:
    _, chain, _ = found = routes_of(load_policy(POLICY.encode(), "x"))
    table = PolicyRoutes(policy="drain", version=1, digest="d", sites=("london", "paris"), routes=found)
    assert sites_for(table, chain, event({"site": "paris"})) == ("paris",)
    assert sites_for(table, chain, event({"site": "rome"})) == ("london", "paris")
    assert sites_for(table, found[0], event({"site": "paris"})) == ("london", "paris")
