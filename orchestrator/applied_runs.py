"""Starting a run of the applied version of a policy, as a person asks for it over HTTP."""

from orchestrator.engine import Engine
from orchestrator.runs import RunError, ask_for_run
from workflows.starts import Start


async def start_applied(
    engine: Engine, policy: str, *, site: str | None, actor: str, reason: str, once: str | None = None
) -> Start:
    """Ask the desk for a run of the applied version; asked again with the same `once`, it is the same run.

    Raises RunError where that is not clear or not possible.
    """
    version = engine.versions.current().get(policy)
    if version is None:
        raise RunError(f"policy {policy} is not applied: `orchestrator apply {policy}` does that")
    whole = engine.versions.policy(version)
    try:
        narrowed = whole.at(site or whole.one_site)
    except ValueError as error:
        raise RunError(str(error)) from None
    if not narrowed.enabled:
        raise RunError(f"policy {policy} is disabled: set `enabled: true` in it and apply it")
    return await ask_for_run(
        engine.client, engine.settings, narrowed, actor=actor, reason=reason, version=version.number, once=once
    )
