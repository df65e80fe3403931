"""`orchestrator hub`: what is wrong is said before anything is sent; secrets stay hidden."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from activities.hub.contract import operations
from orchestrator.cli.endings import Refusal
from orchestrator.cli.hub import call, hub, prepared, read_body, read_params, without_secrets
from tests.unit.hub_fixtures import KEY, always, answer, by_name, odd_hub, paged


def command(*arguments: str) -> Any:
    app = typer.Typer()
    app.command("hub")(hub)
    return CliRunner().invoke(app, list(arguments))


def test_without_arguments_all_operations_are_listed_and_scripts_get_json() -> None:
    assert "/storagepools/{id}/" in command().output
    listed = json.loads(command("--json").output)
    assert len(listed) == len(operations()) == 155
    submit = next(one for one in listed if one["path"] == "/file/workflow/")
    assert submit["required"] == ["site", "workflow"] and submit["method"] == "POST"


def test_a_word_alone_lists_what_has_it() -> None:
    assert {one["path"] for one in json.loads(command("alert", "--json").output)} == {"/alerts/", "/alerts/{id}/"}
    assert {one["method"] for one in json.loads(command("get", "--json").output)} == {"GET"}
    assert isinstance(command("no-such-word").exception, Refusal)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("GET", "/jobz/"), "nearest: GET /jobs/"),
        (("FETCH", "/jobs/"), "no operation FETCH /jobs/"),
        (("GET", "/jobs/", "-p", "pag=1"), "did you mean 'page'?"),
        (("GET", "/jobs/", "-p", "page"), "write it as NAME=VALUE"),
        (("GET", "/jobs/?page=x"), "expected an integer"),
        (("GET", "/alerts/x/"), "path parameter 'id': expected an integer"),
        (("POST", "/file/workflow/"), "a body is needed"),
        (("POST", "/jobs/{id}/cancel/"), "path parameter 'id' is missing"),
        (("POST", "/jobs/3/cancel/", "--body", "/no/such/file"), "No such file"),
    ],
)
def test_a_wrong_call_is_refused_without_any_hub(arguments: tuple[str, ...], line: str) -> None:
    refused = command(*arguments).exception
    assert isinstance(refused, Refusal)
    assert line in str(refused)
    assert refused.ending == 2


def test_all_problems_of_a_call_are_told_at_once() -> None:
    with pytest.raises(Refusal) as caught:
        prepared("POST", "/file/workflow/", {"x": "1"}, {"site": 1, "workflow": "migrate", "pats": []})
    assert len(str(caught.value).splitlines()) == 3


def test_every_operation_can_be_prepared_with_its_own_names() -> None:
    samples: dict[str, Any] = {"integer": "1", "boolean": "true", "string": "x", "array": ["A", "B"]}
    for one in operations():
        given = {name: samples[field.type] for name, field in {**one.query, **one.path_params}.items()}
        body = _sample(one.body) if one.body else None
        request = prepared(one.method.lower(), one.path, given, body)
        assert (request.method, request.body) == (one.method, body), one.name
        assert "{" not in request.path and set(request.query) == set(one.query), one.name


def _sample(fields: Any) -> dict[str, Any]:
    plain = {"integer": 1, "number": 1.5, "boolean": True, "string": "x", "object": {"a": 1}}
    return {
        name: plain[f.type] for name, f in fields.items() if not f.read_only and "." not in name and "[" not in name
    }


def test_parameters_repeat_into_lists_and_may_hold_anything_after_the_first_equals_sign() -> None:
    assert read_params(["a=1", "b=x=y", "a=2", "a=3", "c="]) == {"a": ["1", "2", "3"], "b": "x=y", "c": ""}


def test_a_body_is_read_from_a_file_with_any_name_in_it(tmp_path: Path) -> None:
    file = tmp_path / "body.json"
    file.write_bytes(b'{"path": "/a\xff"}')
    assert read_body(str(file)) == {"path": "/a\udcff"}
    file.write_text("{nonsense")
    with pytest.raises(Refusal, match="not JSON"):
        read_body(str(file))


def test_secrets_in_answers_are_hidden() -> None:
    shown = json.dumps(
        without_secrets({"results": [{"id": 1, "api_key": KEY, "access": KEY, "secret_access_key": KEY}]})
    )
    assert KEY not in shown and '"id": 1' in shown


async def test_a_call_sends_what_was_checked_and_follows_pages_when_asked() -> None:
    scripts = {
        "POST /jobs/3/cancel/": always({"id": 3}),
        "GET /jobs/": paged([{"id": number} for number in range(150)]),
        "GET /auth/token/publickey/": always(b"-----BEGIN PUBLIC KEY-----"),
        "DELETE /jobs/3/": lambda request, body: _empty(),
    }
    async with odd_hub(by_name(scripts)) as odd, odd.hub() as client:
        assert await call(client, "POST", "/jobs/{id}/cancel/", {"id": 3}) == {"id": 3}
        listed = await call(client, "GET", "/jobs/", {"state": ["NEW", "PENDING"]}, every_page=True)
        assert len(listed) == 150
        assert await call(client, "GET", "/auth/token/publickey/") == "-----BEGIN PUBLIC KEY-----"
        assert await call(client, "DELETE", "/jobs/3/") is None
        with pytest.raises(Refusal):
            await call(client, "GET", "/jobs/", {"stat": "NEW"})
    assert "state=NEW&state=PENDING" in odd.calls[1].target
    assert len(odd.calls) == 5


async def _empty() -> Any:
    return answer(b"", 204)
