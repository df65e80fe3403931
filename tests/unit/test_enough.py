"""The smallest sufficient set of a plan: in policy order, counted by what each file occupies."""

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from activities.enough import enough

FILE = st.tuples(
    st.integers(0, 100), st.none() | st.integers(0, 100), st.sampled_from([None, "resident", "premigrated", "migrated"])
)


def chosen(files: list[tuple[int, int | None, str | None]], wanted: int | None, workflow: str = "migrate") -> list[int]:
    database = duckdb.connect()
    database.execute(
        "CREATE TABLE t (path INT, size BIGINT, modified BIGINT, rule INT, disk_usage BIGINT, status TEXT)"
    )
    for path, (size, usage, status) in enumerate(files):
        database.execute("INSERT INTO t VALUES (?, ?, 0, 0, ?, ?)", [path, size, usage, status])
    return [row[0] for row in database.execute(enough("t WHERE true", "path", wanted, workflow)).fetchall()]


@given(st.lists(FILE, max_size=30), st.integers(1, 2000))
def test_the_shortest_beginning_of_the_order_that_frees_enough(
    files: list[tuple[int, int | None, str | None]], wanted: int
) -> None:
    expected, freed = [], 0
    for path, (size, usage, status) in enumerate(files):
        occupied = size if usage is None else usage
        if status == "migrated" or not occupied or freed >= wanted:
            continue
        expected.append(path)
        freed += occupied
    assert chosen(files, wanted) == expected


def test_a_premigration_counts_what_is_copied_already_and_leaves_it_out() -> None:
    files = [(10, None, "premigrated"), (10, None, "resident"), (10, None, "resident")]
    assert chosen(files, 20, "premigrate") == [1]


def test_without_a_wanted_amount_every_file_is_taken() -> None:
    assert chosen([(0, None, "migrated"), (5, None, None)], None) == [0, 1]
