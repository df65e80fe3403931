"""Lint of what bounds a run: deletion that nobody agrees to, bounds that can never matter, drains that free nothing."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from orchestrator.linting.finding import Finding, Place
from orchestrator.linting.selection import takes
from workflows.approving import is_destructive
from workflows.conditions import Member
from workflows.order import THERE_ALREADY
from workflows.policy import Policy
from workflows.units import duration_text, size_text

_FREES_NOTHING: Final = frozenset({"premigrate", "recall"})
_SIZE_GUARDS: Final = ("max_files", "max_bytes", "max_percent_of_scope")


def safety_findings(policy: Policy) -> Iterator[Finding]:
    """Find what is dangerous in the bounds of a policy's runs, or has no effect there."""
    yield from _deletion(policy)
    yield from _approval(policy)
    yield from _guards(policy)
    yield from _limits(policy)
    yield from _times(policy)
    yield from _drains(policy)


def _deletion(policy: Policy) -> Iterator[Finding]:
    for name, where in _unapproved(policy):
        if not any(getattr(policy.guards, guard) is not None for guard in _SIZE_GUARDS):
            yield Finding(
                "unguarded-deletion", where,
                f"the hub workflow `{name}` deletes data, and neither an approval nor a guard stands before it: "
                "leave `approval: {required: never}` out, or add `guards: {max_files: ...}`",
            )  # fmt: skip
    if policy.run.recheck is None and policy.select.source.discovery is None:
        for name, where in _destructive(policy):
            yield Finding(
                "unchecked-deletion", where,
                f"the hub workflow `{name}` deletes data, and with `recheck: none` also of files that changed since "
                "the plan: leave `recheck` out",
            )  # fmt: skip


def _destructive(policy: Policy) -> Iterator[tuple[str, Place]]:
    for name, where, _ in _workflows(policy):
        if is_destructive(name):
            yield name, where


def _unapproved(policy: Policy) -> Iterator[tuple[str, Place]]:
    for name, where, approval in _workflows(policy):
        if is_destructive(name) and approval == "never":
            yield name, where


def _workflows(policy: Policy) -> Iterator[tuple[str, Place, str]]:
    """Each hub workflow, its place, and when it waits for approval."""
    if policy.run.workflow is not None:
        yield policy.run.workflow, ("run", "workflow"), policy.approval.required
    for index, stage in enumerate(policy.run.stages):
        if stage.workflow is not None:
            approval = stage.approval or policy.approval.required
            yield stage.workflow, ("run", "stages", index, "workflow"), approval


def _approval(policy: Policy) -> Iterator[Finding]:
    approval = policy.approval
    asked = approval.required != "never" or policy.guards.on_exceed == "ask"
    asked = asked or any(stage.approval not in (None, "never") for stage in policy.run.stages)
    if asked:
        return
    for key in ("not_by_owner", "auto", "expires"):
        if key in approval.model_fields_set:
            text = f"`{key}` has no effect: with `required: never` no plan waits for approval; leave one of them out"
            yield Finding("no-effect", ("approval", key), text, at_key=True)


def _guards(policy: Policy) -> Iterator[Finding]:
    guards, limit, batch = policy.guards, policy.select.limit, policy.run.batch
    written = "batch" in policy.run.model_fields_set
    for key, guard in (("files", guards.max_files), ("bytes", guards.max_bytes)):
        if guard is None:
            continue
        said = f"guards.max_{key} ({_said(key, guard)})"
        most, one = getattr(limit, key), getattr(batch, key)
        if written and key in batch.model_fields_set and one > guard:
            text = f"a batch of {_said(key, one)} is larger than {said}, so it is never filled: lower it"
            yield Finding("batch-above-guard", ("run", "batch", key), text)
        if most is not None and most > guard and guards.on_exceed == "refuse":
            text = f"a plan that reaches this limit is refused, for it is above {said}: lower it, or raise the guard"
            yield Finding("limit-above-guard", ("select", "limit", key), text)
    bounds = (*_SIZE_GUARDS, "unusual")
    if "on_exceed" in guards.model_fields_set and all(getattr(guards, key) is None for key in bounds):
        text = "`on_exceed` has no effect: there is no guard on the plan's size; add one, such as `max_files: 100_000`"
        yield Finding("no-effect", ("guards", "on_exceed"), text, at_key=True)


def _limits(policy: Policy) -> Iterator[Finding]:
    """Find limits that are spent on what is done already, in every run again."""
    select, there = policy.select, THERE_ALREADY.get(policy.run.hub_workflows[-1], ())
    if (select.limit.files, select.limit.bytes) == (None, None) or select.source.discovery is not None:
        return
    taken = [word for word in there if takes(select, Member("status", (word,)))]
    if taken:
        words = taken[0] if len(taken) == 1 else f"[{', '.join(taken)}]"
        text = (
            f"`limit` also counts files that are {' or '.join(taken)} already, so run after run may take the same ones "
            f"and never come to the others: add {{status: {words}}} to `exclude`"
        )
        yield Finding("limit-counts-what-is-done", ("select", "limit"), text, at_key=True)


def _times(policy: Policy) -> Iterator[Finding]:
    run, ladder = policy.run, policy.retry.failed_files
    written = run.model_fields_set
    if "stall_after" in written and run.stall_after is not None and run.stall_after >= run.job_timeout:
        text = f"`stall_after` has no effect: `job_timeout` ({duration_text(run.job_timeout)}) ends a job first"
        yield Finding("no-effect", ("run", "stall_after"), text, at_key=True)
    if run.deadline is None:
        return
    if "job_timeout" in written and run.job_timeout > run.deadline:
        text = f"`job_timeout` has no effect: `deadline` ({duration_text(run.deadline)}) ends the whole run first"
        yield Finding("no-effect", ("run", "job_timeout"), text, at_key=True)
    waited = timedelta(0)
    for attempt in range(2, ladder.attempts + 1) if "failed_files" in policy.retry.model_fields_set else ():
        waited += ladder.wait[min(attempt - 2, len(ladder.wait) - 1)]
        if waited >= run.deadline:
            text = (
                f"attempt {attempt} never begins: the waits before it make {duration_text(waited)}, and `run.deadline` "
                f"is {duration_text(run.deadline)}: shorten the waits, or lengthen the deadline"
            )
            yield Finding("no-effect", ("retry", "failed_files"), text, at_key=True)
            return


def _drains(policy: Policy) -> Iterator[Finding]:
    if not all(name in _FREES_NOTHING for name in policy.run.hub_workflows):
        return
    for index, trigger in enumerate(policy.triggers):
        if trigger.threshold is not None:
            name = policy.run.hub_workflows[-1]
            text = (
                f"`{name}` frees no space, so a drain of this pool never gets to `lower`: run one that does (migrate)"
            )
            yield Finding("drain-frees-nothing", ("triggers", index, "threshold"), text, at_key=True)


def _said(key: str, number: Any) -> str:
    return f"{number:,} files" if key == "files" else size_text(number)
