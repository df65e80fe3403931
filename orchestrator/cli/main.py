"""The command `orchestrator`: its nouns and verbs, and the one place where a command ends."""

import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from orchestrator.cli import show
from orchestrator.cli.apply import apply, destroy, rollback
from orchestrator.cli.approve import approve, reject
from orchestrator.cli.backfill import backfill
from orchestrator.cli.check import check
from orchestrator.cli.doctor import doctor
from orchestrator.cli.endings import Ending, told
from orchestrator.cli.events import app as events
from orchestrator.cli.explain import explain
from orchestrator.cli.holds import banner, freeze, pause, resume, thaw
from orchestrator.cli.import_ import app as import_
from orchestrator.cli.limits import app as limits
from orchestrator.cli.next import show_next
from orchestrator.cli.plan import plan
from orchestrator.cli.pools import pools
from orchestrator.cli.quarantine import app as quarantine
from orchestrator.cli.retry import retrying
from orchestrator.cli.run import run
from orchestrator.cli.runs import app as runs
from orchestrator.cli.schema import schema
from orchestrator.cli.services import localhub, serve, up, worker
from orchestrator.cli.starts import starts
from orchestrator.cli.status import history, status
from orchestrator.cli.steer import steering
from orchestrator.cli.tokens import app as tokens

app = typer.Typer(
    name="orchestrator",
    help="Policies and schedules for file tiering: YAML in, durable and auditable Hub jobs out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> NoReturn:
    """Run the command of this process's arguments and leave with its exit code."""
    code = invoke(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        with suppress(BrokenPipeError, ValueError):
            stream.flush()
    # The Temporal SDK's threads can crash the interpreter while it shuts down: leave without that.
    os._exit(code)


def invoke(arguments: list[str]) -> int:
    """Run one command and return its exit code; errors become plain lines on standard error."""
    _heed_signals()
    try:
        return _ended(arguments)
    except (typer.Abort, KeyboardInterrupt):
        sys.stderr.write("\nInterrupted.\n")
        return Ending.INTERRUPTED
    except TyperException as mistake:
        sys.stderr.write(show.harmless(_said(mistake)))
        return Ending.BAD_INPUT
    except BrokenPipeError:
        return Ending.DONE
    except Exception as error:
        if os.environ.get("ORCHESTRATOR_DEBUG", "").lower() in ("1", "true", "yes", "on"):
            raise
        ending, text = told(error)
        sys.stderr.write(f"{show.harmless(text)}\n")
        return ending


def _ended(arguments: list[str]) -> int:
    try:
        code = int(app(arguments, prog_name="orchestrator", standalone_mode=False) or 0)
    except typer.Exit as leaving:
        code = leaving.exit_code
    if arguments and arguments[0] in _ABOUT_THE_ENGINE:
        banner()
    return code


def _heed_signals() -> None:
    # A script's background job inherits SIGINT ignored; without a handler of it SIGTERM would do nothing either.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` means it.
        signal.signal(signal.SIGHUP, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"orchestrator {version('tiering-orchestrator')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", is_eager=True, callback=_show_version)
    ] = False,
) -> None: ...


POLICIES, APPLIED, RUNS, SERVICES, LOOKING = "Policies", "By itself", "Runs", "This machine", "Looking closer"
_ABOUT_THE_ENGINE = (
    "plan", "next", "apply", "status", "history", "rollback", "destroy", "pause", "resume", "freeze", "starts", "run",
    "runs", "approve", "reject", "doctor", "pools", "events", "backfill", "quarantine",
)  # fmt: skip
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

app.command(rich_help_panel=POLICIES)(check)
app.command(rich_help_panel=POLICIES)(plan)
app.command(rich_help_panel=POLICIES)(explain)
app.command("next", rich_help_panel=POLICIES)(show_next)
app.add_typer(import_, rich_help_panel=POLICIES)
app.command(rich_help_panel=POLICIES)(schema)
app.command(rich_help_panel=APPLIED)(apply)
app.command(rich_help_panel=APPLIED)(status)
app.command(rich_help_panel=APPLIED)(history)
app.command(rich_help_panel=APPLIED)(rollback)
app.command(rich_help_panel=APPLIED)(destroy)
app.command(rich_help_panel=APPLIED)(pause)
app.command(rich_help_panel=APPLIED)(resume)
app.command(rich_help_panel=APPLIED)(freeze)
app.command(rich_help_panel=APPLIED)(thaw)
app.command(rich_help_panel=APPLIED)(starts)
app.command(rich_help_panel=APPLIED)(backfill)
app.add_typer(events, rich_help_panel=APPLIED)
app.add_typer(pools, name="pools", rich_help_panel=APPLIED)
app.command(rich_help_panel=RUNS)(run)
app.add_typer(limits, rich_help_panel=RUNS)
runs.registered_commands += [*steering.registered_commands, *retrying.registered_commands]
app.add_typer(runs, rich_help_panel=RUNS)
app.command(rich_help_panel=RUNS)(approve)
app.command(rich_help_panel=RUNS)(reject)
app.command(rich_help_panel=SERVICES)(up)
app.command(rich_help_panel=SERVICES)(worker)
app.command(rich_help_panel=SERVICES, context_settings=_PASSED_ON)(localhub)
app.command(rich_help_panel=SERVICES)(serve)
app.add_typer(tokens, rich_help_panel=SERVICES)
app.command(rich_help_panel=LOOKING)(doctor)
app.add_typer(quarantine, rich_help_panel=LOOKING)


@app.command(rich_help_panel=LOOKING, context_settings=_PASSED_ON)
def hub(context: typer.Context) -> None:
    """Call any of the Hub's operations, checked against its contract before anything is sent."""
    from orchestrator.cli.hub import hub as call

    door = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    door.command(context_settings={"help_option_names": ["-h", "--help"]})(call)
    _pass_on(door, "hub", context.args)


@app.command(rich_help_panel=LOOKING, context_settings=_PASSED_ON)
def audit(context: typer.Context) -> None:
    """Read the audit, prove that it is whole, ask what happened to a file, report on a period."""
    from orchestrator.cli.audit import audit_app

    _pass_on(audit_app, "audit", context.args)


@app.command(rich_help_panel=LOOKING, context_settings=_PASSED_ON)
def notify(context: typer.Context) -> None:
    """List the notices to people and how their targets do, and try a target."""
    from orchestrator.cli.notify import notify_app

    _pass_on(notify_app, "notify", context.args)


@app.command(rich_help_panel=LOOKING, context_settings=_PASSED_ON)
def demo(context: typer.Context) -> None:
    """Show the whole job on this machine: a project tree, a run, and the proof that nothing was lost."""
    from orchestrator.cli.demo import demo as show_it

    door = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    door.command(context_settings={"help_option_names": ["-h", "--help"]})(show_it)
    _pass_on(door, "demo", context.args)


def _pass_on(door: typer.Typer, name: str, arguments: list[str]) -> None:
    """Run a door that is costly to import, now that it is wanted."""
    ended = door(arguments, prog_name=f"orchestrator {name}", standalone_mode=False)
    if ended:
        raise typer.Exit(int(ended))


def _said(mistake: TyperException) -> str:
    if not mistake.format_message():  # A bare noun: its help is printed already.
        return ""
    context = getattr(mistake, "ctx", None)
    command = context.command_path if context is not None else "orchestrator"
    return f"{command}: {mistake.format_message()}\nSee `{command} --help`.\n"
