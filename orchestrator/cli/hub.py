"""`orchestrator hub METHOD PATH`: any of the Hub's operations, checked against the contract before it is sent."""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import parse_qsl

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption, ReasonOption
from orchestrator.cli.endings import Refusal

if TYPE_CHECKING:
    from activities.hub.client import Hub

#: Fields of answers that hold secrets: shown only when asked for.
SECRET_FIELDS = frozenset(
    {
        "access",
        "refresh",
        "token",
        "password",
        "api_key",
        "access_key",
        "accesskey",
        "secret_access_key",
        "secretaccesskey",
        "credentials_json",
    }
)


_FEW = 12


@dataclass(frozen=True)
class Request:
    """A call that keeps the contract: where to, and with what."""

    method: str
    path: str
    query: Mapping[str, Any]
    body: Any = None


def hub(
    method: Annotated[str, typer.Argument(help="GET, POST, PATCH or DELETE; alone, a word to list by.")] = "",
    path: Annotated[str, typer.Argument(help="Such as /jobs/12/cancel/; {names} are filled from --param.")] = "",
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter; again for a list.")
    ] = None,
    body: Annotated[str | None, typer.Option("--body", metavar="FILE", help="File with JSON, or - for input.")] = None,
    as_json: JsonOption = False,
    every_page: Annotated[bool, typer.Option("--all", help="Follow a list to its last page.")] = False,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show secrets that the Hub answers with.")] = False,
    reason: ReasonOption = "",
) -> None:
    """Call any of the Hub's operations; without PATH, list them."""
    if not path:
        _list(method, as_json=as_json)
        return
    # Checked before a Hub is even looked for: a wrong call is wrong without one.
    request = prepared(method, path, read_params(param or ()), read_body(body))

    from orchestrator.hub_calls import record_call
    from orchestrator.settings import load_settings
    from orchestrator.stack import HUB, Stack

    with Stack(load_settings(), HUB, tell=show.note) as stack:
        told = (request.method, request.path, request.body)
        record_call(stack.settings, *told, actor=show.actor(), reason=reason)
        answer = asyncio.run(_sent(stack.settings, request, every_page=every_page))
    _print(answer if reveal else without_secrets(answer), as_json=as_json)


#: What `orchestrator.cli.main` mounts.
hub_command = hub


async def call(
    hub: "Hub",
    method: str,
    path: str,
    params: Mapping[str, Any] | None = None,
    body: Any = None,
    *,
    every_page: bool = False,
) -> Any:
    """Call an operation and give back its JSON (or text); raises Refusal, before anything is sent, when it is wrong."""
    return await send(hub, prepared(method, path, params or {}, body), every_page=every_page)


async def send(hub: "Hub", request: Request, *, every_page: bool = False) -> Any:
    """Send a prepared call; with `every_page` the answer is the list of everything on all pages."""
    from activities.hub.wire import decode_json

    if every_page:
        return [record async for page in hub.pages(request.path, request.query) for record in page.records()]
    response = await hub.request(request.method, request.path, params=request.query, json=request.body)
    if not response.content.strip():
        return None
    try:
        return decode_json(response.content)
    except ValueError:
        return response.content.decode("utf-8", "surrogateescape")


def prepared(method: str, path: str, params: Mapping[str, Any], body: Any = None) -> Request:
    """Check a call against the contract; raises Refusal with a line for each thing that is wrong."""
    from activities.hub.contract import UnknownOperation, check, match
    from activities.hub.wire import filled

    bare, _, query = path.partition("?")
    given: dict[str, Any] = {**_grouped(parse_qsl(query, keep_blank_values=True)), **params}
    try:
        found = match(method, bare)
    except UnknownOperation as error:
        raise Refusal(f"{error}. `orchestrator hub` lists all of them.") from None
    operation = found.operation
    in_path = {
        name: found.values[name] if name in found.values else given.pop(name)
        for name in operation.path_params
        if name in found.values or name in given
    }
    problems = check(operation, given, body, in_path)
    if problems:
        raise Refusal("\n".join(f"{operation.name}: {problem}" for problem in problems))
    try:
        target = filled(operation.path, **{name: str(value) for name, value in in_path.items()})
    except ValueError as error:
        raise Refusal(f"{operation.name}: {error}") from None
    return Request(operation.method, target, given, body)


def read_params(texts: Sequence[str]) -> dict[str, Any]:
    """Read `name=value`; a repeated name makes a list. Raises Refusal."""
    pairs = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise Refusal(f"--param {text!r}: write it as NAME=VALUE")
        pairs.append((name, value))
    return _grouped(pairs)


def read_body(source: str | None) -> Any:
    """Read the JSON body from a file or from the standard input (`-`). Raises Refusal."""
    if source is None:
        return None
    from activities.hub.wire import decode_json

    where = "standard input" if source == "-" else source
    try:
        return decode_json(sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes())
    except OSError as error:
        raise Refusal(f"--body {where}: {error.strerror}") from None
    except ValueError as error:
        raise Refusal(f"--body {where}: it is not JSON: {error}") from None


def without_secrets(answer: Any) -> Any:
    """The answer with every secret blotted out."""
    if isinstance(answer, list):
        return [without_secrets(one) for one in answer]
    if isinstance(answer, dict):
        return {
            name: "[hidden: --reveal shows it]" if name in SECRET_FIELDS and value else without_secrets(value)
            for name, value in answer.items()
        }
    return answer


async def _sent(settings: Any, request: Request, *, every_page: bool) -> Any:
    from orchestrator.hub import open_hub

    async with open_hub(settings) as client:
        return await send(client, request, every_page=every_page)


def _grouped(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name not in found:
            found[name] = value
        else:
            former = found[name]
            found[name] = [*(former if isinstance(former, list) else [former]), value]
    return found


def _print(answer: Any, *, as_json: bool) -> None:
    if as_json:
        show.document(answer)
    elif isinstance(answer, str) and sys.stdout.isatty():
        show.say(answer)
    elif isinstance(answer, str):
        # To another program a name that is not UTF-8 leaves as the bytes that it is.
        sys.stdout.buffer.write(answer.encode("utf-8", "surrogateescape") + b"\n")
    elif answer is not None:
        readable = json.dumps(answer, ensure_ascii=False, indent=2)
        if show.harmless(readable) != readable:  # JSON's own escapes stay JSON.
            readable = json.dumps(answer, indent=2).replace("\x7f", "\\u007f")
        show.say(readable)


def _list(word: str, *, as_json: bool) -> None:
    from activities.hub.contract import operations

    every = operations()
    found = [one for one in every if one.method == word.upper()]  # `get` alone is no part of `/targets/`.
    found = found or [one for one in every if word.lower() in one.name.lower()]
    if not found:
        raise Refusal(f"no operation of the Hub has {word!r} in it. `orchestrator hub` lists all of them.")
    if as_json:
        show.document(
            [
                {
                    "method": one.method,
                    "path": one.path,
                    "params": {name: field.type for name, field in one.query.items()},
                    "body": {name: field.type for name, field in one.body.items() if not field.read_only},
                    "required": [name for name, field in one.body.items() if field.required and not field.read_only],
                }
                for one in found
            ]
        )
        return
    # All at once only what is needed; of a few everything.
    few = len(found) <= _FEW
    table = show.grid("Method", "Path", "Parameters and body (* required)" if few else "Must be in the body")
    table.columns[1].no_wrap = True
    for one in found:
        body = {name: field for name, field in one.body.items() if not field.read_only}
        shown = [f"{name}{'*' if field.required else ''}" for name, field in body.items()]
        needed = [name for name, field in body.items() if field.required and "." not in name]
        table.add_row(one.method, one.path, ", ".join([*one.query, *shown] if few else needed))
    show.table(table)
