"""`pause`, `resume`, `freeze` and `thaw`: nothing new begins until somebody lets it."""

import secrets
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption, ReasonOption
from orchestrator.cli.endings import Refusal
from orchestrator.cli.engine import with_engine

if TYPE_CHECKING:
    from activities.holds import Hold
    from orchestrator.engine import Engine

AppliedArgument = Annotated[str, typer.Argument(metavar="POLICY", help="An applied policy, by its name.")]
NoteOption = Annotated[str, typer.Option("--reason", "--note", help="Why; everybody sees it.")]


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
        show.say(f"{policy} starts nothing until `orchestrator resume {policy}`.")
        show.note("Runs that are open go on; `orchestrator runs pause` stops them.")


def resume(policy: AppliedArgument, reason: NoteOption = "", as_json: JsonOption = False) -> None:
    """Let a paused policy start again, whether it was paused here or in Temporal."""

    async def ask(engine: "Engine") -> "tuple[int, Hold | None]":
        from orchestrator.holding import resume_policy

        _refuse_unapplied(engine, policy)
        lifted = await resume_policy(engine, policy, actor=show.actor(), reason=reason)
        return lifted, next((hold for hold in engine.holds.standing() if hold.covers(policy, None, {})), None)

    lifted, still = with_engine(ask)
    if as_json:
        show.document({"policy": policy, "lifted": lifted, "held": None if still is None else str(still)})
        return
    show.say(f"{policy} starts by itself again." if lifted else f"{policy} was not paused.")
    if still is not None:
        show.note(f"But {still}.", style="yellow")


def freeze(
    reason: Annotated[str, typer.Option("--reason", help="Why; everybody sees it while the freeze holds.")] = "",
    site: Annotated[str | None, typer.Option("--site", help="Only this site.")] = None,
    label: Annotated[str | None, typer.Option("--label", metavar="K=V", help="Only policies with this label.")] = None,
    runs: Annotated[bool, typer.Option("--runs", help="Pause the runs that are open, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let nothing begin, everywhere or at a site or for a label, until it is thawed."""
    if not reason:
        raise Refusal("say why, for everybody who wonders: --reason '...'")
    wanted = _label(label)

    async def ask(engine: "Engine") -> "tuple[Hold, list[str]]":
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

    hold, paused = with_engine(ask, works=runs)
    if as_json:
        show.document({**_document(hold), "paused_runs": paused})
        return
    show.say(f"Frozen, {hold.scope}: nothing begins.", style="yellow")
    if runs:
        show.say(f"{show.counted(len(paused), 'open run')} paused.")
    show.note(f"`orchestrator thaw {hold.number}` ends it, and everything is as it was.")


def thaw(
    number: Annotated[int | None, typer.Argument(metavar="[FREEZE]", help="Its number; default: the only one.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every freeze that holds.")] = False,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """End a freeze: triggers start runs again, the runs that it paused go on."""

    async def ask(engine: "Engine") -> "list[tuple[Hold, list[str]]]":
        from orchestrator.holding import thaw as lift

        holds = _meant([hold for hold in engine.holds.standing() if hold.kind == "freeze"], number, every=every)
        return [(hold, await lift(engine, hold, actor=show.actor(), reason=reason)) for hold in holds]

    lifted = with_engine(ask, works=True)
    if as_json:
        show.document([{**_document(hold), "resumed_runs": runs} for hold, runs in lifted])
        return
    for hold, runs in lifted:
        went_on = f", {show.counted(len(runs), 'run')} resumed" if runs else ""
        show.say(f"Thawed, {hold.scope}{went_on}.", style="green")
    if not lifted:
        show.say("Nothing is frozen.")


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
                show.note(f"Frozen: {hold}. `orchestrator thaw {hold.number}` ends it.", style="yellow")
    finally:
        log.close()


def _meant(holds: "list[Hold]", number: int | None, *, every: bool) -> "list[Hold]":
    if every or (number is None and len(holds) <= 1):
        return holds
    listed = "; ".join(f"{hold.number}: {hold}" for hold in holds)
    if number is None:
        raise Refusal(f"several freezes hold: name one, or --all. {listed}")
    found = [hold for hold in holds if hold.number == number]
    if not found:
        raise Refusal(f"there is no freeze {number} that holds" + (f": {listed}" if listed else ""))
    return found


def _label(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise Refusal(f"--label {text}: expected a name and a value, such as tier=cold")
    return name, value


def _refuse_unapplied(engine: "Engine", policy: str) -> None:
    from workflows.units import advice

    applied = list(engine.versions.current())
    if policy not in applied:
        raise Refusal(f"policy {policy} is not applied: {advice(policy, applied) if applied else 'none is'}")


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
