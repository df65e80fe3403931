"""`limits`: how many jobs all runs together may have in flight at a site, a queue or a target."""

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption, ReasonOption, known_word
from orchestrator.cli.endings import Refusal

if TYPE_CHECKING:
    from activities.limits import Lane, Limit

app = typer.Typer(
    name="limits", help="Limits of a site, a queue or a target, over all runs: set, list.", no_args_is_help=True
)


@app.command("set")
def set_(
    jobs: Annotated[str, typer.Option("--jobs", metavar="N|off", help="Jobs in flight at a time, of all runs.")],
    site: Annotated[str | None, typer.Option("--site", help="The site.")] = None,
    queue: Annotated[str | None, typer.Option("--queue", help="A queue of that site.")] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target", help="Where the files go: run.target, or else the site or pool that they are sent to."
        ),
    ] = None,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Bound the jobs in flight, whatever the runs may do; of several limits the strictest wins.

    Jobs that are there already end by themselves.
    """
    from activities.limits import Lane

    if site is None and target is None:
        raise Refusal("name what is bounded: --site, --site and --queue, or --target")
    if queue is not None and site is None:
        raise Refusal("--queue is one of a site: name that too, with --site")
    if jobs != "off" and not (jobs.isascii() and jobs.isdigit() and 1 <= int(jobs) <= 100_000):
        raise Refusal(f"--jobs {jobs}: write a number of jobs, such as 8, or off")
    wanted = None if jobs == "off" else int(jobs)
    lanes = _lanes()
    for option, name, known in (
        ("--site", site, {lane.site for lane in lanes}),
        ("--queue", queue, {lane.queue for lane in lanes if lane.site == site}),
        ("--target", target, {lane.target for lane in lanes if lane.target}),
    ):
        if known:
            known_word(option, name, sorted(known))
    lane = Lane(site or "", queue or "", target or "")
    limit = _with_limits(
        lambda limits: limits.put(lane, wanted, actor=show.actor(), reason=reason, key=secrets.token_hex(8))
    )
    if as_json:
        show.document(_document(limit))
    elif wanted is None:
        show.say(f"No limit of its own any more: {lane}.")
    else:
        show.say(f"At most {show.counted(wanted, 'job')} at a time at {lane}, whatever the runs may do.")


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the limits that hold."""
    standing = _with_limits(lambda limits: limits.standing())
    if as_json:
        show.document([_document(limit) for limit in standing])
    elif not standing:
        show.say("There are no limits: each run keeps to its concurrency.")
    else:
        table = show.grid("site", "queue", "target", ">jobs", "since", "by", "reason")
        for limit in standing:
            words = (limit.lane.site or "any", limit.lane.queue or "any", limit.lane.target or "any")
            table.add_row(*words, str(limit.jobs), show.moment(limit.since), limit.actor, limit.reason)
        show.table(table)


def _lanes() -> "list[Lane]":
    """List where the jobs of the catalog's policies go; `check` tells of those that cannot be read."""
    from activities.limits import Lane
    from orchestrator.catalog import PolicyError, load_policy, policy_files
    from orchestrator.settings import load_settings
    from workflows.order import target_of

    folder, found = load_settings().policies_dir, list[Lane]()
    for file in policy_files(folder) if folder.is_dir() else ():
        with suppress(PolicyError):
            policy = load_policy(file)
            for site in policy.all_sites:
                for step in policy.run.steps:
                    if step.workflow is not None:
                        found.append(Lane(site, step.queue or policy.run.queue, target_of(policy, step) or ""))
    return found


def _with_limits(ask: Any) -> Any:
    from activities.ledger.log import AuditLog
    from activities.limits import JobLimits
    from orchestrator.settings import load_settings

    log = AuditLog(load_settings().audit.get_secret_value())
    try:
        return ask(JobLimits(log))
    finally:
        log.close()


def _document(limit: "Limit") -> dict[str, Any]:
    return {
        "site": limit.lane.site or None,
        "queue": limit.lane.queue or None,
        "target": limit.lane.target or None,
        "jobs": limit.jobs,
        "actor": limit.actor,
        "reason": limit.reason,
        "since": show.stamp(limit.since),
    }
