"""`limits`: how many jobs all runs together may have in flight at a site."""

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption, ReasonOption, known_word
from orchestrator.cli.endings import Refusal

if TYPE_CHECKING:
    from activities.site_limits import SiteLimit

app = typer.Typer(name="limits", help="Limits of a site, over all its runs: set, list.", no_args_is_help=True)


@app.command("set")
def set_(
    site: Annotated[str, typer.Option("--site", help="The site.")],
    jobs: Annotated[str, typer.Option("--jobs", metavar="N|off", help="Jobs in flight at a time, of all runs.")],
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Bound the jobs in flight at a site, whatever its runs may do; jobs that are there already end by themselves."""
    if jobs != "off" and not (jobs.isascii() and jobs.isdigit() and 1 <= int(jobs) <= 100_000):
        raise Refusal(f"--jobs {jobs}: write a number of jobs, such as 8, or off")
    wanted = None if jobs == "off" else int(jobs)
    known_word("--site", site, _sites(site))
    limit = _with_limits(
        lambda limits: limits.put(site, wanted, actor=show.actor(), reason=reason, key=secrets.token_hex(8))
    )
    if as_json:
        show.document(_document(limit))
    elif wanted is None:
        show.say(f"Site {site} has no limit of its own any more.")
    else:
        show.say(f"At most {show.counted(wanted, 'job')} at a time at site {site}, whatever its runs may do.")


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the limits that hold."""
    standing = _with_limits(lambda limits: limits.standing())
    if as_json:
        show.document([_document(limit) for limit in standing.values()])
    elif not standing:
        show.say("No site has a limit of its own: each run keeps to its concurrency.")
    else:
        table = show.grid("site", ">jobs", "since", "by", "reason")
        for limit in standing.values():
            table.add_row(limit.site, str(limit.jobs), show.moment(limit.since), limit.actor, limit.reason)
        show.table(table)


def _sites(default: str) -> list[str]:
    """Name the sites of the catalog's policies; without any, whatever is said is taken."""
    from orchestrator.catalog import PolicyError, load_policy, policy_files
    from orchestrator.settings import load_settings

    folder, found = load_settings().policies_dir, set[str]()
    for file in policy_files(folder) if folder.is_dir() else ():
        with suppress(PolicyError):  # `check` tells about it
            found.update(load_policy(file).all_sites)
    return sorted(found) or [default]


def _with_limits(ask: Any) -> Any:
    from activities.ledger.log import AuditLog
    from activities.site_limits import SiteLimits
    from orchestrator.settings import load_settings

    log = AuditLog(load_settings().audit.get_secret_value())
    try:
        limits: SiteLimits = SiteLimits(log)
        return ask(limits)
    finally:
        log.close()


def _document(limit: "SiteLimit") -> dict[str, Any]:
    return {
        "site": limit.site,
        "jobs": limit.jobs,
        "actor": limit.actor,
        "reason": limit.reason,
        "since": show.stamp(limit.since),
    }
