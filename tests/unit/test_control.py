"""The ladder and the guards."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from workflows.control import caps, excess, ladder_wait, stale
from workflows.plan import Plan
from workflows.policy import Guards, RetryFailedFiles

MINUTE = timedelta(minutes=1)


def a_plan(files: int = 10, size: int = 1000, scope_files: int = 100, scope_bytes: int = 10_000) -> Plan:
    return Plan(
        digest="d",
        manifest="plans/d",
        policy_digest="p",
        as_of_us=0,
        files=files,
        bytes=size,
        batches=1,
        scope_files=scope_files,
        scope_bytes=scope_bytes,
        inventory_taken_us=1_000_000,
    )


def guards(**words: object) -> Guards:
    return Guards.model_validate(words)


def test_the_ladder_waits_longer_on_each_rung_and_repeats_the_last() -> None:
    ladder = RetryFailedFiles(attempts=4, wait=(MINUTE, 5 * MINUTE))
    assert [ladder_wait(ladder, tries) for tries in (1, 2, 3, 4)] == [MINUTE, 5 * MINUTE, 5 * MINUTE, None]


def test_a_single_attempt_has_no_ladder() -> None:
    assert ladder_wait(RetryFailedFiles(attempts=1, wait=()), 1) is None


def test_a_plan_within_its_guards_goes_on() -> None:
    assert excess(a_plan(), guards(max_files=10, max_bytes="1000B", max_percent_of_scope="10%")) is None


def test_each_guard_names_both_numbers() -> None:
    assert "10 files" in (excess(a_plan(), guards(max_files=9)) or "")
    assert "1,000 bytes" in (excess(a_plan(), guards(max_bytes="999B")) or "")
    assert "(10.0%)" in (excess(a_plan(), guards(max_percent_of_scope="9.5%")) or "")


def test_the_share_counts_bytes_as_well_as_files() -> None:
    assert "bytes in its scope" in (excess(a_plan(size=9000), guards(max_percent_of_scope="50%")) or "")


def test_an_inventory_that_is_too_old_is_refused() -> None:
    hour = guards(inventory_max_age="1h")
    assert stale(a_plan(), hour, now_us=1_000_000 + 3_600_000_000) is None
    assert "inventory" in (stale(a_plan(), hour, now_us=1_000_001 + 3_600_000_000) or "")


@given(
    files=st.integers(0, 10**9),
    size=st.integers(0, 10**18),
    scope_files=st.integers(0, 10**9),
    percent=st.floats(0.1, 100),
    most=st.integers(1, 10**9) | st.none(),
)
def test_a_plan_cut_to_its_caps_breaks_no_guard(
    files: int, size: int, scope_files: int, percent: float, most: int | None
) -> None:
    limits = Guards.model_construct(
        max_files=most, max_bytes=10**15, max_percent_of_scope=percent, inventory_max_age=None, on_exceed="truncate"
    )
    plan = a_plan(files, size, max(files, scope_files), max(size, 10**18))
    cap_files, cap_bytes = caps(plan, limits)
    assert cap_files is not None and cap_bytes is not None
    cut = plan.model_copy(update={"files": min(files, cap_files), "bytes": min(size, cap_bytes)})
    assert excess(cut, limits) is None
