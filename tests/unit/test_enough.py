"""The smallest sufficient set of a plan: in policy order, counted by what each file occupies."""

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from activities.enough import enough

FILE = st.tuples(
    st.integers(0, 100), st.none() | st.integers(0, 100), st.sampled_from([None, "resident", "premigrated", "migrated"])
)


def chosen(
    files: list[tuple[int, int | None, str | None]],
    wanted: int | None,
    workflow: str = "migrate",
    room: int | None = None,
    tried: list[int] | None = None,
) -> list[int]:
    database = duckdb.connect()
    database.execute(
        "CREATE TABLE t (path INT, size BIGINT, modified BIGINT, rule INT, disk_usage BIGINT, status TEXT)"
    )
    for path, (size, usage, status) in enumerate(files):
        database.execute("INSERT INTO t VALUES (?, ?, 0, 0, ?, ?)", [path, size, usage, status])
    database.execute("CREATE TABLE tried (path INT)")
    for number in tried or []:
        database.execute("INSERT INTO tried VALUES (?)", [number])
    query = enough("t WHERE true", "path", wanted, workflow, room, tried=tried is not None)
    return [row[0] for row in database.execute(query).fetchall()]


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


@given(st.lists(FILE, max_size=30), st.integers(1, 2000), st.integers(0, 60_000))
def test_what_goes_to_the_destination_never_takes_more_than_its_room_in_whole_blocks(
    files: list[tuple[int, int | None, str | None]], wanted: int, room: int
) -> None:
    taken = chosen(files, wanted, room=room)
    unbounded = chosen(files, wanted)
    assert taken == unbounded[: len(taken)]

    def takes(path: int) -> int:
        size, usage, status = files[path]
        return 0 if status == "premigrated" else max(usage or 0, -(-size // 4096) * 4096)

    assert sum(takes(path) for path in taken) <= room
    if len(taken) < len(unbounded):
        assert sum(takes(path) for path in unbounded[: len(taken) + 1]) > room


def test_what_was_tried_before_is_left_out_and_those_behind_it_come() -> None:
    files = [(10, None, "resident")] * 5
    assert chosen(files, 20, tried=[0, 1, 3]) == [2, 4]
