"""The JSON Schema of policies: fresh, explained, and of one mind with `check` on what one place allows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from orchestrator.catalog import PolicyError, load_policy
from orchestrator.documents import read_document
from orchestrator.policy_schema import policy_schema, policy_schema_text
from tests.unit.documentation import EXAMPLES, Example
from workflows.conditions import ATTRIBUTES

ROOT = Path(__file__).resolve().parent.parent.parent
POLICIES = sorted((ROOT / "policies").glob("*.yaml"))
LINTED = sorted((ROOT / "tests" / "golden" / "lint").rglob("*.yaml"))
HOSTILE = sorted((ROOT / "tests" / "golden" / "documents").glob("*.yaml"))
SCHEMA = policy_schema()
VALIDATOR = Draft7Validator(SCHEMA)

# What no schema sees: things that must fit between places, and texts whose grammar is more than a pattern.
BETWEEN = (
    "after-itself", "class-", "concurrency-bounds-turned", "cron-",
    "discovery-", "glob-", "manifest-with-paths", "misspelt-class", "path-", "zone-",
    "rules-all-keep", "schedule-", "sites-twice", "slo-", "source-via", "stages-", "test-", "tests-", "threshold-",
    "trigger-twice", "windows-", "control-character", "duplicate-rule", "duration-of-nothing", "duration-of-ages",
    "percent-", "size-beyond",
)  # fmt: skip


def errors(data: Any) -> list[str]:
    return [f"{'/'.join(map(str, one.absolute_path))}: {one.message}" for one in VALIDATOR.iter_errors(data)]


def read(file: Path) -> Any:
    try:
        return read_document(file.read_bytes(), file.name).data
    except PolicyError:
        return None


def test_the_committed_schema_is_fresh() -> None:
    """`orchestrator schema > policies/policy.schema.json` writes it."""
    assert (ROOT / "policies" / "policy.schema.json").read_text(encoding="utf-8") == policy_schema_text()


def test_the_schema_is_a_schema() -> None:
    Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("file", [*POLICIES, *LINTED], ids=lambda file: file.stem)
def test_a_valid_policy_is_valid_by_the_schema(file: Path) -> None:
    load_policy(file)
    assert errors(read(file)) == []


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_example_of_the_documentation_is_valid_by_the_schema(example: Example) -> None:
    assert errors(read_document(example.whole.encode(), str(example)).data) == []


@pytest.mark.parametrize("file", [file for file in HOSTILE if read(file) is not None], ids=lambda file: file.stem)
def test_a_mistaken_document_is_refused_by_the_schema_unless_it_takes_a_wider_look(file: Path) -> None:
    assert errors(read(file)) or file.stem.startswith(BETWEEN)


def test_most_mistaken_documents_are_refused_by_the_schema() -> None:
    found = [bool(errors(data)) for file in HOSTILE if (data := read(file)) is not None]
    assert len(found) > 100 and sum(found) > len(found) / 2


def test_every_key_is_explained() -> None:
    assert [where for where, part in properties(SCHEMA, "") if not part.get("description")] == []


def test_every_default_is_what_the_key_accepts() -> None:
    for where, part in properties(SCHEMA, ""):
        if "default" in part:
            part = {**part, "definitions": SCHEMA["definitions"]}
            assert list(Draft7Validator(part).iter_errors(part["default"])) == [], where


def test_every_condition_is_known() -> None:
    keys = SCHEMA["definitions"]["Condition"]["anyOf"][1]["properties"]
    assert set(keys) == {*ATTRIBUTES, "all", "any", "not"}


def test_an_unknown_key_is_refused_at_every_level() -> None:
    open_ones = [where for where, part in objects(SCHEMA, "") if part.get("additionalProperties") is not False]
    assert [where for where in open_ones if not part_of_names(where)] == []


def part_of_names(where: str) -> bool:
    """Mappings whose keys are the writer's own names."""
    return where.endswith(("/labels", "/classes", "/fields", "/metadata", "/where"))


def properties(part: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(part, dict):
        for key, value in part.get("properties", {}).items() if isinstance(part.get("properties"), dict) else ():
            yield f"{where}/{key}", value
    yield from (found for key, value in _inside(part) for found in properties(value, f"{where}/{key}"))


def objects(part: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(part, dict) and part.get("type") == "object":
        yield where, part
    yield from (found for key, value in _inside(part) for found in objects(value, f"{where}/{key}"))


def _inside(part: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(part, dict):
        yield from ((key, value) for key, value in part.items() if key not in ("default", "examples", "enum"))
    elif isinstance(part, list):
        yield from ((str(index), value) for index, value in enumerate(part))
