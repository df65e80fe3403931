"""The catalog: reads policies from YAML, strictly, and says where each mistake is and what to write instead."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from orchestrator.documents import LARGEST_FILE, Document, Place, PolicyError, Problem, read_document, several
from orchestrator.zones import zone_mistakes
from workflows.policy import Policy
from workflows.units import Mistake, Mistakes, advice, nearest, shown

__all__ = [
    "LoadedPolicy", "PolicyError", "Problem", "dotted", "find_loaded", "find_policy", "load_catalog", "load_policy",
    "policy_files", "read_policy", "same_name",
]  # fmt: skip


LARGEST_POLICY = 1 << 20
"""Bytes of a policy as it travels within a wish: what Temporal takes at once is 2 MiB, and a task may carry two."""


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy with the document that it was read from, and the document's bytes."""

    policy: Policy
    document: Document
    source: bytes


def load_policy(source: Path | bytes, name: str | None = None) -> Policy:
    """Read one policy from a file or from its bytes; raise PolicyError with every problem that was found."""
    return read_policy(source, name).policy


def read_policy(source: Path | bytes, name: str | None = None) -> LoadedPolicy:
    """Read one policy and keep the places of its words."""
    content, shown_name = _content(source, name)
    document = read_document(content, shown_name)
    try:
        policy = Policy.model_validate(document.data, extra="forbid", by_alias=True, by_name=False)
    except ValidationError as error:
        problems = [*_found(error, document), *_neither(document)]
        raise PolicyError(several(problems)) from None
    problems = list(_empty_lists(document, document.data, ()))
    problems += [document.problem(one.where, dotted(one.where) + one.text) for one in zone_mistakes(policy)]
    problems += [document.problem((), text) for text in _too_large(policy)]
    if problems:
        raise PolicyError(several(problems))
    return LoadedPolicy(policy, document, content)


def _too_large(policy: Policy) -> Iterator[str]:
    """Refuse what no schedule, wish or run could carry: better here than in an engine that tries for ever."""
    size = len(json.dumps(policy.model_dump_json()).encode())
    if size > LARGEST_POLICY:
        yield (
            f"the policy is too large: {size:,} bytes with every class written out, at most {LARGEST_POLICY:,} fit "
            "into a run; say it with fewer patterns, or in several policies"
        )


def load_catalog(*places: Path) -> dict[str, LoadedPolicy]:
    """Read every policy of files and folders, by name; raise PolicyError with the problems of all of them."""
    policies: dict[str, LoadedPolicy] = {}
    names: dict[str, str] = {}
    problems: list[Problem] = []
    for file in (file for place in places for file in (policy_files(place) if place.is_dir() else [place])):
        try:
            loaded = read_policy(file)
        except PolicyError as error:
            problems += error.problems
            continue
        problems += same_name(loaded, names)
        policies[loaded.policy.name] = loaded
    if problems:
        raise PolicyError(tuple(problems))
    return policies


def find_policy(folder: Path, name: str) -> Policy:
    """Read the policy of that name from a folder; the mistakes of other files do not matter."""
    return find_loaded(folder, name).policy


def find_loaded(folder: Path, name: str) -> LoadedPolicy:
    """Read the policy of that name from a folder, and keep the places of its words."""
    names: list[str] = []
    own: PolicyError | None = None
    for file in policy_files(folder):
        try:
            loaded = read_policy(file)
        except PolicyError as error:
            own = error if file.stem == name else own
            continue
        if loaded.policy.name == name:
            return loaded
        names.append(loaded.policy.name)
    if own:
        raise own
    known = f": {advice(name, sorted(names))}" if names else ", nor any other that can be read"
    raise PolicyError((Problem(str(folder), 0, 0, f"there is no policy {shown(name)} here{known}"),))


def policy_files(folder: Path) -> list[Path]:
    """List the YAML files of a folder, in order of their names; hidden files are not policies."""
    try:
        return sorted(
            file for file in folder.iterdir()
            if file.suffix in (".yaml", ".yml") and not file.name.startswith(".") and file.is_file()
        )  # fmt: skip
    except OSError as error:
        raise PolicyError((Problem(str(folder), 0, 0, f"the folder cannot be read: {error.strerror}"),)) from error


def same_name(loaded: LoadedPolicy, places: dict[str, str]) -> list[Problem]:
    """Find the policy's name among those that were seen before, and add it to them."""
    name, document = loaded.policy.name, loaded.document
    before = places.setdefault(name, document.name)
    if before == document.name:
        return []
    return [document.problem(("name",), f"name: {before} has the name `{name}` already: give each policy its own")]


def dotted(where: Place) -> str:
    """Write a place as the beginning of a message, such as `select.rules[1]: `."""
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return f"{text}: " if text else ""


_EITHER: Final[Mapping[Place, Place]] = {("site",): ("sites",), ("run", "workflow"): ("run", "stages")}
_MAY_BE_EMPTY: Final[tuple[Place, ...]] = (("retry", "permanent"), ("run", "fields"))


def _content(source: Path | bytes, name: str | None) -> tuple[bytes, str]:
    if isinstance(source, bytes):
        return source, name or "policy"
    try:
        with source.open("rb") as file:
            return file.read(LARGEST_FILE + 1), name or str(source)
    except OSError as error:
        raise PolicyError(
            (Problem(name or str(source), 0, 0, f"the file cannot be read: {error.strerror}"),)
        ) from error


def _empty_lists(document: Document, value: Any, where: Place) -> Iterator[Problem]:
    if where in _MAY_BE_EMPTY:
        return
    if value == [] and where[-1] not in ("all", "any"):
        yield document.problem(where, f"{dotted(where)}{_EMPTY_LIST}")
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield from _empty_lists(document, item, (*where, key))


def _found(error: ValidationError, document: Document) -> Iterator[Problem]:
    errors: list[Any] = sorted(error.errors(include_url=False), key=lambda each: document.place(each["loc"]))
    errors = errors[:_MOST_ERRORS]
    meant = {place for each in errors if each["type"] == "extra_forbidden" for place in _meant(each["loc"])}
    for each in errors:
        where = tuple(part for part in each["loc"] if part != "[key]")
        if each["type"] == "missing" and where in meant:
            continue
        if each["type"] == "too_short" and any(one["loc"][: len(where)] == where for one in errors if one is not each):
            continue  # Its items are wrong, and not counted therefore.
        for mistake in _mistakes(each, where):
            yield document.problem(
                mistake.where,
                dotted(mistake.where[:-1] if mistake.at_key or each["type"] == "missing" else mistake.where)
                + mistake.text,
                at_key=mistake.at_key,
            )


def _neither(document: Document) -> Iterator[Problem]:
    """Find where one of two keys is needed and there is none, nor one that was probably meant."""
    for key, other in _EITHER.items():
        around: Any = document.data.get("run") if len(key) > 1 else document.data
        if not isinstance(around, dict) or key[-1] in around or other[-1] in around:
            continue
        if any(place in (key, other) for name in islice(around, _MOST_ERRORS) for place in _meant((*key[:-1], name))):
            continue
        yield document.problem(key, f"{dotted(key[:-1])}`{key[-1]}` is missing: {_described(key)}")


def _mistakes(each: Any, where: Place) -> Iterator[Mistake]:
    if each["type"] == "extra_forbidden":
        yield Mistake(where, _unknown_key(where), at_key=True)
        return
    if each["type"] == "missing":
        yield Mistake(where, f"`{where[-1]}` is missing: {_described(where)}")
        return
    cause = each.get("ctx", {}).get("error")
    if isinstance(cause, Mistakes):
        for mistake in cause.found:
            yield Mistake((*where, *mistake.where), mistake.text, mistake.at_key)
    elif cause is not None:
        yield Mistake(where, str(cause), at_key=each["loc"][-1:] == ("[key]",))
    else:
        yield Mistake(where, _said(each, where), at_key=each["loc"][-1:] == ("[key]",))


def _said(each: Any, where: Place) -> str:
    value, context = each["input"], each.get("ctx", {})
    match each["type"]:
        case "string_type":
            quotes = ": put it in quotes" if isinstance(value, bool | int | float) else ""
            return f"expects text, found {shown(value)}{quotes}"
        case "int_type" | "int_from_float" | "int_parsing":
            quotes = ": write it without quotes" if isinstance(value, str) and value.isdecimal() else ""
            return f"expects a whole number such as 1000, found {shown(value)}{quotes}"
        case "bool_type" | "bool_parsing":
            return f"expects true or false, found {shown(value)}"
        case "greater_than":
            return f"expects more than {context['gt']:g}, found {shown(value)}"
        case "greater_than_equal":
            return f"expects at least {context['ge']}, found {shown(value)}"
        case "less_than_equal":
            return f"expects at most {context['le']}, found {shown(value)}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"expects a mapping (lines of `key: value`), found {shown(value)}"
        case "tuple_type" | "list_type":
            return f"expects a list such as [a, b], found {shown(value)}"
        case "too_short":
            return _EMPTY_LIST
        case "too_long":
            return f"there are more than {context['max_length']} items: split the policy"
        case "literal_error" if where == ("version",):
            return f"expects the number 1, the version of the language that this program reads, found {shown(value)}"
        case "literal_error":
            return _literal(str(context["expected"]), value, where)
        case _:
            return f"{each['msg']}, found {shown(value)}"


def _literal(expected: str, value: object, where: Place) -> str:
    known = re.findall(r"'([^']*)'", expected)
    if not known:
        return f"expects {expected}, found {shown(value)}"
    if isinstance(value, str):
        close = nearest(value, known)
        return f"expects {_either(known)}, found {shown(value)}" + (f": did you mean `{close}`?" if close else "")
    return f"expects {_either(known)}, found {shown(value)}"


def _either(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]


_EMPTY_LIST = "the list is empty: write at least one item, or leave the key out"
_PARTS: Final[tuple[Place, ...]] = (
    (), ("select",), ("run",), ("guards",), ("approval",), ("retry",), ("breaker",), ("retry", "failed_files"),
    ("run", "batch"), ("run", "rate"), ("breaker", "stop_at"),
)  # fmt: skip
_MOST_ERRORS = 100
_SYNONYMS: Final = {
    "source": "from", "where": "rules", "filters": "rules", "sort": "order_by", "order": "order_by", "type": "workflow",
    "timeout": "job_timeout", "parallel": "concurrency", "threads": "concurrency", "retries": "retry", "title": "name",
}  # fmt: skip


def _unknown_key(where: Place) -> str:
    parent, key = where[:-1], str(where[-1])
    elsewhere = _elsewhere(parent, key)
    return f"unknown key {shown(key)}: {elsewhere or advice(key, _keys_at(parent), _SYNONYMS)}"


def _elsewhere(parent: Place, key: str) -> str | None:
    close = nearest(key, _keys_at(parent), _SYNONYMS)
    if close and (key in _SYNONYMS or close.startswith(key) or key.startswith(close)):
        return None
    for part in _PARTS:
        if part != parent and key in _keys_at(part):
            return f"it belongs {'under `' + '.'.join(map(str, part)) + '`' if part else 'at the top'}"
    return None


def _meant(where: Place) -> Iterator[Place]:
    close = nearest(str(where[-1]), _keys_at(where[:-1]), _SYNONYMS)
    if close and not _elsewhere(where[:-1], str(where[-1])):
        yield (*where[:-1], close)


def _described(where: Place) -> str:
    model = _model_at(where[:-1])
    for name, field in model.model_fields.items() if model else ():
        if where[-1] in (name, field.alias):
            description = field.description or ""
            return description[:1].lower() + description[1:].rstrip(".")
    return "write it"


def _keys_at(where: Place) -> list[str]:
    model = _model_at(where)
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


def _model_at(where: Place) -> type[BaseModel] | None:
    model: type[BaseModel] | None = Policy
    for part in where:
        if isinstance(part, int) or model is None:
            continue
        model = next(
            (
                _model_in(field.annotation)
                for name, field in model.model_fields.items()
                if part == (field.alias or name)
            ),
            None,
        )
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
