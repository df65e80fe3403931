"""The bulk selection and the pure matcher agree on every policy and file, unknown attributes and hard names included.

`SELECTION_EXAMPLES` policies are tried, each over 60 files.
"""

import os
from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from activities.columns import to_table
from activities.hub.namespace import FileRecord
from activities.predicates import EXCLUDED, KEPT, SELECTED, STAYS, UNKNOWN, judged, rule_names
from workflows.conditions import AllOf, AnyOf, Compare, Condition, Glob, Member, Named, Not
from workflows.globs import glob_parts
from workflows.matching import Decision, FileFacts, Verdict, decide
from workflows.names import to_text
from workflows.selecting import Rule, Select, Source

EXAMPLES = int(os.environ.get("SELECTION_EXAMPLES", "250"))
FILES = 60
NOW = 1_700_000_000_000_000
DAY = 86_400_000_000
VERDICTS = {
    SELECTED: Verdict.SELECTED,
    KEPT: Verdict.KEPT,
    STAYS: Verdict.STAYS,
    EXCLUDED: Verdict.EXCLUDED,
    UNKNOWN: Verdict.UNKNOWN,
}

LETTERS = "ab.X\n\r\t '\"*?[]-!\\^$|(){}+%_~é日\udcff\udc80\U0010fffe\u2028\x01\x7f🎬"
NAMES = st.one_of(
    st.sampled_from(["a.mov", "b.MOV", "a.tar.gz", ".hidden", "x.", "..x", "A\n.mov", "\udcff.mxf", "İ.MXF", "[a]"]),
    st.text(LETTERS, min_size=1, max_size=6),
)
FOLDERS = st.sampled_from(["/", "/a/", "/a/b/", "/a/.snapshots/", "/legal/\n/", "/legal/\udcfe/x/", "/a/b/c/d/"])
PATHS = st.builds(lambda folder, name: folder + name.replace("/", "_"), FOLDERS, NAMES)
SIZES = st.sampled_from([0, 1, 2, 1024, 2**40, 2**62])
TIMES = st.sampled_from([0, NOW - 90 * DAY, NOW - 90 * DAY - 1, NOW - 90 * DAY + 1, NOW - DAY, NOW, NOW + DAY])
WORDS = st.sampled_from(["alice", "bob", "it's", "a\nb", "ü", "", "a/b", "x~y"])
KEYS = st.sampled_from(["project", "a.b", "a/b", "x~y", 'q"k', "ü", "$", "*"])
METADATA = st.dictionaries(st.one_of(KEYS, st.text(LETTERS, max_size=3)), st.text(LETTERS, max_size=3), max_size=4)

RECORDS = st.builds(
    FileRecord,
    PATHS,
    st.just("file"),
    st.none() | SIZES,
    st.none() | SIZES,
    st.none() | TIMES,
    st.none() | TIMES,
    st.none() | TIMES,
    st.sampled_from([None, "resident", "premigrated", "migrated"]),
    st.none() | WORDS,
    st.none() | WORDS,
    st.none() | METADATA | st.dictionaries(KEYS, WORDS, max_size=3),
)

GLOBS = st.sampled_from(
    ["*.mov", "*", "?", "**/.snapshots/**", "/legal/**", "/a/*", "/a/**", "/a/**/x", "**", "**/*.m?v", "/*/*"]
)  # fmt: skip
PARTS = st.sampled_from(["*", "**", "**/", "?", "[ab]", "[!a]", "[!-]", "[]]", "[a-z]", "[+-9]", "[^$]", "/", "a", "é"])
ODD_GLOBS = st.lists(PARTS | st.sampled_from(list(to_text(LETTERS).replace("*", "").replace("[", ""))), min_size=1).map(
    "".join
)


def valid_glob(pattern: str) -> bool:
    try:
        return bool(glob_parts(pattern))
    except ValueError:
        return False


PATTERNS = st.one_of(GLOBS, ODD_GLOBS.filter(valid_glob))
OPERATORS = st.sampled_from(["<", "<=", ">", ">=", "="])
LEAVES: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Compare, st.sampled_from(["size", "disk_usage"]), OPERATORS, SIZES),
    st.builds(Compare, st.sampled_from(["accessed", "modified", "changed"]), OPERATORS, TIMES.map(lambda us: NOW - us)),
    st.builds(
        Member,
        st.just("type"),
        st.lists(st.sampled_from(["mov", "mxf", "gz", "", "İmxf", "m\nv"]), min_size=1).map(tuple),
    ),
    st.builds(Member, st.just("status"), st.lists(st.sampled_from(["resident", "migrated"]), min_size=1).map(tuple)),
    st.builds(Member, st.sampled_from(["owner", "group"]), st.lists(WORDS, min_size=1, max_size=3).map(tuple)),
    st.builds(Member, KEYS.map(lambda key: f"metadata.{key}"), st.lists(WORDS, min_size=1, max_size=3).map(tuple)),
    st.builds(Glob, st.sampled_from(["path", "name"]), st.lists(PATTERNS, min_size=1, max_size=3).map(tuple)),
)


def conditions(*classes: str) -> st.SearchStrategy[Condition]:
    leaves = LEAVES | st.sampled_from([Named(name) for name in classes]) if classes else LEAVES
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(AllOf, st.lists(inner, min_size=1, max_size=3).map(tuple)),
            st.builds(AnyOf, st.lists(inner, min_size=1, max_size=3).map(tuple)),
            st.builds(Not, inner),
        ),
        max_leaves=5,
    )


@st.composite
def selects(draw: st.DrawFn) -> Select:
    classes = {"one": draw(conditions()), "two": draw(conditions("one"))}
    condition = conditions("one", "two")
    rules = tuple(
        Rule.model_construct(name=f"rule-{index}", match=draw(condition), keep=draw(st.booleans()))
        for index in range(draw(st.integers(0, 4)))
    )
    return Select.model_construct(
        source=Source(path="/"), classes=classes, exclude=tuple(draw(st.lists(condition, max_size=2))), rules=rules
    )


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:", config={"threads": 1}) as database:
        yield database


def facts(record: FileRecord) -> FileFacts:
    return FileFacts(
        path=to_text(record.path),
        size=record.size,
        disk_usage=record.disk_usage,
        accessed=record.atime,
        modified=record.mtime,
        changed=record.ctime,
        status=record.status,
        owner=record.owner,
        group=record.group,
        metadata={to_text(key): to_text(value) for key, value in record.metadata.items()} if record.metadata else None,
    )


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # the message says which file: shrinking takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.large_base_example],
)
@given(select=selects(), records=st.lists(RECORDS, min_size=FILES, max_size=FILES))
def test_bulk_selection_and_matcher_decide_alike(
    database: duckdb.DuckDBPyConnection, select: Select, records: list[FileRecord]
) -> None:
    database.register("files", to_table(records))
    found = database.sql(f"SELECT verdict, rule FROM ({judged(select, NOW, 'files')})").fetchall()
    names = rule_names(select)
    for record, (verdict, rule) in zip(records, found, strict=True):
        bulk = Decision(VERDICTS[verdict], names[rule] if verdict in (SELECTED, KEPT) else None)
        assert bulk == decide(select, facts(record), NOW), (record, select.model_dump(mode="json"))
