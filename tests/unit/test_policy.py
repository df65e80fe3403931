"""Policies and their parts: what is written is read, and what was read can be written again."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.catalog import load_catalog, load_policy
from workflows import units
from workflows.conditions import Condition, condition_form, parse_condition
from workflows.policy import Policy, Recheck
from workflows.unready import unready

POLICIES = Path(__file__).resolve().parent.parent.parent / "policies"
LEAST = {
    "version": 1, "name": "a", "site": "s", "select": {"from": {"space": "p"}}, "run": {"workflow": "migrate"},
}  # fmt: skip


def policy(**parts: Any) -> Policy:
    return Policy.model_validate({**LEAST, **parts}, extra="forbid", by_alias=True, by_name=False)


durations = st.integers(1, 36_500 * 86_400).map(lambda seconds: timedelta(seconds=seconds))
sizes = st.integers(1, 2**63 - 1) | st.integers(1, 8000).map(lambda number: number * 2**50)
names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
words = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    lambda text: text.strip() != ""
)
leaves = (
    st.builds(
        lambda key, sign, size: {key: f"{sign} {units.size_text(size)}"},
        st.sampled_from(["size", "disk_usage"]), st.sampled_from(["<", "<=", ">", ">=", "="]), sizes,
    )
    | st.builds(
        lambda key, sign, age: {key: f"{sign} {units.duration_text(age)}"},
        st.sampled_from(["accessed", "modified", "changed"]), st.sampled_from(["<", "<=", ">", ">="]), durations,
    )
    | st.builds(
        lambda key, values: {key: values},
        st.sampled_from(["owner", "group", "metadata.show"]), words | st.lists(words, min_size=1, max_size=3),
    )
    | st.sampled_from([{"type": ["mov", "MXF"]}, {"name": "*.mov"}, {"path": ["/a/**", "**/b"]}])
    | st.just({"status": "migrated"})
)  # fmt: skip
forms = st.recursive(
    leaves,
    lambda inner: (
        st.builds(lambda key, of: {key: of}, st.sampled_from(["all", "any"]), st.lists(inner, min_size=1, max_size=3))
        | inner.map(lambda of: {"not": of})
        | st.builds(lambda left, right: {**left, **right}, inner, inner)
    ),
    max_leaves=8,
)


@given(durations)
def test_a_duration_is_read_as_it_was_written(duration: timedelta) -> None:
    assert units.parse_duration(units.duration_text(duration)) == duration


@given(sizes)
def test_a_size_is_read_as_it_was_written(size: int) -> None:
    assert units.parse_size(units.size_text(size)) == size


@given(st.integers(1, 1_000_000).map(lambda number: number / 10_000))
def test_a_percentage_is_read_as_it_was_written(percent: float) -> None:
    assert units.parse_percent(units.percent_text(percent)) == percent


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1_000GiB", 1000 * 2**30), ("50TB", 50 * 10**12), ("0", 0), ("512B", 512), ("8191PiB", 8191 * 2**50)],
)
def test_a_size_counts_bytes(text: str, expected: int) -> None:
    assert units.parse_size(text) == expected


@given(forms)
def test_a_condition_is_read_as_it_was_written(form: Any) -> None:
    condition = parse_condition(form)
    again: Condition = parse_condition(json.loads(json.dumps(condition_form(condition))))
    assert again == condition
    assert condition_form(again) == condition_form(condition)


policies = st.builds(
    lambda name, classes, exclude, match, deadline, size, percent, order, wait, recheck, stall: {
        **LEAST,
        "name": name,
        "select": {
            "from": {"space": "p"}, "classes": dict(enumerate_names(classes)), "exclude": exclude, "order_by": order,
            "rules": [{"name": "r", "match": match}], "limit": {"bytes": units.size_text(size)},
        },
        "guards": {"max_percent_of_scope": units.percent_text(percent)},
        "run": {
            "workflow": "migrate", "deadline": units.duration_text(deadline), "recheck": recheck, "stall_after": stall,
        },
        "retry": {"failed_files": {"attempts": 2, "wait": [units.duration_text(wait)]}},
    },
    names, st.lists(forms, max_size=3), st.lists(forms, max_size=2), forms, durations, sizes,
    st.integers(1, 100).map(float), st.lists(st.sampled_from(["size", "-size", "accessed", "path"]), max_size=2),
    durations, st.sampled_from(["none", {"compare": ["size"]}]), st.sampled_from(["none", "30m"]),
)  # fmt: skip


def enumerate_names(classes: list[Any]) -> list[tuple[str, Any]]:
    return [(f"c{index}", form) for index, form in enumerate(classes)]


@given(policies)
@settings(deadline=None)
def test_a_policy_survives_its_canonical_text_and_keeps_its_digest(form: dict[str, Any]) -> None:
    first = policy(**form)
    for text in (first.canonical(), first.model_dump_json(by_alias=True), first.model_dump_json()):
        again = Policy.model_validate_json(text)
        assert again == first
        assert again.digest == first.digest
    strict = load_policy(first.canonical().replace('"classes":{},', "").replace('"exclude":[],', "")
                         .replace('"order_by":[],', "").replace('"paths":[],', "").replace('"tests":[],', "")
                         .replace(',"tests":[]', "").encode())  # fmt: skip
    assert strict.digest == first.digest


def test_the_digest_does_not_depend_on_how_a_value_was_written() -> None:
    one = policy(run={"workflow": "migrate", "deadline": "24h", "batch": {"bytes": "1024GiB"}})
    two = policy(run={"batch": {"bytes": "1TiB"}, "workflow": "migrate", "deadline": "1d", "concurrency": 4})
    other = policy(run={"workflow": "migrate", "deadline": "25h"})
    assert one.digest == two.digest != other.digest


def test_a_policy_of_a_later_version_can_be_read_inside_but_not_at_the_door() -> None:
    later = {**LEAST, "colour": "blue", "run": {"workflow": "migrate", "speed": 3}}
    assert Policy.model_validate(later).name == "a"
    with pytest.raises(ValueError, match="Extra inputs"):
        policy(**later)


def test_the_defaults_are_safe() -> None:
    run, retry = policy().run, policy().retry
    assert (run.batch.files, run.batch.bytes, run.concurrency, run.queue) == (1000, 2**40, 4, "default")
    assert (run.job_timeout, run.stall_after, run.deadline) == (timedelta(hours=6), timedelta(minutes=30), None)
    assert run.recheck == Recheck() and run.recheck.compare == ("size", "modified")
    assert (retry.failed_files.attempts, retry.failed_files.wait) == (3, (timedelta(minutes=1), timedelta(minutes=5)))
    assert retry.permanent == ("no_such_file", "permission_denied")
    assert policy().select.on_unknown == "skip" and policy().guards.on_exceed == "refuse"


def test_a_source_by_path_is_browsed_unless_it_says_otherwise() -> None:
    select = policy(select={"from": {"path": "/mmfs1/a/"}}).select
    assert (select.source.path, select.source.via, select.folders) == ("/mmfs1/a", "browse", ("/mmfs1/a",))


def test_every_word_of_the_language_is_run() -> None:
    words = {"notify": [{"on": ["failed"], "to": "ops"}], "slo": {"last_success": {"warn": "24h"}}}
    assert unready(policy(**words)) == ()


def described(schema: dict[str, Any], field: dict[str, Any]) -> bool:
    """A description that equals the one of the part it refers to is written there alone."""
    part = field.get("$ref", "").rsplit("/", 1)[-1]
    return bool(field.get("description") or schema["$defs"].get(part, {}).get("description"))


def test_every_key_of_the_language_has_a_description_for_its_schema() -> None:
    schema = Policy.model_json_schema(by_alias=True)
    parts = [("Policy", schema), *schema["$defs"].items()]
    fields = [(f"{name}.{key}", field) for name, part in parts for key, field in part.get("properties", {}).items()]
    assert len(fields) > 50
    assert [name for name, field in fields if not described(schema, field)] == []


def test_the_catalog_of_the_project_is_whole() -> None:
    catalog = {name: loaded.policy for name, loaded in load_catalog(POLICIES).items()}
    assert {"archive-cold-media", "premigrate-cold-media", "recall-by-list", "archive-finished-projects"} <= set(
        catalog
    )
    assert catalog["archive-cold-media"].run.workflow == "migrate"


def test_a_policy_narrowed_to_a_site_has_a_digest_of_its_own() -> None:
    text = b"version: 1\nname: a\nsites: [london, paris]\nselect: {from: {space: p}}\nrun: {workflow: migrate}\n"
    whole = load_policy(text)
    digests = {whole.digest, whole.at("london").digest, whole.at("paris").digest}
    assert len(digests) == 3
    assert whole.at("paris").digest == load_policy(text.replace(b"sites: [london, paris]", b"site: paris")).digest
