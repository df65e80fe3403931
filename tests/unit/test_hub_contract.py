"""The contract is the reference, and a request that breaks it is told where."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from activities.hub.contract import UnknownOperation, check, match, operation, operations

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT.parent / "shared" / "hub" / "api.json"
CONTRACT = ROOT / "activities" / "hub" / "contract.json"


def test_there_are_155_operations_and_each_is_found_by_its_own_path() -> None:
    assert len(operations()) == 155
    for one in operations():
        concrete = one.path.replace("{", "x").replace("}", "") if "{id}" not in one.path else one.path
        assert match(one.method, concrete).operation.name in (one.name, one.name)
        assert operation(one.method, one.path) is one


@pytest.mark.skipif(
    not REFERENCE.exists(), reason="the reference lies beside the repository only where it is developed"
)
def test_the_contract_says_what_the_reference_says() -> None:
    reference = {f"{one['method']} {one['path']}": one for one in json.loads(REFERENCE.read_text())["operations"]}
    assert {one.name for one in operations()} == set(reference)
    for one in operations():
        there = reference[one.name]
        for ours, key in ((one.path_params, "path_params"), (one.query, "query"), (one.body, "request")):
            assert _facts(ours) == _reference_facts(there.get(key, [])), (one.name, key)
        assert _facts(one.answer) == _reference_facts(there.get("response", [])), one.name
        assert list(one.status) == (there.get("status") or [])


@pytest.mark.skipif(
    not REFERENCE.exists(), reason="the reference lies beside the repository only where it is developed"
)
def test_the_committed_contract_is_what_the_script_writes() -> None:
    spec = importlib.util.spec_from_file_location("make_contract", ROOT / "docs" / "make_contract.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.written(script.contract(json.loads(REFERENCE.read_text()))) == CONTRACT.read_text()


def test_the_contract_holds_no_sentences() -> None:
    def texts(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [text for key, inner in value.items() for text in (key, *texts(inner))]
        return [text for inner in value for text in texts(inner)] if isinstance(value, list) else [str(value)]

    assert not [text for text in texts(json.loads(CONTRACT.read_text())) if text.count(" ") > 1]


@pytest.mark.parametrize(
    ("method", "path", "name", "values"),
    [
        ("get", "/jobs/12/progress", "GET /jobs/{id}/progress/", {"id": "12"}),
        ("GET", "/api/jobs/recent/", "GET /jobs/recent/", {}),
        ("GET", "/auth/token/publickey/", "GET /auth/token/publickey/", {}),
        ("GET", "/search/metadata_fields/", "GET /search/metadata_fields/", {}),
        ("GET", "/search/9/?page=2", "GET /search/{id}/", {"id": "9"}),
        ("POST", "/users/change_password/", "POST /users/change_password/", {}),
        ("PATCH", "/schedules/1/workflows/2/", "PATCH /schedules/{parent_lookup_schedule}/workflows/{id}/", None),
    ],
)
def test_a_concrete_path_finds_its_operation(method: str, path: str, name: str, values: dict[str, str] | None) -> None:
    found = match(method, path)
    assert found.operation.name == name
    assert found.values == (values if values is not None else {"parent_lookup_schedule": "1", "id": "2"})


@pytest.mark.parametrize(
    ("method", "path", "nearest"),
    [
        ("POST", "/jobs/3/cancle/", "POST /jobs/{id}/cancel/"),
        ("PUT", "/jobs/", "GET /jobs/"),
        ("GET", "/storagepool/", "GET /storagepools/"),
        ("GET", "/jobs/7/", "DELETE /jobs/{id}/"),
    ],
)
def test_an_unknown_operation_names_the_nearest(method: str, path: str, nearest: str) -> None:
    with pytest.raises(UnknownOperation) as caught:
        match(method, path)
    assert nearest in caught.value.nearest
    assert nearest in str(caught.value)


SUBMIT = {"site": "leeds", "workflow": "migrate", "paths": [{"path": "/a"}]}


@pytest.mark.parametrize(
    ("name", "params", "body", "line"),
    [
        ("POST /file/workflow/", {}, SUBMIT | {"queu": "x"}, "unknown field 'queu': did you mean 'queue'?"),
        ("POST /file/workflow/", {}, {"site": "a"}, "field 'workflow' is missing"),
        ("POST /file/workflow/", {}, SUBMIT | {"paths": ["/a"]}, "paths[0]: expected an object, not a string"),
        ("POST /file/workflow/", {}, SUBMIT | {"job": "12"}, "job: expected an integer, not a string"),
        ("POST /file/workflow/", {}, SUBMIT | {"job": True}, "job: expected an integer, not true or false"),
        ("POST /file/workflow/", {}, SUBMIT | {"site": None}, "site: expected a string, not null"),
        ("POST /file/workflow/", {}, [SUBMIT], "the body: expected an object, not a list"),
        ("POST /file/workflow/", {}, None, "a body is needed, with 'site', 'workflow'"),
        ("POST /file/workflow/", {"site": "a"}, SUBMIT, "unknown parameter 'site'"),
        ("POST /jobs/", {}, {"a": 1}, "POST /jobs/ takes no body"),
        ("GET /jobs/", {"pag": 1}, None, "unknown parameter 'pag': did you mean 'page'?"),
        ("GET /jobs/", {"page": "two"}, None, "parameter 'page': expected an integer, not 'two'"),
        ("GET /jobs/", {"site": ["a", "b"]}, None, "parameter 'site' takes one value"),
        ("GET /jobs/", {"hide_noop": "yes"}, None, "parameter 'hide_noop': expected true or false, not 'yes'"),
        ("POST /policies/", {}, {"name": "a", "id": 3}, "field 'id' is written by the Hub alone"),
        ("POST /policies/", {}, {"name": "a", "triggers": [{}]}, "field 'triggers[0].pool_name' is missing"),
        ("POST /policies/", {}, {"name": "a", "order": {"by": 1}}, "order.by: expected a string, not an integer"),
        ("POST /policies/", {}, {"name": "a", "spaces": 3}, "spaces: expected a list, not an integer"),
        ("POST /policies/", {}, {"name": "a", "order": {"bye": 1}}, "unknown field 'order.bye': did you mean 'by'?"),
    ],
)
def test_a_wrong_request_is_told_where_and_what_was_meant(
    name: str, params: dict[str, Any], body: Any, line: str
) -> None:
    assert check(operation(*name.split(" ")), params, body) == [line]


def test_right_requests_pass() -> None:
    assert check(operation("POST", "/file/workflow/"), {}, SUBMIT | {"fields": {"a": 1}, "discovery": None}) == []
    assert check(operation("GET", "/jobs/"), {"state": ["NEW", "PENDING"], "page": "2", "hide_noop": True}) == []
    assert check(operation("PATCH", "/policies/{id}/"), {}, {"enabled": False}, {"id": 3}) == []
    assert check(operation("PATCH", "/settings/"), {}, {"values": [{"key": "a", "value": "b"}]}) == []
    assert check(operation("POST", "/jobs/{id}/cancel/"), {}, None, {"id": "3"}) == []


def test_every_operation_that_needs_something_says_so() -> None:
    for one in operations():
        needed = {
            name for name, field in one.body.items() if field.required and not field.read_only and "." not in name
        }
        if needed and one.method == "POST":
            assert all(any(repr(name) in line for line in check(one, {}, {})) for name in needed), one.name
        if one.path_params:
            assert any("is missing" in line for line in check(one, {}, None, {})), one.name
        assert any("'no_such_thing'" in line for line in check(one, {"no_such_thing": 1})), one.name


def _facts(fields: Any) -> dict[str, tuple[str, bool, bool]]:
    return {name: (field.type, field.required, field.read_only) for name, field in fields.items()}


def _reference_facts(fields: list[dict[str, Any]]) -> dict[str, tuple[str, bool, bool]]:
    return {
        field["name"]: (field["type"], field.get("required", False), field.get("read_only", False)) for field in fields
    }
