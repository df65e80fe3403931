"""`tokens`: who may use the HTTP API and the dashboard, in which role, until when."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption, ReasonOption, known_word
from orchestrator.cli.endings import Refusal

if TYPE_CHECKING:
    from activities.ledger.log import AuditLog
    from orchestrator.tokens import Token, Tokens

app = typer.Typer(
    name="tokens", help="Tokens of the API and the dashboard: create, list, revoke.", no_args_is_help=True
)
T = TypeVar("T")


@app.command()
def create(
    person: Annotated[str, typer.Argument(metavar="PERSON", help="Who uses it, such as ann; the audit names them.")],
    role: Annotated[str, typer.Option("--role", help="viewer, operator, approver or admin.")] = "viewer",
    lasts: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long it is good, such as 12h or 90d.")
    ] = "90d",
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make a token and show it, once: only its hash is kept."""
    from orchestrator.granting import grant
    from orchestrator.roles import Role
    from workflows.units import parse_duration

    known_word("--role", role, [str(one) for one in Role])
    try:
        length = parse_duration(lasts)
    except ValueError as error:
        raise Refusal(f"--for {lasts}: {error}") from None
    token, text = _with_tokens(
        lambda tokens, log: grant(tokens, log, person, Role(role), length, actor=show.actor(), note=reason)
    )
    if as_json:
        show.document({**_document(token), "token": text})
        return
    show.plain(text)
    show.note(f"{token.person} is {token.role} with it until {show.moment(token.expires)}. It is not shown again.")


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the tokens, the newest first; what they are, never the tokens themselves."""
    found = _with_tokens(lambda tokens, log: tokens.listed())
    if as_json:
        show.document([_document(one) for one in found])
    elif not found:
        show.say("No tokens yet. `orchestrator tokens create PERSON --role ROLE` makes one.")
    else:
        table = show.grid("id", "person", "role", "until", "state", "made by", "why")
        for one in found:
            state = one.trouble(datetime.now(UTC)) or "good"
            until = show.moment(one.expires)[:16]
            table.add_row(one.id, one.person, str(one.role), until, state, one.created_by, one.note)
        show.table(table)


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(metavar="ID", help="The token's id, as `tokens list` shows it.")],
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let a token be no good from now on; browsers that signed in with it are signed out."""
    from orchestrator.granting import withdraw

    gone = _with_tokens(lambda tokens, log: withdraw(tokens, log, token, actor=show.actor(), reason=reason))
    if as_json:
        show.document({"id": gone.id, "person": gone.person, "revoked": True})
    else:
        show.say(f"The token {gone.id} of {gone.person} is revoked.")


def _with_tokens(ask: "Callable[[Tokens, AuditLog], T]") -> T:
    from activities.ledger.log import AuditLog
    from orchestrator.settings import load_settings
    from orchestrator.stack import make_state_folder
    from orchestrator.tokens import Tokens

    settings = load_settings()
    make_state_folder(settings)
    log, tokens = AuditLog(settings.audit.get_secret_value()), Tokens(settings.tokens.get_secret_value())
    try:
        return ask(tokens, log)
    finally:
        tokens.close()
        log.close()


def _document(one: "Token") -> dict[str, Any]:
    return {
        "id": one.id,
        "person": one.person,
        "role": str(one.role),
        "created": show.stamp(one.created),
        "created_by": one.created_by,
        "expires": show.stamp(one.expires),
        "revoked": show.stamp(one.revoked),
        "revoked_by": one.revoked_by,
        "reason": one.note,
    }
