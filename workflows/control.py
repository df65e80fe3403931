"""Decisions about going on: the retry ladder and the guards, as arithmetic on what is known."""

from datetime import timedelta

from workflows.plan import OutcomeCounts, Plan, UsualPlan
from workflows.policy import Guards, Retry, RetryFailedFiles

FEWEST_RUNS = 3
"""With fewer runs to look back on, nothing is unusual."""


def ladder_wait(ladder: RetryFailedFiles, tries: int) -> timedelta | None:
    """Say how long to wait after `tries` tries of a file; None when the ladder has ended.

    The last rung serves every try beyond it.
    """
    if tries >= ladder.attempts:
        return None
    return ladder.wait[min(tries - 1, len(ladder.wait) - 1)]


def permanent_reasons(retry: Retry) -> frozenset[str]:
    """Say which failures are never tried again: the policy's, and files that the Hub may still hold."""
    return frozenset(retry.permanent) | {"aborted"}


def without_retryable(counts: OutcomeCounts, retry: Retry) -> OutcomeCounts:
    """Take out of the counts the failures that the next round tries again."""
    permanent = permanent_reasons(retry)
    failed = {reason: files for reason, files in counts.failed.items() if reason in permanent}
    return counts.model_copy(update={"failed": failed})


def tried_again(counts: OutcomeCounts, reasons: dict[str, int]) -> OutcomeCounts:
    """Take failures, by their reasons, out of the counts, since their files are tried again."""
    left = {reason: files - reasons.get(reason, 0) for reason, files in counts.failed.items()}
    return counts.model_copy(update={"failed": {reason: files for reason, files in left.items() if files > 0}})


def quarantined(counts: OutcomeCounts, reasons: dict[str, int]) -> OutcomeCounts:
    """Count failures, by their reasons, as files that are set aside."""
    kept = tried_again(counts, reasons)
    return kept.model_copy(update={"quarantined": counts.quarantined + sum(reasons.values())})


def excess(plan: Plan, guards: Guards, usual: UsualPlan | None = None) -> str | None:
    """Name the first guard on size that a plan breaks, with both numbers; a person may agree where the policy asks."""
    if guards.max_files is not None and plan.files > guards.max_files:
        return f"the plan holds {plan.files:,} files, guards.max_files allows {guards.max_files:,}"
    if guards.max_bytes is not None and plan.bytes > guards.max_bytes:
        return f"the plan holds {plan.bytes:,} bytes, guards.max_bytes allows {guards.max_bytes:,}"
    if guards.max_percent_of_scope is not None:
        for part, whole, what in ((plan.files, plan.scope_files, "files"), (plan.bytes, plan.scope_bytes, "bytes")):
            if part * 100 > guards.max_percent_of_scope * whole:
                return (
                    f"the plan holds {part:,} of {whole:,} {what} in its scope ({part * 100 / max(whole, 1):.1f}%), "
                    f"guards.max_percent_of_scope allows {guards.max_percent_of_scope:g}%"
                )
    return _unusual(plan, guards, usual)


def stale(plan: Plan, guards: Guards, *, now_us: int) -> str | None:
    """Say that the inventory behind the plan is too old; to that nobody can agree."""
    if guards.inventory_max_age is not None and plan.inventory_taken_us:
        age = timedelta(microseconds=now_us - plan.inventory_taken_us)
        if age > guards.inventory_max_age:
            return f"the inventory is {age} old, guards.inventory_max_age allows {guards.inventory_max_age}"
    return None


def caps(plan: Plan, guards: Guards, usual: UsualPlan | None = None) -> tuple[int | None, int | None]:
    """Say how many files and bytes a truncated plan may hold under every guard on size; None is no limit."""
    files = [guards.max_files]
    size = [guards.max_bytes]
    if guards.unusual is not None and usual is not None and usual.runs >= FEWEST_RUNS:
        files.append(int(usual.files * guards.unusual.factor))
        size.append(int(usual.bytes * guards.unusual.factor))
    if guards.max_percent_of_scope is not None:
        files.append(int(plan.scope_files * guards.max_percent_of_scope / 100))
        size.append(int(plan.scope_bytes * guards.max_percent_of_scope / 100))
    return _least(files), _least(size)


def _unusual(plan: Plan, guards: Guards, usual: UsualPlan | None) -> str | None:
    if guards.unusual is None or usual is None or usual.runs < FEWEST_RUNS:
        return None
    factor = guards.unusual.factor
    for planned, median, what in ((plan.files, usual.files, "files"), (plan.bytes, usual.bytes, "bytes")):
        if planned > factor * median:
            return (
                f"the plan holds {planned:,} {what}, the median of the last {usual.runs} runs is {median:,}, "
                f"guards.unusual allows {factor:g} times that"
            )
    return None


def _least(limits: list[int | None]) -> int | None:
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None
