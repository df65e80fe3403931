"""Whatever the Hub says in whatever field, an import gives files that are read back as they were meant."""

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orchestrator.catalog import load_policy
from orchestrator.documents import read_document
from orchestrator.importing.hub import HubWords, import_hub
from orchestrator.importing.yaml_text import Fields, Note, Unwritable, scalar, yaml_text
from workflows.names import to_text

HOSTILE = [
    "a\nenabled: true", "x # y", "k: v", "- a", "!!python/object:os.system", "&a", "*a", "{", "[", "|", ">",
    "%YAML 1.2", "---", "...", "null", "~", "yes", "true", "0x10", "1_000", "1.5", "12", "'", '"', "\\", "\\n", "\t",
    "\0", "\x7f", "\u0085", "\u2028", "\ufeff", "\u202e", "\ud800", "\udcff", "\U0010ffff", "\U0010fbff\U0010fc00",
    "🎬", "é", "",
    " ", " a", "a ", "?", "@", "`", "<<", "a" * 1500, "/mmfs1/a\r\nb", "=", "-", "-size", "90%",
]  # fmt: skip
texts = (
    st.sampled_from(HOSTILE) | st.text(max_size=20) | st.text(st.characters(categories=("Cs", "Cc", "Cf")), max_size=5)
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)


def odd(likely: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return likely | anything


def record(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    known = st.fixed_dictionaries({}, optional={name: odd(value) for name, value in fields.items()})
    return st.builds(
        lambda known, extra: extra | known, known, st.just({}) | st.dictionaries(texts, anything, max_size=2)
    )


ids = st.integers(1, 3)
groups = record(
    id=ids,
    name=texts,
    policy=ids,
    date_conditions=st.lists(
        record(
            age=st.sampled_from(["90 00:00:00", "7 days"]),
            date_field=st.sampled_from(["atime", "mtime"]),
            older_or_newer=st.sampled_from(["older", "newer"]),
            include=st.booleans(),
        ),
        max_size=2,
    ),
    filesize_conditions=st.lists(
        record(size=st.integers(0, 2**70), greater_or_less=st.sampled_from(["greater", "less"]), include=st.booleans()),
        max_size=2,
    ),
    filetype_conditions=st.lists(record(filetypes=st.lists(texts, max_size=3), include=st.booleans()), max_size=2),
)
crons = {name: st.sampled_from(["*", "0", "1,15", "*/5", "7"]) for name in (
    "minute", "hour", "day_of_week", "day_of_month", "month_of_year"
)}  # fmt: skip
policies = record(
    id=ids,
    name=texts,
    enabled=st.booleans(),
    policy_type=st.just("migration"),
    filesystem=texts,
    site=ids,
    spaces=st.lists(ids, max_size=3),
    threads=ids,
    order=record(by=st.sampled_from(["atime", "size"]), reverse=st.booleans()),
    triggers=st.lists(
        record(pool_name=texts, upper_threshold=st.integers(0, 101), lower_threshold=st.integers(0, 101),
               premigrate_threshold=st.integers(0, 101), max_utilisation=st.integers(0, 101), is_cloud=st.booleans()),
        max_size=3,
    ),
    schedule=record(
        timezone=st.sampled_from(["UTC", "Europe/London"]), time=st.sampled_from(["00:00", "15:00"]),
        first_occur=st.booleans(), start_date_time=st.sampled_from(["2026-05-01T10:00:00Z", "soon"]), **crons
    ),
    condition_groups=st.lists(groups, max_size=2),
)  # fmt: skip
schedules = record(
    id=ids,
    name=texts,
    site=texts,
    space=texts,
    discovery=texts,
    managed_paths=st.lists(texts.map(lambda text: f"/mmfs1/{text}"), max_size=3),
    **crons,
)
steps = record(workflow=texts, queue=texts, site=texts, fields=st.dictionaries(texts, anything, max_size=3))
SITES = [{"id": 1, "name": "london"}, {"id": 2, "name": "b\nenabled: true # \u2028"}, {"id": 3, "name": "ü: - x"}]
SPACES = [
    {"id": 1, "name": "projects", "mountpoint": "/mmfs1/projects"},
    {"id": 2, "name": "a: #b", "mountpoint": "/mmfs1/x\ny"},
    {"id": 3, "name": "\ud800"},
]


def plain(value: Any) -> Any:
    """What the text of a document must say, without its comments."""
    if isinstance(value, Fields):
        return {key: plain(inner) for key, inner in value.pairs}
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(one) for one in value if not isinstance(one, Note)] if isinstance(value, list | tuple) else value


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(policies | anything, max_size=2),
    st.lists(st.tuples(schedules | anything, st.lists(steps | anything, max_size=2))),
)
def test_any_words_of_the_hub_become_files_that_are_read_back_with_the_same_values(
    found: list[Any], planned: list[Any]
) -> None:
    imported = import_hub(HubWords(SITES, SPACES, found, planned, [*found, *(one for one, _ in planned)]))
    assert len(imported.files) == len(found) + sum(max(1, len(steps)) for _, steps in planned)
    for file in imported.files:
        assert file.text is not None, file.why_not
        read, origin = read_document(file.text.encode(), "x").data, file.imported
        policy = load_policy(file.text.encode())
        key = origin.kind.replace(" ", "_")
        assert {name: read[name] for name in read if name not in ("version", "name", "labels", "enabled")} == plain(
            origin.body
        )
        assert policy.labels == {key: origin.number, f"{key}_name": origin.title}
        assert (policy.name, policy.enabled) == (file.name, False)
    assert len({file.name for file in imported.files}) == len(imported.files)


@settings(max_examples=150, deadline=None)
@given(texts, texts, anything)
@example("a\nb", "c", {"k": [1, {"x": "y"}]})
def test_a_value_or_a_comment_cannot_leave_its_place(key: str, note: str, value: Any) -> None:
    fields = Fields().note(Note(note)).add("before", 1)
    try:
        fields.add("values", [{key: value}]).note(Note(note)).add("after", 2)
        text = yaml_text(fields)
    except Unwritable:
        return
    read = read_document(text.encode(), "x").data
    assert read == {"before": 1, "values": [{key: value}], "after": 2}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_written_so_that_it_is_read_back(text: str) -> None:
    stored = to_text(text)
    assert read_document(f"key: {scalar(stored)}\n".encode(), "x").data == {"key": stored}


def test_what_the_language_cannot_hold_is_said_not_bent() -> None:
    for value in (None, 2**60, 1e300, 0.1 + 0.2, float("nan"), "\ud800", object()):
        with pytest.raises(Unwritable):
            scalar(value)
