"""The Hub's contract: its 155 operations, and whether a request keeps it."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from activities.hub.shapes import Field, Shape, meant, problems_of, text_problem


@dataclass(frozen=True)
class Operation:
    """One operation: what it takes and answers with, by the names of the contract (`a.b` nests, `a[]` lists)."""

    method: str
    path: str
    path_params: Mapping[str, Field]
    query: Mapping[str, Field]
    body: Mapping[str, Field]
    answer: Mapping[str, Field]
    status: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Method and path, as people call it."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Match:
    """An operation with the values that a concrete path gave to its parameters."""

    operation: Operation
    values: Mapping[str, str]


class UnknownOperation(LookupError):
    """The contract has no such operation; `nearest` are those that were most likely meant."""

    def __init__(self, method: str, path: str, nearest: tuple[str, ...]) -> None:
        meant = f"; nearest: {', '.join(nearest)}" if nearest else ""
        super().__init__(f"the Hub has no operation {method} {path}{meant}")
        self.nearest = nearest


@cache
def operations() -> tuple[Operation, ...]:
    """Every operation of the contract, in its order."""
    found = json.loads(files("activities.hub").joinpath("contract.json").read_text("utf-8"))
    return tuple(_operation(name, parts) for name, parts in found.items())


def operation(method: str, path: str) -> Operation:
    """The operation of a method and a path, concrete or with its `{names}`; raises UnknownOperation."""
    return match(method, path).operation


def match(method: str, path: str) -> Match:
    """Find the operation and the values in its path; a leading `/api` and a missing last `/` do no harm."""
    verb, parts = method.upper(), _parts(path)
    fitting = [one for one in operations() if one.method == verb and _fits(_parts(one.path), parts)]
    if not fitting:
        raise UnknownOperation(verb, path, _nearest(verb, path))
    # A literal word is meant before a parameter: `/jobs/recent/` before `/jobs/{id}/`.
    best = min(fitting, key=lambda one: one.path.count("{") - sum(map(str.__eq__, _parts(one.path), parts)))
    pairs = zip(_parts(best.path), parts, strict=True)
    return Match(best, {key[1:-1]: value for key, value in pairs if key.startswith("{") and key != value})


def check(
    operation: Operation,
    params: Mapping[str, Any] | None = None,
    body: Any = None,
    values: Mapping[str, Any] | None = None,
) -> list[str]:
    """What is wrong with a request, one line each: unknown or missing names, wrong types; empty when it is right.

    `params` belong to the query, `values` to the path. A PATCH changes a part, so it need not hold every required
    field of the whole.
    """
    found = _parameters("path parameter", operation.path_params, values, required=values is not None)
    found += _parameters("parameter", operation.query, params or {}, required=True)
    if body is None:
        missing = [name for name, field in operation.body.items() if field.required and "." not in name]
        if missing and operation.method != "PATCH":
            found.append(f"a body is needed, with {', '.join(map(repr, missing))}")
        return found
    if not operation.body:
        return [*found, f"{operation.name} takes no body"]
    return found + problems_of(Shape.of(operation.body), body, partial=operation.method == "PATCH")


def _parameters(kind: str, known: Mapping[str, Field], given: Mapping[str, Any] | None, *, required: bool) -> list[str]:
    found = []
    for name, value in (given or {}).items():
        if name not in known:
            found.append(f"unknown {kind} {name!r}{meant(name, known)}")
            continue
        several = value if isinstance(value, list | tuple) else [value]
        if len(several) > 1 and known[name].type != "array":
            found.append(f"{kind} {name!r} takes one value")
        found += [f"{kind} {name!r}: {wrong}" for one in several if (wrong := text_problem(known[name].type, one))]
    if required:
        found += [f"{kind} {name!r} is missing" for name, field in known.items() if _missing(kind, name, field, given)]
    return found


def _missing(kind: str, name: str, field: Field, given: Mapping[str, Any] | None) -> bool:
    return name not in (given or {}) and (field.required or kind == "path parameter")


def _operation(name: str, parts: Mapping[str, Any]) -> Operation:
    method, _, path = name.partition(" ")
    fields = {part: {key: Field.of(text) for key, text in parts.get(part, {}).items()} for part in _PARTS}
    return Operation(
        method, path, fields["path"], fields["query"], fields["body"], fields["answer"], tuple(parts.get("status", ()))
    )


_PARTS = ("path", "query", "body", "answer")


def _parts(path: str) -> list[str]:
    parts = path.partition("?")[0].strip("/").split("/")
    return parts[1:] if parts[:1] == ["api"] else parts


def _fits(template: list[str], parts: list[str]) -> bool:
    return len(template) == len(parts) and all(
        (one.startswith("{") and part != "") or one == part for one, part in zip(template, parts, strict=True)
    )


def _nearest(method: str, path: str) -> tuple[str, ...]:
    same_path = [one.name for one in operations() if _fits(_parts(one.path), _parts(path))]
    if same_path:
        return tuple(same_path)
    names = {one.name.lower(): one.name for one in operations()}
    close = difflib.get_close_matches(f"{method} /{'/'.join(_parts(path))}/".lower(), names, n=3, cutoff=0.5)
    return tuple(names[name] for name in close)
