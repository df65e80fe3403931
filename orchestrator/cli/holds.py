"""`pause`, `resume`, `freeze` and `thaw`: nothing new begins until somebody lets it."""

import secrets
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption, ReasonOption, refuse_unapplied
from orchestrator.cli.endings import Ending, Refusal
from orchestrator.cli.engine import with_engine

if TYPE_CHECKING:
    from activities.holds import Hold, Holds
    from orchestrator.engine import Engine
    from orchestrator.frozen_runs import Steered
    from orchestrator.holding import Frozen, Resumed

AppliedArgument = Annotated[str, typer.Argument(metavar="POLICY", help="An applied policy, by its name.")]
FreezeSiteOption = Annotated[str | None, typer.Option("--site", help="Only this site.")]
LabelOption = Annotated[str | None, typer.Option("--label", metavar="K=V", help="Only policies with this label.")]
NoteOption = Annotated[str, typer.Option("--reason", "--note", help="Why; everybody sees it.")]
_SHOWN = 8


def pause(policy: AppliedArgument, reason: NoteOption = "", as_json: JsonOption = False) -> None:
    """Let a policy start nothing until it is resumed; runs that are open go on."""

    async def ask(engine: "Engine") -> "Hold":
        from orchestrator.holding import pause_policy

        _refuse_unapplied(engine, policy)
        return await pause_policy(engine, policy, actor=show.actor(), reason=reason, key=secrets.token_hex(8))

    hold = with_engine(ask)
    if as_json:
        show.document(_document(hold))
    else:
        show.say(f"{policy} starts nothing until `{hold.remedy}`.")
        show.note("Runs that are open go on; `orchestrator runs pause` stops them.")


def resume(policy: AppliedArgument, reason: NoteOption = "", as_json: JsonOption = False) -> None:
    """Let a paused policy start again, whether it was paused here or in Temporal."""

    async def ask(engine: "Engine") -> "tuple[Resumed, bool]":
        from orchestrator.holding import resume_policy

        done = await resume_policy(engine, policy, actor=show.actor(), reason=reason)
        if not done.lifted and not done.schedules:
            _refuse_unapplied(engine, policy)
        return done, policy in engine.versions.current()

    done, applied = with_engine(ask)
    if as_json:
        document = {"policy": policy, "lifted": max(len(done.lifted), done.schedules)}
        show.document({**document, "held": str(done.still[0]) if done.still else None, "holds": _documents(done.still)})
        return
    show.say(_resumed(policy, done, applied=applied))
    for hold in done.lifted:
        show.note(f"Lifted: {hold}.")
    for hold in done.still:
        show.note(f"But {hold}. `{hold.remedy}` ends that.", style="yellow")


def freeze(
    reason: Annotated[str, typer.Option("--reason", help="Why; everybody sees it while the freeze holds.")] = "",
    site: FreezeSiteOption = None,
    label: LabelOption = None,
    runs: Annotated[bool, typer.Option("--runs", help="Pause the runs that are open, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let nothing begin, everywhere or at a site or for a label, until it is thawed."""
    if not reason:
        raise Refusal("say why, for everybody who wonders: --reason '...'")
    wanted = _label(label)

    async def ask(engine: "Engine") -> "Frozen":
        from orchestrator.holding import freeze as hold_all

        return await hold_all(
            engine,
            site=site,
            label=wanted,
            runs=runs,
            actor=show.actor(),
            reason=reason,
            key=secrets.token_hex(8),
        )

    done = with_engine(ask, works=runs)
    hold, paused = done.hold, done.runs
    if as_json:
        steered = {"paused_runs": paused.done, "not_paused": paused.failed}
        show.document({**_document(hold), "policies": done.policies, "stands": done.stands, **steered})
    else:
        _print_frozen(done, runs=runs)
    if paused.failed or not done.stands:
        raise typer.Exit(Ending.ENDED_BADLY)


def thaw(
    number: Annotated[int | None, typer.Argument(metavar="[FREEZE]", help="Its number; default: the only one.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every freeze that holds.")] = False,
    site: FreezeSiteOption = None,
    label: LabelOption = None,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """End a freeze: triggers start runs again, the runs that it paused go on."""
    if sum((number is not None, every, site is not None or label is not None)) > 1:
        raise Refusal("name a freeze by its number, or by its --site and --label, or take --all: one of these")
    scope = None if site is None and label is None else (site, _label(label))

    async def ask(engine: "Engine") -> "list[tuple[Hold, Steered]]":
        from orchestrator.holding import thaw as lift

        holds = _meant(engine.holds, number, scope, every=every)
        return [(hold, await lift(engine, hold, actor=show.actor(), reason=reason)) for hold in holds]

    lifted = with_engine(ask, works=True)
    if as_json:
        show.document([{**_document(hold), **_let_go(runs)} for hold, runs in lifted])
    else:
        for hold, runs in lifted:
            _print_thawed(hold, runs)
        if not lifted:
            show.say("Nothing is frozen.")
    if any(runs.failed for _, runs in lifted):
        raise typer.Exit(Ending.ENDED_BADLY)


def banner() -> None:
    """Say what is frozen, after any command that has to do with the engine."""
    from orchestrator.settings import load_settings

    settings = load_settings()
    address = settings.audit.get_secret_value()
    if address.startswith("sqlite") and not (settings.state_dir / "stack.lock").exists() and settings.audit_url is None:
        return  # Nothing was ever kept here.
    from activities.holds import Holds
    from activities.ledger.log import AuditLog

    log = AuditLog(address, wait=2.0)
    try:
        for hold in Holds(log).standing():
            if hold.kind == "freeze":
                show.note(f"Frozen: {hold}. `{hold.remedy}` ends it.", style="yellow")
    finally:
        log.close()


def _meant(
    holds: "Holds", number: int | None, scope: tuple[str | None, tuple[str, str] | None] | None, *, every: bool
) -> "list[Hold]":
    """Find the freezes that a thaw is for; one that was lifted already may have left a run behind."""
    frozen = [hold for hold in holds.standing() if hold.kind == "freeze"]
    if number is not None:
        hold = holds.find(number)
        if hold is None or hold.kind != "freeze":
            raise Refusal(f"there is no freeze {number}{_listed(frozen)}")
        return [hold]
    if scope is not None:
        found = [hold for hold in frozen if (hold.site, hold.label) == scope]
        if not found:
            raise Refusal(f"there is no such freeze{_listed(frozen)}")
        return found
    if not every and len(frozen) > 1:
        raise Refusal(f"several freezes hold: name one, or --all{_listed(frozen)}")
    return frozen


def _listed(holds: "list[Hold]") -> str:
    """List freezes, each on a line of its own."""
    if not holds:
        return "; nothing is frozen"
    width = max(len(str(hold.number)) for hold in holds)
    return "".join(f"\n  {hold.number:>{width}}  {hold}" for hold in holds)


def _resumed(policy: str, done: "Resumed", *, applied: bool) -> str:
    if not done.lifted and not done.schedules:
        return f"{policy} was not paused."
    if not applied:
        return f"{policy} is not paused any more. It is not applied, so nothing starts it by itself."
    return f"{policy} is not paused any more." if done.still else f"{policy} starts by itself again."


def _print_frozen(done: "Frozen", *, runs: bool) -> None:
    hold = done.hold
    if not done.stands:
        show.say(f"Somebody thawed {hold.scope} meanwhile: nothing is frozen by this.", style="yellow")
        return
    show.say(f"Frozen, {hold.scope}: nothing begins.", style="yellow")
    if done.policies:
        covered = ", ".join(done.policies[:_SHOWN]) + (", ..." if len(done.policies) > _SHOWN else "")
        show.say(f"It covers {show.counted(len(done.policies), 'applied policy', 'applied policies')}: {covered}.")
    else:
        show.say("No policy that is applied now is covered by it.", style="yellow")
    if runs:
        show.say(f"{show.counted(len(done.runs.done), 'open run')} paused.")
    for run, why in done.runs.failed.items():
        show.say(f"{run} is not paused: {why}. `orchestrator runs pause {run}` tries again.", style="red")
    show.note(f"`{hold.remedy}` ends it, and everything is as it was.")


def _print_thawed(hold: "Hold", runs: "Steered") -> None:
    went_on = len([run for run in runs.done if run not in runs.still])
    resumed = f", {show.counted(went_on, 'run')} resumed" if went_on else ""
    show.say(f"Thawed, {hold.scope}{resumed}.", style="green")
    for run, who in runs.still.items():
        show.say(f"{run} stays paused, by {who}.", style="yellow")
    for run, why in runs.failed.items():
        show.say(f"{run} may be paused still: {why}. `{hold.remedy}` tries again.", style="red")


def _let_go(runs: "Steered") -> dict[str, Any]:
    resumed = [run for run in runs.done if run not in runs.still]
    return {"resumed_runs": resumed, "still_paused": runs.still, "not_resumed": runs.failed}


def _label(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise Refusal(f"--label {text}: expected a name and a value, such as tier=cold")
    return name, value


def _refuse_unapplied(engine: "Engine", policy: str) -> None:
    refuse_unapplied(policy, engine.versions.current())


def _documents(holds: "list[Hold]") -> list[dict[str, Any]]:
    return [_document(hold) for hold in holds]


def _document(hold: "Hold") -> dict[str, Any]:
    return {
        "number": hold.number,
        "kind": hold.kind,
        "policy": hold.policy,
        "site": hold.site,
        "label": None if hold.label is None else "=".join(hold.label),
        "reason": hold.reason,
        "actor": hold.actor,
        "since": show.stamp(hold.since),
    }
