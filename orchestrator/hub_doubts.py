"""What the Hub says against a plan before anything moves: what it lacks for a run, and listed paths unknown to it."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import islice

from activities.errors import AuthError, HubError, NotFound, Permanent
from activities.hub import sites
from activities.hub.client import Hub
from activities.manifests import read_batch
from activities.preflight import PreflightRequest, findings
from activities.storage import Storage
from activities.whereabouts import look
from orchestrator.hub import open_hub
from orchestrator.settings import Settings, SettingsError
from workflows.names import shown
from workflows.plan import Plan
from workflows.policy import Policy
from workflows.units import advice

LOOKED_AT = 1_000
"""So many paths of a list are looked for: enough to see that a list is of another site, or of another time."""

PATIENCE = timedelta(seconds=5)
"""So long an apply waits for what the Hub says: it is a warning, and no reason to wait for a slow Hub."""

_EXAMPLES = 3


async def expect_site(hub: Hub, name: str) -> None:
    """Raise NotFound, with the nearest name, when the Hub has no such site: nothing can be asked of it."""
    known = sorted([site.name async for site in sites.sites(hub)])
    if name not in known:
        raise NotFound(f"the Hub has no site {name}: {advice(name, known)}", operation="GET /sites/")


async def unready(hub: Hub, policy: Policy) -> tuple[str, ...]:
    """Say what of the Hub a run counts on and would not find: site, hub workflows, queue; by the run's own look."""
    doubts: dict[str, None] = {}
    for name, queue in policy.run.needs:
        request = PreflightRequest(run="", site=policy.one_site, workflow=name, queue=queue)
        try:
            found = await findings(hub, request)
        except AuthError:
            raise
        except Permanent as error:
            return (f"the Hub does not tell whether it has what a run needs: {error}",)
        doubts |= {finding.problem: None for finding in found if finding.problem}
    return tuple(doubts)


async def doubts_before_apply(settings: Settings, policies: Sequence[Policy]) -> list[tuple[str, str]]:
    """Say of policies that are to be applied what a run would not find at the Hub; a Hub out of reach says nothing."""
    found: list[tuple[str, str]] = []
    known: dict[tuple[str, str, tuple[str, ...]], tuple[str, ...]] = {}
    if settings.hub_url is None or not policies:
        return found
    with suppress(HubError, SettingsError, TimeoutError):
        async with asyncio.timeout(PATIENCE.total_seconds()), open_hub(settings) as hub:
            for policy in policies:
                for site in policy.all_sites:
                    key = (site, policy.run.queue, tuple(policy.run.hub_workflows))
                    if key not in known:
                        known[key] = await unready(hub, policy.at(site))
                    found += [(policy.name, doubt) for doubt in known[key] if (policy.name, doubt) not in found]
    return found


async def unknown_paths(hub: Hub, storage: Storage, policy: Policy, plan: Plan) -> str | None:
    """Say how many of the paths that a list put into a plan the Hub does not know as files; None when it knows all."""
    if not plan.files:
        return None
    paths = await asyncio.to_thread(_first_paths, storage, plan)
    there = await look(hub, policy.one_site, paths)
    missing = [path for path in paths if (now := there[path]) is None or _is_no_file(now)]
    if not missing:
        return None
    examples = ", ".join(shown(path) for path in missing[:_EXAMPLES])
    all_of_them = f"{plan.files:,}" if len(paths) == plan.files else f"first {len(paths):,}"
    return (
        f"{len(missing):,} of the {all_of_them} listed paths are not known to the Hub as files, such as {examples}: "
        "a run counts them as failed (no_such_file)"
    )


def _first_paths(storage: Storage, plan: Plan) -> Sequence[str]:
    paths = (path for number in range(plan.batches) for path in read_batch(storage, plan.manifest, number).paths)
    return list(islice(paths, LOOKED_AT))


def _is_no_file(found: object) -> bool:
    return getattr(found, "type", None) not in (None, "file")
