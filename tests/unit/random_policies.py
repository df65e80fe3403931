"""Random policies and files, hard names and unknown attributes included, for properties of the language."""

from random import Random
from typing import Any

from hypothesis import strategies as st

from activities.hub.namespace import FileRecord
from workflows.conditions import AllOf, AnyOf, Compare, Condition, Glob, Member, Named, Not
from workflows.globs import glob_parts
from workflows.matching import FileFacts
from workflows.names import to_text
from workflows.selecting import Rule, Select, Source

NOW = 1_700_000_000_000_000
DAY = 86_400_000_000
LETTERS = "ab.X\n\r\t '\"*?[]-!\\^$|(){}+%_~é日\udcff\udc80\U0010fffe\u2028\x01\x7f🎬"
NAMES = ["a.mov", "b.MOV", "a.tar.gz", ".hidden", "x.", "..x", "A\n.mov", "\udcff.mxf", "İ.MXF", "[a]"]
FOLDERS = ["/", "/a/", "/a/b/", "/a/.snapshots/", "/legal/\n/", "/legal/\udcfe/x/", "/a/b/c/d/"]
SIZES = [0, 1, 2, 1024, 2**40, 2**62]
TIMES = [0, NOW - 90 * DAY, NOW - 90 * DAY - 1, NOW - 90 * DAY + 1, NOW - DAY, NOW, NOW + DAY]
STATUSES = ["resident", "premigrated", "migrated"]
WORDS = ["alice", "bob", "it's", "a\nb", "ü", "", "a/b", "x~y"]
KEYS = ["project", "a.b", "a/b", "x~y", 'q"k', "ü", "$", "*"]


def made_up(chance: Random) -> FileRecord:
    """Make a file up; plain randomness is ten times as fast here as drawing, and the message shows the file."""

    def known(values: list[Any]) -> Any:
        return chance.choice([None, *values])

    def odd(longest: int) -> str:
        return "".join(chance.choices(LETTERS, k=chance.randint(0, longest)))

    name = chance.choice(NAMES) if chance.random() < 0.5 else odd(6).replace("/", "_") or "x"
    metadata = {
        **{chance.choice(KEYS): chance.choice(WORDS) for _ in range(chance.randint(0, 3))},
        **{odd(3): odd(3) for _ in range(chance.randint(0, 2))},
    }
    return FileRecord(
        chance.choice(FOLDERS) + name,
        "file",
        known(SIZES),
        known(SIZES),
        known(TIMES),
        known(TIMES),
        known(TIMES),
        known(STATUSES),
        known(WORDS),
        known(WORDS),
        known([metadata, metadata]),
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
AGES = st.sampled_from(TIMES).map(lambda us: NOW - us)
TYPES = st.sampled_from(["mov", "mxf", "gz", "", "İmxf", "m\nv"])


def some(values: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(values, min_size=1, max_size=3).map(tuple)


LEAVES: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Compare, st.sampled_from(["size", "disk_usage"]), OPERATORS, st.sampled_from(SIZES)),
    st.builds(Compare, st.sampled_from(["accessed", "modified", "changed"]), OPERATORS, AGES),
    st.builds(Member, st.just("type"), some(TYPES)),
    st.builds(Member, st.just("status"), some(st.sampled_from(STATUSES))),
    st.builds(Member, st.sampled_from(["owner", "group"]), some(st.sampled_from(WORDS))),
    st.builds(Member, st.sampled_from(KEYS).map("metadata.{}".format), some(st.sampled_from(WORDS))),
    st.builds(Glob, st.sampled_from(["path", "name"]), some(PATTERNS)),
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
