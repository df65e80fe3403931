"""Truth, decisions and explanations."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.conditions import AllOf, AnyOf, Compare, Condition, Glob, Member, Named, Not, parse_condition
from workflows.matching import Decision, FileFacts, Verdict, decide, explain, truth
from workflows.policy import Rule, Select

AS_OF = 1_767_225_600_000_000
DAY = 86_400_000_000
FILE = FileFacts("/mmfs1/projects/a/Shot 1.MOV", size=4096, accessed=AS_OF - 100 * DAY, metadata={"show": "x"})

TRUE, FALSE, UNKNOWN = Compare("size", ">", 0), Compare("size", "<", 0), Compare("changed", ">", 0)
OF_TRUTH: dict[bool | None, Condition] = {True: TRUE, False: FALSE, None: UNKNOWN}
WORTH = {False: 0, None: 1, True: 2}


def holds(condition: Condition, facts: FileFacts = FILE, classes: Mapping[str, Condition] | None = None) -> bool | None:
    return truth(condition, facts, AS_OF, classes or {})


def reads(form: object, facts: FileFacts = FILE) -> bool | None:
    return holds(parse_condition(form), facts)


def select(**parts: Any) -> Select:
    return Select.model_validate({"from": {"space": "p"}, **parts})


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"size": "= 4KiB"}, True),
        ({"size": "> 4KiB"}, False),
        ({"size": ">= 4KiB"}, True),
        ({"size": "<= 4095B"}, False),
        ({"accessed": "> 99d"}, True),
        ({"accessed": "> 100d"}, False),
        ({"accessed": ">= 100d"}, True),
        ({"accessed": "< 101d"}, True),
        ({"modified": "> 1d"}, None),
        ({"type": "mov"}, True),
        ({"type": ["MOV", "mxf"]}, True),
        ({"type": "mxf"}, False),
        ({"name": "Shot*"}, True),
        ({"name": "shot*"}, False),
        ({"path": "/mmfs1/**"}, True),
        ({"path": "/mmfs1/*"}, False),
        ({"status": "resident"}, None),
        ({"owner": "ann"}, None),
        ({"metadata.show": "x"}, True),
        ({"metadata.show": ["y", "z"]}, False),
        ({"metadata.take": "1"}, None),
        ({"size": "> 1KiB", "type": "mov"}, True),
        ({"size": "> 1KiB", "owner": "ann"}, None),
        ({"size": "> 1GiB", "owner": "ann"}, False),
        ({"not": {"owner": "ann"}}, None),
        ({"not": {"type": "mov"}}, False),
    ],
)
def test_a_condition_reads_the_files_own_value(form: object, expected: bool | None) -> None:
    assert reads(form) is expected


def test_a_file_without_an_extension_has_the_empty_type() -> None:
    assert reads({"type": "mov"}, FileFacts("/a/README")) is False
    assert reads({"type": ["", "mov"]}, FileFacts("/a/README")) is True
    assert reads({"type": ""}, FileFacts("/a/.bashrc")) is True


def test_a_newline_in_a_name_evades_no_exclude() -> None:
    assert reads({"path": "/legal/**"}, FileFacts("/legal/a\nb")) is True
    assert reads({"name": "*.tmp"}, FileFacts("/a\n/b\n.tmp")) is True


@pytest.mark.parametrize(("left", "right"), list(product([True, False, None], repeat=2)))
def test_all_is_the_least_and_any_the_greatest_truth(left: bool | None, right: bool | None) -> None:
    pair = (OF_TRUTH[left], OF_TRUTH[right])
    assert holds(AllOf(pair)) is min((left, right), key=WORTH.__getitem__)
    assert holds(AnyOf(pair)) is max((left, right), key=WORTH.__getitem__)


conditions = st.recursive(
    st.sampled_from([TRUE, FALSE, UNKNOWN, Named("t"), Named("u")]),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=4).map(lambda of: AllOf(tuple(of)))
        | st.lists(inner, min_size=1, max_size=4).map(lambda of: AnyOf(tuple(of)))
        | inner.map(Not)
    ),
)
CLASSES: dict[str, Condition] = {"t": TRUE, "u": Not(UNKNOWN)}


@given(conditions, conditions)
def test_de_morgan_holds_with_the_unknown(left: Condition, right: Condition) -> None:
    negated = Not(AllOf((left, right)))
    assert holds(negated, classes=CLASSES) is holds(AnyOf((Not(left), Not(right))), classes=CLASSES)


@given(conditions)
def test_two_contraries_cancel(condition: Condition) -> None:
    assert holds(Not(Not(condition)), classes=CLASSES) is holds(condition, classes=CLASSES)


@given(conditions)
def test_learning_what_was_unknown_never_turns_a_certain_truth(condition: Condition) -> None:
    before = holds(condition, classes=CLASSES)
    for learnt in (AS_OF - DAY, AS_OF + DAY):
        after = holds(condition, FILE._replace(changed=learnt), CLASSES)
        assert after is not None
        assert before in (None, after)


RULES = st.lists(st.tuples(st.sampled_from([True, False, None]), st.booleans()), max_size=5)


@given(RULES, st.lists(st.sampled_from([True, False, None]), max_size=3))
def test_a_decision_is_unknown_exactly_when_the_missing_could_change_it(
    rules: list[tuple[bool | None, bool]], exclude: list[bool | None]
) -> None:
    policy = Select.model_construct(
        source=select().source,
        exclude=tuple(OF_TRUTH[value] for value in exclude),
        rules=tuple(
            Rule(name=f"r{index}", match=OF_TRUTH[value], keep=keep) for index, (value, keep) in enumerate(rules)
        ),
        classes={},
    )
    decision = decide(policy, FILE, AS_OF)
    assert decision == _by_worlds(rules, exclude)
    assert explain(policy, FILE, AS_OF).decision == decision


def _by_worlds(rules: list[tuple[bool | None, bool]], exclude: list[bool | None]) -> Decision:
    """Decide in every world that the unknown leaves open: one verdict in all of them is certain."""
    if True in exclude:
        return Decision(Verdict.EXCLUDED)
    unknown = sum(value is None for value, _ in rules) + sum(value is None for value in exclude)
    moves = set()
    for world in product([True, False], repeat=unknown):
        answers = iter(world)
        told = [next(answers) if value is None else value for value in exclude]
        truths = [(next(answers) if value is None else value, keep) for value, keep in rules]
        deciding = next((keep for value, keep in truths if value), None) if rules else False
        moves.add(not any(told) and deciding is False)
    first = next(((index, keep) for index, (value, keep) in enumerate(rules) if value is True), None)
    if moves == {True, False}:
        return Decision(Verdict.UNKNOWN)
    if not rules:
        return Decision(Verdict.SELECTED, "default")
    if first is None:
        return Decision(Verdict.STAYS if moves == {False} else Verdict.UNKNOWN)
    return Decision(Verdict.KEPT if first[1] else Verdict.SELECTED, f"r{first[0]}")


def test_without_rules_every_file_that_is_not_excluded_is_taken() -> None:
    assert decide(select(), FILE, AS_OF) == Decision(Verdict.SELECTED, "default")
    assert decide(select(exclude=[{"type": "mov"}]), FILE, AS_OF).verdict is Verdict.EXCLUDED
    assert decide(select(exclude=[{"owner": "ann"}]), FILE, AS_OF).verdict is Verdict.UNKNOWN


def test_an_explanation_shows_every_rule_with_the_files_own_values() -> None:
    policy = select(
        classes={"media": {"type": ["mov"]}, "cold": {"accessed": "> 90d"}},
        exclude=[{"path": "**/legal/**"}],
        rules=[
            {"name": "big", "match": {"size": "> 1GiB"}, "keep": True},
            {"name": "mine", "match": {"owner": "ann"}},
            {"name": "media", "match": {"all": ["media", "cold"]}},
        ],
    )
    explanation = explain(policy, FILE, AS_OF)
    assert explanation.decision == Decision(Verdict.SELECTED, "media")
    assert [(rule.rule, rule.truth, rule.decides) for rule in explanation.rules] == [
        ("big", False, False),
        ("mine", None, False),
        ("media", True, True),
    ]
    assert explanation.exclude[0].truth is False
    media, cold = explanation.rules[2].reason.of
    assert (media.condition, media.of[0].condition, media.of[0].value) == ("media", "type is mov", "mov")
    assert cold.of[0].value == "100d ago (2025-09-23T00:00:00+00:00)"


def test_a_class_is_judged_once_however_often_it_is_named() -> None:
    classes: dict[str, Condition] = {"c0": TRUE}
    for index in range(1, 22):
        classes[f"c{index}"] = AnyOf((Not(Named(f"c{index - 1}")), Named(f"c{index - 1}")))
    assert holds(Named("c21"), classes=classes) is True


def test_a_member_and_a_glob_take_any_of_their_values() -> None:
    assert holds(Member("type", ("a", "mov"))) is True
    assert holds(Glob("path", ("/x/**", "**/a/*"))) is True


def test_the_deepest_policy_that_is_allowed_can_be_judged_and_explained() -> None:
    classes = {"c0": {"size": "= 4KiB"}} | {f"c{n}": {"all": [f"c{n - 1}"]} for n in range(1, 32)}
    policy = select(classes=classes, rules=[{"name": "r", "match": {"not": {"not": "c30"}}}])
    assert explain(policy, FILE, AS_OF).decision == Decision(Verdict.SELECTED, "r")
    with pytest.raises(ValueError, match="more than 64 levels"):
        select(classes=classes | {f"d{n}": {"not": f"d{n - 1}" if n else "c31"} for n in range(8)}, exclude=["d7"])
