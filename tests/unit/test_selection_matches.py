"""The bulk selection and the pure matcher agree on every policy and file, unknown attributes and hard names included.

`SELECTION_EXAMPLES` policies are tried, each over 200 files: 100,000 pairs.
"""

import os
from random import Random

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from activities.columns import to_table
from activities.predicates import EXCLUDED, KEPT, SELECTED, STAYS, UNKNOWN, judged, rule_names
from tests.unit.random_policies import NOW, facts, made_up, selects
from workflows.matching import Decision, Verdict, decide
from workflows.selecting import Select

EXAMPLES = int(os.environ.get("SELECTION_EXAMPLES", "500"))
FILES = 200
VERDICTS = {
    SELECTED: Verdict.SELECTED,
    KEPT: Verdict.KEPT,
    STAYS: Verdict.STAYS,
    EXCLUDED: Verdict.EXCLUDED,
    UNKNOWN: Verdict.UNKNOWN,
}


@pytest.mark.long
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # the message says which file: shrinking takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
)
@given(select=selects(), seed=st.integers(0, 2**32))
def test_bulk_selection_and_matcher_decide_alike(select: Select, seed: int) -> None:
    chance = Random(seed)
    records = [made_up(chance) for _ in range(FILES)]
    with duckdb.connect(":memory:", config={"threads": 1}) as database:
        database.register("files", to_table(records))
        found = database.sql(f"SELECT verdict, rule FROM ({judged(select, NOW, 'files')})").fetchall()
    names = rule_names(select)
    for record, (verdict, rule) in zip(records, found, strict=True):
        bulk = Decision(VERDICTS[verdict], names[rule] if verdict in (SELECTED, KEPT) else None)
        assert bulk == decide(select, facts(record), NOW), (record, select.model_dump(mode="json"))
