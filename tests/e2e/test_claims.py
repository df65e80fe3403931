"""Claims on files, in either kind of database: no file has two holders, whoever asks at the same time."""

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from activities.audit import AuditLog, AuditRecord, AuditUnavailable, WrongDatabase
from activities.claims import Claim, Claims, Full, Holder, Overtaken, Place, is_covered, key_of
from activities.limits import Lane, Limit
from tests.e2e.audit_databases import raw

pytest_plugins = ["tests.e2e.audit_fixtures"]

ROOT = Path(__file__).parents[2]
SITE = "london"
ONE_AT_A_TIME = Limit(Lane(SITE), 1, "ann", "", datetime.now(UTC))
OURS, THEIRS = Place("ours", 1, 0), Place("theirs", 1, 0)
A_DAY_AGO = text(f"UPDATE claim_holders SET until_us = until_us - {86_400_000_000}")
A_MINUTE_OF_SILENCE = text(f"UPDATE claim_holders SET silent_us = silent_us - {60_000_000}")

# Every process wants all files, a few at a time in an order of its own, and says which it got.
CLAIMER = """
import random, sys
from activities.claims import Claims, Place
url, me, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
claims, paths = Claims(url), [f"/mmfs1/f{number}" for number in range(count)]
random.Random(me).shuffle(paths)
for batch in range(0, count, 7):
    wanted = paths[batch:batch + 7]
    _, others = claims.take(Place(me, 1, batch), "london", wanted)
    print(*(path for path in wanted if path not in others))
"""


@pytest.fixture
def claims(url: str) -> Iterator[Claims]:
    opened = Claims(url)
    yield opened
    opened.close()


def holders(others: dict[str, Holder]) -> dict[str, str]:
    return {path: holder.place.run for path, holder in others.items()}


def take(claims: Claims, place: Place, *paths: str, trees: bool = False) -> dict[str, str]:
    return holders(claims.take(place, SITE, paths, trees=trees)[1])


def lapse(url: str) -> None:
    """Let a day pass for everybody who holds files."""
    raw(url, lambda connection: connection.execute(A_DAY_AGO))


class TestAFile:
    def test_that_another_run_holds_is_not_given_until_it_comes_back(self, claims: Claims) -> None:
        assert take(claims, OURS, "/a", "/b") == {}
        assert take(claims, THEIRS, "/b", "/c") == {"/b": "ours"}
        claims.release(OURS)
        assert take(claims, THEIRS, "/a", "/b", "/c") == {}
        claims.release(THEIRS)
        assert claims.count() == 0

    def test_of_another_site_is_another_file(self, claims: Claims) -> None:
        claims.take(OURS, "london", ["/a"])
        assert claims.take(THEIRS, "paris", ["/a"])[1] == {}

    def test_is_the_same_however_its_path_is_written(self, claims: Claims) -> None:
        take(claims, OURS, "/a/b")
        assert take(claims, THEIRS, "/a/b/", "//a/./b", "/a//b") == dict.fromkeys(("/a/b/", "//a/./b", "/a//b"), "ours")

    @pytest.mark.parametrize(
        "name",
        ["/\udcff\udcfe", "/\U0010dcff", "/new\nline", "/nul\0l", "/" + "d" * 4095, "/'; DROP TABLE x; --", "/%"],
    )
    def test_with_a_name_that_hurts_is_held_as_any_other(self, claims: Claims, name: str) -> None:
        take(claims, OURS, name)
        assert take(claims, THEIRS, name, name + "x") == {name: "ours"}

    def test_of_a_name_that_is_no_text_is_not_its_path_text(self, claims: Claims) -> None:
        take(claims, OURS, "/\udcff")
        assert take(claims, THEIRS, "/\U0010dcff", "/\xff") == {}

    def test_goes_within_a_run_to_the_batch_that_asks_last(self, claims: Claims) -> None:
        again = Place("ours", 2, 5)
        take(claims, OURS, "/a", "/b")
        assert take(claims, again, "/a") == {}
        claims.release(OURS)
        assert take(claims, THEIRS, "/a", "/b") == {"/a": "ours"}


class TestATree:
    def test_is_not_given_above_beside_or_below_what_another_run_holds(self, claims: Claims) -> None:
        take(claims, OURS, "/p/a/f")
        take(claims, Place("tree", 1, 0), "/q", trees=True)
        wanted = ("/", "/p", "/p/a", "/p/a/f", "/p/b", "/q", "/q/x", "/q2", "/p/a/g")
        found = take(claims, THEIRS, *wanted, trees=True)
        assert {path for path in wanted if path not in found} == {"/p/b", "/q2", "/p/a/g"}
        assert (found["/p/a"], found["/q/x"]) == ("ours", "tree")

    def test_holds_every_file_below_it(self, claims: Claims) -> None:
        take(claims, OURS, "/p/", trees=True)
        assert take(claims, THEIRS, "/p", "/p/a/b/c", "/pp", "/q/p") == {"/p": "ours", "/p/a/b/c": "ours"}

    def test_leaves_nothing_behind_when_it_is_given_back(self, claims: Claims, url: str) -> None:
        take(claims, OURS, "/p/a", "/p/b", trees=True)
        claims.release(OURS)
        left = [f"SELECT count(*) FROM claim_{table}" for table in ("holders", "paths", "folders")]
        assert raw(url, lambda connection: [connection.scalar(text(one)) for one in left]) == [0, 0, 0]

    def test_of_folders_is_no_tree_when_only_the_folders_are_meant(self, claims: Claims) -> None:
        take(claims, OURS, "/p")
        assert take(claims, THEIRS, "/p/a") == {}


class TestALease:
    def test_counts_after_it_lapsed_until_it_is_dropped(self, claims: Claims, url: str) -> None:
        take(claims, OURS, "/a")
        lapse(url)
        holder = claims.take(THEIRS, SITE, ["/a"])[1]["/a"]
        assert holder.lapsed
        claims.drop(holder)
        assert take(claims, THEIRS, "/a") == {}

    def test_that_was_renewed_meanwhile_is_not_dropped(self, claims: Claims, url: str) -> None:
        take(claims, OURS, "/a")
        lapse(url)
        holder = claims.take(THEIRS, SITE, ["/a"])[1]["/a"]
        claims.renew({OURS: 7})
        claims.drop(holder)
        found = claims.take(THEIRS, SITE, ["/a"])[1]["/a"]
        assert (found.lapsed, found.job) == (False, 7)

    def test_dropped_takes_nothing_from_whoever_came_after(self, claims: Claims, url: str) -> None:
        take(claims, OURS, "/a")
        lapse(url)
        seen = claims.take(THEIRS, SITE, ["/a"])[1]["/a"]
        claims.release(OURS)
        take(claims, Place("third", 1, 0), "/a")
        lapse(url)
        claims.drop(seen)
        assert take(claims, THEIRS, "/a") == {"/a": "third"}

    def test_is_no_licence_to_send_when_it_ran_out_or_is_about_to(self, url: str, claims: Claims) -> None:
        claim, _ = claims.take(OURS, SITE, ["/a"])
        assert claims.still_has(claim)
        lapse(url)
        assert not claims.still_has(claim)
        claims.renew({OURS: None})
        assert claims.still_has(claim)
        claims.release(OURS)
        assert not claims.still_has(claim)

    def test_ends_by_itself(self, url: str) -> None:
        short = Claims(url, lease=timedelta(0))
        claim, _ = short.take(OURS, SITE, ["/a"])
        assert not short.still_has(claim)
        assert short.take(THEIRS, SITE, ["/a"])[1]["/a"].lapsed
        short.close()


def test_a_later_attempt_takes_the_claim_over_and_the_first_one_hears_of_it(claims: Claims) -> None:
    first, _ = claims.take(OURS, SITE, ["/a", "/b"])
    second, others = claims.take(OURS, SITE, ["/b", "/c"])
    assert others == {}
    assert (claims.still_has(first), claims.still_has(second)) == (False, True)
    assert take(claims, THEIRS, "/a", "/b", "/c") == {"/b": "ours", "/c": "ours"}


def test_how_long_a_batch_was_not_sent_outlives_the_attempts_that_only_looked(claims: Claims, url: str) -> None:
    claims.take(OURS, SITE, ["/a"], turn=1)

    def take_over(turn: int) -> Claim:
        taken = claims.together([claims.taking(OURS, SITE, ["/a"], turn=turn, silencing=True)])[0]
        assert taken is not None and not isinstance(taken, Overtaken)
        return taken[0]

    assert take_over(2).silent < 30
    raw(url, lambda connection: connection.execute(A_MINUTE_OF_SILENCE))
    third = take_over(3)
    assert 60 <= third.silent < 90
    assert claims.may_send(third)
    assert take_over(4).silent < 30, "the third may have sent it"
    assert not claims.may_send(third)


def test_an_earlier_attempt_neither_takes_a_claim_back_nor_gives_it_back(claims: Claims) -> None:
    claims.take(OURS, SITE, ["/a"], turn=9)
    second, _ = claims.take(OURS, SITE, ["/a"], turn=10)
    with pytest.raises(Overtaken):
        claims.take(OURS, SITE, ["/a"], turn=9)
    claims.release(OURS, turn=9)
    assert claims.still_has(second)
    assert claims.take(OURS, SITE, ["/a", "/b"], turn=10)[1] == {}
    claims.release(OURS, turn=10)
    assert claims.count() == 0


def test_an_attempt_that_claims_again_and_has_nothing_left_was_overtaken_and_spoils_no_other_change(
    claims: Claims,
) -> None:
    claims.take(OURS, SITE, ["/a"], turn=1)
    claims.release(OURS, turn=2)
    again = claims.taking(OURS, SITE, ["/a"], turn=1, again=True)
    first, second = claims.together([again, claims.taking(THEIRS, SITE, ["/a"])])
    assert isinstance(first, Overtaken)
    assert not isinstance(second, Overtaken)
    assert claims.still_has(second[0])


def test_of_batches_that_claim_again_at_a_site_with_a_limit_the_first_goes_on(claims: Claims) -> None:
    claims.take(OURS, SITE, ["/a"], turn=1)
    claims.take(THEIRS, SITE, ["/b"], turn=1)

    def may(place: Place, path: str) -> bool:
        again = place in (OURS, THEIRS)
        taken = claims.together([claims.taking(place, SITE, [path], turn=1, again=again, limits=[ONE_AT_A_TIME])])[0]
        return not isinstance(taken, Full)

    assert [may(OURS, "/a"), may(THEIRS, "/b"), may(Place("third", 1, 0), "/c")] == [True, False, False]
    claims.release(OURS)
    assert [may(THEIRS, "/b"), may(Place("third", 1, 0), "/c")] == [True, False]


def test_limits_of_a_queue_and_of_a_target_count_their_own_batches_and_the_strictest_wins(claims: Claims) -> None:
    def limit(jobs: int, **lane: str) -> Limit:
        return Limit(Lane(**lane), jobs, "ann", "", datetime.now(UTC))

    bulk, tape, site = limit(2, site=SITE, queue="bulk"), limit(1, target="tape"), limit(9, site=SITE)

    def take(number: int, queue: str, target: str, *limits: Limit) -> Limit | None:
        lane, place = Lane(SITE, queue, target), Place("run", 1, number)
        [taken] = claims.together([claims.taking(place, SITE, [f"/{number}"], lane=lane, limits=limits)])
        return taken.limit if isinstance(taken, Full) else None

    assert take(1, "bulk", "tape", site, bulk, tape) is None
    assert take(2, "bulk", "tape", site, bulk, tape) == tape
    assert take(3, "bulk", "cloud", site, bulk) is None
    assert take(4, "bulk", "cloud", site, bulk) == bulk
    assert take(5, "default", "cloud", site) is None
    claims.release(Place("run", 1, 1))
    assert take(6, "bulk", "tape", site, bulk, tape) is None


def test_claims_of_the_layout_before_are_kept_and_brought_up_to_this_one(claims: Claims, url: str) -> None:
    claims.take(OURS, SITE, ["/a"], turn=1)
    for statement in (
        "ALTER TABLE claim_holders DROP COLUMN queue",
        "ALTER TABLE claim_holders DROP COLUMN target",
        "ALTER TABLE claim_holders DROP COLUMN silent_us",
        "UPDATE claim_schema SET version = 1",
    ):
        raw(url, lambda connection, statement=statement: connection.execute(text(statement)))
    other = Claims(url)
    assert other.take(THEIRS, SITE, ["/a", "/b"])[1].keys() == {"/a"}
    other.close()


def test_a_claim_of_the_version_before_can_be_taken_over(claims: Claims, url: str) -> None:
    claims.take(OURS, SITE, ["/a"])
    raw(url, lambda connection: connection.execute(text("UPDATE claim_holders SET token = 'f00dfeedf00dfeed'")))
    claim, _ = claims.take(OURS, SITE, ["/a"], turn=1)
    assert claims.still_has(claim)


def test_a_claim_that_nobody_has_is_no_claim(claims: Claims) -> None:
    assert not claims.still_has(Claim(OURS, "token"))
    claims.release(OURS)
    claims.renew({OURS: 1})
    assert claims.count() == 0


def test_processes_that_want_the_same_files_share_them_out(claims: Claims, url: str) -> None:
    count = 210
    claimers = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMER, url, f"run-{number}", str(count)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    ended = [(one.communicate(timeout=100), one.returncode) for one in claimers]
    assert [code for _, code in ended] == [0] * 4, ended
    got = Counter(path for (out, _), _ in ended for path in out.split())
    assert len(got) == claims.count() == count
    assert set(got.values()) == {1}


def test_threads_that_take_and_give_back_never_hold_a_file_twice(claims: Claims) -> None:
    in_hand: Counter[str] = Counter()
    worst: list[int] = []

    def work(number: int) -> None:
        dice = random.Random(number)
        place = Place(f"run-{number % 8}-{number}", 1, 0)
        wanted = [f"/f{one}" for one in dice.sample(range(30), 6)]
        _, others = claims.take(place, SITE, wanted)
        mine = [path for path in wanted if path not in others]
        in_hand.update(mine)
        worst.append(max((in_hand[path] for path in mine), default=1))
        in_hand.subtract(mine)
        claims.release(place)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(160)))
    assert max(worst) == 1
    assert claims.count() == 0


NAMES = st.lists(st.sampled_from(["a", "b", "\udcff", "x y"]), min_size=0, max_size=3).map(
    lambda names: "/" + "/".join(names)
)
STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 1), st.booleans(), st.booleans(), st.lists(NAMES, max_size=4)),
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_whatever_runs_do_nobody_works_on_what_another_holds(
    claims: Claims, steps: list[tuple[int, int, bool, bool, list[str]]]
) -> None:
    """Compare with a model: the sets of paths, and whether what is below belongs to them."""
    held: dict[Place, dict[str, bool]] = {}
    for number, batch, tree, back, paths in steps:
        place = Place(f"run-{number}", 1, batch)
        if back:
            claims.release(place)
            held.pop(place, None)
            continue
        refused = take(claims, place, *paths, trees=tree)
        held[place] = {}
        strangers = {path: below for one, had in held.items() if one.run != place.run for path, below in had.items()}
        for path in paths:
            clash = any(overlap(path, tree, other, below) for other, below in strangers.items())
            assert (path in refused) == clash, (place, path, held)
        for path in (path for path in paths if path not in refused):
            for one, had in held.items():
                if one.run == place.run:
                    had.pop(path, None)
            held[place][path] = tree
    for place in held:
        claims.release(place)
    assert claims.count() == 0


def overlap(path: str, tree: bool, other: str, other_tree: bool) -> bool:
    def inside(inner: str, outer: str) -> bool:
        return inner.startswith(outer.rstrip("/") + "/") and inner != outer

    return path == other or (tree and inside(other, path)) or (other_tree and inside(path, other))


def test_a_path_is_covered_by_itself_and_by_every_folder_above() -> None:
    keys = {key_of(SITE, "/a/b"), key_of(SITE, "/")}
    assert all(is_covered(SITE, path, {key_of(SITE, "/a/b")}) for path in ("/a/b", "/a/b/c/d", "/a/b/"))
    assert not any(is_covered(SITE, path, {key_of(SITE, "/a/b")}) for path in ("/a", "/a/bc", "/"))
    assert is_covered(SITE, "/anything", keys)
    assert not is_covered("paris", "/a/b", keys)


def test_claims_and_audit_share_a_database_and_neither_waits_for_the_other(claims: Claims, url: str) -> None:
    log = AuditLog(url)
    log.append(AuditRecord(event="job.ended", actor="a", key="k", body={}))
    take(claims, OURS, "/a")
    assert log.verify().ok
    if url.startswith("postgresql"):
        with log._database.writing():
            take(claims, THEIRS, "/b")
    log.close()


def test_a_database_that_is_in_use_is_worth_another_try(url: str, claims: Claims) -> None:
    take(claims, OURS, "/a")
    hasty = Claims(url, wait=0.1)
    with claims._database.writing(), pytest.raises(AuditUnavailable, match="the claims' database"):
        hasty.take(THEIRS, SITE, ["/a"])
    assert holders(hasty.take(THEIRS, SITE, ["/a"])[1]) == {"/a": "ours"}
    hasty.close()


def test_tables_of_another_version_are_not_written_to(url: str, claims: Claims) -> None:
    take(claims, OURS, "/a")
    raw(url, lambda connection: connection.execute(text("UPDATE claim_schema SET version = 99")))
    with pytest.raises(WrongDatabase, match="claims' schema has version 99"):
        Claims(url).take(THEIRS, SITE, ["/b"])
