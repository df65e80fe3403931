"""When an answer would change: exactly at the moment that is told, and not before."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.random_policies import NOW, conditions, facts, made_up, selects
from tests.unit.test_lint_possible import RANDOM
from workflows.conditions import Condition, parse_condition
from workflows.matching import Decision, FileFacts, Verdict, decide, truth
from workflows.selecting import Rule, Select, Source
from workflows.turning import LAST_US, next_decision, next_truth

DAY = 86_400_000_000
FILE = FileFacts("/a/x.mov", size=5, accessed=NOW - 10 * DAY, modified=NOW - 50 * DAY)


def policy(*forms: object, exclude: tuple[object, ...] = ()) -> Select:
    rules = tuple(Rule(name=f"r{at}", match=parse_condition(form)) for at, form in enumerate(forms))
    return Select(source=Source(path="/a"), rules=rules, exclude=tuple(parse_condition(form) for form in exclude))


def test_a_rule_on_an_age_takes_the_file_when_it_is_old_enough() -> None:
    change = next_decision(policy({"accessed": "> 90d"}), FILE, NOW)
    assert change == (NOW + 80 * DAY + 1, Decision(Verdict.SELECTED, "r0"))


def test_the_last_of_several_ages_decides() -> None:
    change = next_decision(policy({"all": [{"accessed": ">= 90d"}, {"modified": "> 60d"}]}), FILE, NOW)
    assert change == (NOW + 80 * DAY, Decision(Verdict.SELECTED, "r0"))


def test_an_exclude_of_young_files_ends() -> None:
    change = next_decision(policy({"type": "mov"}, exclude=({"accessed": "< 20d"},)), FILE, NOW)
    assert change == (NOW + 10 * DAY, Decision(Verdict.SELECTED, "r0"))


def test_a_file_can_grow_too_old() -> None:
    change = next_decision(policy({"modified": "<= 60d"}), FILE, NOW)
    assert change == (NOW + 10 * DAY + 1, Decision(Verdict.STAYS))


def test_what_hangs_on_no_age_never_changes() -> None:
    assert next_decision(policy({"size": "> 1GiB"}, {"owner": "ann"}), FILE, NOW) is None


def test_an_age_that_is_not_known_never_turns() -> None:
    assert next_decision(policy({"changed": "> 1d"}), FILE, NOW) is None


def test_a_moment_without_a_date_is_not_told() -> None:
    far = FileFacts("/a/x", accessed=LAST_US)
    assert next_decision(policy({"accessed": "> 90d"}), far, NOW) is None


@settings(RANDOM, max_examples=150)
@given(select=selects(), seed=st.integers(0, 2**32))
def test_the_decision_holds_until_then_and_changes_then(select: Select, seed: int) -> None:
    chance = Random(seed)
    for _ in range(30):
        file = facts(made_up(chance))
        now, change = decide(select, file, NOW), next_decision(select, file, NOW)
        until = NOW + 400 * DAY if change is None else change.at_us
        if change is not None:
            assert decide(select, file, change.at_us) == change.decision != now
            assert decide(select, file, change.at_us - 1) == now
        for _ in range(5):
            assert decide(select, file, chance.randrange(NOW, until)) == now


@settings(RANDOM, max_examples=150)
@given(condition=conditions(), seed=st.integers(0, 2**32))
def test_a_condition_holds_until_then_and_turns_then(condition: Condition, seed: int) -> None:
    chance = Random(seed)
    for _ in range(30):
        file = facts(made_up(chance))
        now, turn = truth(condition, file, NOW, {}), next_truth(condition, {}, file, NOW)
        until = NOW + 400 * DAY if turn is None else turn.at_us
        if turn is not None:
            assert truth(condition, file, turn.at_us, {}) == turn.truth != now
        assert truth(condition, file, chance.randrange(NOW, until), {}) == now
