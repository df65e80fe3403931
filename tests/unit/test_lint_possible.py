"""What lint calls impossible never happens: its proofs, held against the matcher over random conditions and files."""

import time
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from orchestrator.linting.paths import name_globs, path_globs, some_path
from orchestrator.linting.possible import Possible, Truth
from tests.unit.random_policies import NOW, PATTERNS, conditions, facts, made_up
from workflows.conditions import Condition, parse_condition
from workflows.globs import glob_matches
from workflows.matching import truth
from workflows.names import name_of, to_text

FILES = 100
RANDOM = settings(
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
)


@settings(RANDOM, max_examples=150)
@given(one=conditions(), two=conditions("one"), three=conditions("one", "two"), seed=st.integers(0, 2**32))
def test_what_is_so_of_a_file_is_possible(one: Condition, two: Condition, three: Condition, seed: int) -> None:
    classes = {"one": one, "two": two}
    possible = Possible(classes)
    chance = Random(seed)
    for _ in range(FILES):
        file = facts(made_up(chance))
        if file.path.endswith("/"):
            continue
        asked = []
        for condition in (two, three):
            found = truth(condition, file, NOW, classes)
            asked.append(
                (
                    condition,
                    Truth.TRUE if found else chance.choice([Truth.NOT_TRUE, Truth.FALSE][: 2 if found is False else 1]),
                )
            )
            if found is not False:
                asked.append((condition, Truth.NOT_FALSE))
        assert possible.file_with(*asked), (file, asked)


@settings(RANDOM, max_examples=300)
@given(
    patterns=st.lists(PATTERNS, min_size=1, max_size=4),
    names=st.lists(PATTERNS, max_size=2),
    seed=st.integers(0, 2**32),
)
def test_a_path_that_fits_globs_is_possible(patterns: list[str], names: list[str], seed: int) -> None:
    chance = Random(seed)
    for _ in range(FILES):
        path = to_text(made_up(chance).path)
        tests = [(path_globs([pattern]), glob_matches(pattern, path)) for pattern in patterns]
        tests += [(name_globs([pattern]), glob_matches(pattern, name_of(path))) for pattern in names]
        assert path.endswith("/") or some_path(tests), (path, tests)


COLD, WARM = {"accessed": "> 90d"}, {"accessed": "< 30d"}
IMPOSSIBLE = {
    "an age above and below": {"all": [COLD, WARM]},
    "the same, side by side with more": {
        "all": [COLD, {"type": "mov"}, {"any": [WARM, {"all": [WARM, {"size": "> 1GiB"}]}]}]
    },
    "touching bounds": {"all": [{"size": "> 10B"}, {"size": "< 11B"}]},
    "a bound and its contrary": {"all": [COLD, {"not": {"accessed": "> 60d"}}]},
    "two exact sizes": {"all": [{"size": "= 1B"}, {"size": "= 2B"}]},
    "less than nothing": {"size": "< 0"},
    "two types": {"all": [{"type": "mov"}, {"type": ["mxf", "dpx"]}]},
    "a type and another ending": {"all": [{"type": "mov"}, {"name": "*.mxf"}]},
    "a type that the name refuses": {"all": [{"type": "mov"}, {"not": {"name": "*.[mM][oO][vV]"}}]},
    "no type, and an ending": {"all": [{"type": ""}, {"name": "a*.mov"}]},
    "two owners": {"all": [{"owner": "ann"}, {"owner": "bob"}]},
    "two values of metadata": {"all": [{"metadata.x": "a"}, {"metadata.x": ["b", "c"]}]},
    "every status but the three": {"not": {"status": ["resident", "premigrated", "migrated"]}},
    "two folders": {"all": [{"path": "/a/**"}, {"path": "/b/**"}]},
    "inside and not inside": {"all": [{"path": "/a/b/**"}, {"not": {"path": "/a/**"}}]},
    "an end with a slash": {"path": "/a/"},
    "a relative glob": {"path": "*.mov"},
    "unknown of both kinds": {"all": [{"not": COLD}, COLD]},
    "classes": {"all": ["cold", "warm"]},
    "a class and its contrary": {"all": ["cold", {"not": {"any": ["cold", {"type": "mov"}]}}]},
}  # fmt: skip


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_contradiction_is_seen(name: str) -> None:
    classes = {"cold": parse_condition(COLD), "warm": parse_condition(WARM)}
    assert not Possible(classes).file_with((parse_condition(IMPOSSIBLE[name]), Truth.TRUE))


@pytest.mark.parametrize(
    "form",
    [
        {"all": [{"accessed": "> 90d"}, {"modified": "< 30d"}]},
        {"all": [{"size": ">= 10B"}, {"size": "<= 10B"}]},
        {"all": [{"type": "mov"}, {"name": "a*"}, {"path": "/x/**"}]},
        {"all": [{"path": "**/.snapshots/**"}, {"not": {"path": "/a/**"}}]},
        {"all": [{"type": ""}, {"name": "x."}]},
        {"all": [{"owner": "ann"}, {"group": "bob"}]},
    ],
)
def test_what_is_possible_is_not_called_a_contradiction(form: object) -> None:
    assert Possible({}).file_with((parse_condition(form), Truth.TRUE))


def test_unknown_is_a_way_not_to_be_true() -> None:
    cold = parse_condition(COLD)
    either = parse_condition({"any": [COLD, {"not": COLD}]})
    assert not Possible({}).file_with((either, Truth.FALSE))
    assert Possible({}).file_with((either, Truth.NOT_TRUE))
    assert Possible({}).file_with((cold, Truth.NOT_TRUE), (cold, Truth.NOT_FALSE))


def test_folders_bound_what_is_possible() -> None:
    outside = parse_condition({"path": "/mmfs1/home/**"})
    inside = Possible({}, ("/mmfs1/projects",))
    assert not inside.file_with((outside, Truth.TRUE))
    assert inside.file_with((outside, Truth.NOT_TRUE))


def test_where_nothing_but_paths_is_known_nothing_else_holds() -> None:
    listed = Possible({}, nothing_but_paths=True)
    assert not listed.file_with((parse_condition({"size": "> 1B"}), Truth.TRUE))
    assert listed.file_with((parse_condition({"type": "mov"}), Truth.TRUE))


def test_a_proof_that_would_take_too_long_is_given_up() -> None:
    # Ten pigeons in nine holes: true that it cannot be, and known to take a search for ever.
    pigeons = [{"any": [{f"metadata.{one}in{hole}": "yes"} for hole in range(9)]} for one in range(10)]
    alone = [
        {"not": {"all": [{f"metadata.{one}in{hole}": "yes"}, {f"metadata.{two}in{hole}": "yes"}]}}
        for hole in range(9) for one in range(10) for two in range(one)
    ]  # fmt: skip
    begun = time.perf_counter()
    assert Possible({}).file_with((parse_condition({"all": [*pigeons, *alone]}), Truth.TRUE))
    assert time.perf_counter() - begun < 2
