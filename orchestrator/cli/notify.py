"""`notify`: where notices go, what waits, was sent or was given up, and a try of a target."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption
from orchestrator.cli.endings import Ending, Refusal

if TYPE_CHECKING:
    from activities.notices.outbox import Listed, TargetHealth
    from activities.notices.targets import Targets

notify_app = typer.Typer(
    name="notify",
    help="Notices to people: list, test.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
STATES = ("waiting", "sent", "given_up")


@notify_app.command("list")
def list_notices(
    state: Annotated[str | None, typer.Option(help="Only these: waiting, sent or given_up.")] = None,
    target: Annotated[str | None, typer.Option(help="Only those to this target.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the targets and how they do, and the newest notices: waiting, sent, given up."""
    from orchestrator.notices import how_targets_do, outbox_of
    from orchestrator.notify_file import load_targets
    from orchestrator.settings import load_settings

    if state is not None and state not in STATES:
        raise Refusal(f"--state is one of {', '.join(STATES)}")
    settings = load_settings()
    targets = load_targets(settings)
    with outbox_of(settings) as outbox:
        health, found = how_targets_do(targets, outbox), outbox.listed(state, target, limit)
    if as_json:
        show.document({"targets": [_target_document(one, targets) for one in health.values()], "notices": [
            _document(one) for one in found
        ]})  # fmt: skip
        return
    if not health:
        show.say("No target is set: notices go nowhere. docs/notifications.md tells how ORCHESTRATOR_NOTIFY_FILE is.")
    else:
        _print_targets(health, targets)
    if found:
        _print_notices(found)
    else:
        show.say("No such notice." if state or target else "No notice was made yet.")


@notify_app.command("test")
def try_targets(
    target: Annotated[str | None, typer.Argument(metavar="[TARGET]", help="This one alone; without it all.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Send a notice to a target at once, and say whether it took it."""
    from orchestrator.notices import tried
    from orchestrator.notify_file import load_targets
    from orchestrator.settings import load_settings
    from workflows.units import advice

    targets = load_targets(load_settings())
    if not targets.targets:
        raise Refusal("No target is set. docs/notifications.md tells how ORCHESTRATOR_NOTIFY_FILE is.")
    if target is not None and target not in targets.targets:
        raise Refusal(f"There is no target {target!r}: {advice(target, list(targets.targets))}")
    answers: dict[str, str | None] = {}
    for name in [target] if target else targets.targets:
        with show.waiting(f"sending to {name}"):
            answers[name] = tried(targets, name, show.actor())
        if not as_json:
            mark = "[green]ok  [/]" if answers[name] is None else "[red]fail[/]"
            show.marked(mark, f"{name}: {answers[name] or 'it took the notice; look whether it arrived'}")
    if as_json:
        show.document([{"target": name, "sent": why is None, "error": why} for name, why in answers.items()])
    if any(answers.values()):
        raise typer.Exit(Ending.UNREACHABLE)


def _print_targets(health: "dict[str, TargetHealth]", targets: "Targets") -> None:
    table = show.grid("target", ">waiting", "last sent", "state")
    for name, how in health.items():
        sent = "never" if how.last_sent is None else f"{how.last_sent:%Y-%m-%d %H:%M} UTC"
        table.add_row(name, f"{how.waiting:,}", sent, _state(how, name in targets.targets))
    show.table(table)


def _state(how: "TargetHealth", known: bool) -> str:
    if not known:
        return "not in the settings: what waits for it is given up"
    if how.failures:
        again = f", tried again at {how.next_try:%H:%M:%S} UTC" if how.next_try else ""
        return f"failed {show.counted(how.failures, 'time')} in a row{again}: {how.error}"
    return "well" if how.last_sent else "not used yet"


def _print_notices(found: "list[Listed]") -> None:
    table = show.grid("when (UTC)", "state", "target", "kind", "what")
    for one in found:
        state = one.state.replace("_", " ")
        table.add_row(f"{one.moved:%m-%d %H:%M:%S}", state, one.target, str(one.notice.kind), one.notice.title)
    show.table(table)


def _target_document(how: "TargetHealth", targets: "Targets") -> dict[str, Any]:
    return {
        "target": how.target,
        "known": how.target in targets.targets,
        "waiting": how.waiting,
        "oldest": None if how.oldest is None else show.stamp(how.oldest),
        "failures": how.failures,
        "error": how.error,
        "next_try": None if how.next_try is None else show.stamp(how.next_try),
        "last_sent": None if how.last_sent is None else show.stamp(how.last_sent),
    }


def _document(one: "Listed") -> dict[str, Any]:
    return {
        "target": one.target,
        "state": one.state,
        "since": show.stamp(one.moved),
        **one.notice.model_dump(mode="json", exclude={"html", "about", "group"}),
    }
