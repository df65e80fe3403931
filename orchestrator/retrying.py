"""Tries the failed files of a run again: in a further round while it is open, in a new run when it has ended."""

from collections import Counter

from temporalio.client import Client

from activities.manifests import read_head
from activities.storage import Missing, open_storage
from orchestrator.outcome_files import NoOutcomes, Wanted, files_so_far, read_files
from orchestrator.runs import RunError, ask_for_run, began, retry_failed, run_report, run_status
from orchestrator.settings import Settings
from workflows.payload import Payload
from workflows.policy import Policy
from workflows.run import Retries, RunReport


class Retry(Payload):
    """What is tried again: `files` by their reasons, `aside` in quarantine; in this run, or in the new one `begun`.

    Of an open run the reasons are those of the rounds and batches that have ended; without `begun` nothing was asked.
    """

    run: str
    is_open: bool
    files: dict[str, int]
    aside: int = 0
    begun: str | None = None


async def failed_files(client: Client, settings: Settings, run: str, *, error: str = "") -> Retry:
    """Say which files of a run would be tried again; raises RunError when it never had a plan."""
    status = await run_status(client, run)
    wanted = Wanted("failed", None, error or None)
    if not status.state.final:
        with files_so_far(settings, status) as table:
            rows = read_files(settings, run, wanted, table=table) if table is not None else ()
            return Retry(run=run, is_open=True, files=dict(Counter(row["reason"] for row in rows)))
    report = await run_report(client, run)
    if report.plan is None:
        raise RunError(f"run {run} ended {report.state} before it had a plan: no file of it failed")
    try:
        found = Counter(row["reason"] for row in read_files(settings, run, wanted))
    except NoOutcomes as missing:
        raise RunError(f"the table of outcomes of run {run} is not in the storage (any more)") from missing
    aside = 0
    if report.outcomes.quarantined:
        aside = sum(1 for _ in read_files(settings, run, Wanted("quarantined", None, error or None)))
    return Retry(run=run, is_open=False, files=dict(found), aside=aside)


async def try_again(
    client: Client,
    settings: Settings,
    run: str,
    *,
    actor: str,
    reason: str = "",
    error: str = "",
    once: str | None = None,
) -> Retry:
    """Try them again, asked twice with the same `once` only once.

    Raises RunError when none failed, or when the run, or its policy, cannot take them now.
    """
    found = await failed_files(client, settings, run, error=error)
    if found.is_open:
        await retry_failed(client, run, actor=actor, reason=reason, error=error, once=once)
        return found.model_copy(update={"begun": run})
    if not found.files and not found.aside:
        raise RunError(f"no file of run {run} failed" + (f" with {error!r}" if error else ""))
    report = await run_report(client, run)
    start = await ask_for_run(
        client,
        settings,
        _policy_of(settings, report),
        actor=actor,
        reason=f"the failed files of {run}" + (f": {reason}" if reason else ""),
        version=report.version,
        retries=Retries(run=run, error=error),
        once=once,
    )
    return found.model_copy(update={"begun": began(start, report.policy)})


def _policy_of(settings: Settings, report: RunReport) -> Policy:
    """Give the policy of a run as it was when it made its plan."""
    assert report.plan is not None
    try:
        text = read_head(open_storage(settings.storage), report.plan.manifest).policy
    except Missing:
        text = None
    if text is None:
        raise RunError(f"the plan of run {report.run} is not in the storage (any more): start its policy anew")
    return Policy.model_validate_json(text)
