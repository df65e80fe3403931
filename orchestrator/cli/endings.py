"""How a command ends: its exit code, and what it tells a person when something is in the way."""

import json
import re
import sys
from enum import IntEnum
from typing import Any


class Ending(IntEnum):
    """The exit codes of every command."""

    DONE = 0
    ENDED_BADLY = 1
    BAD_INPUT = 2
    UNREACHABLE = 3
    INTERRUPTED = 130


class Refusal(Exception):
    """A command cannot go on; the text says why and what to do next, in one line or a few."""

    def __init__(self, text: str, ending: Ending = Ending.BAD_INPUT) -> None:
        super().__init__(text)
        self.ending = ending


def told(error: BaseException) -> tuple[Ending, str]:
    """Turn an error that reached the command line into an exit code and plain lines."""
    if isinstance(error, Refusal):
        return error.ending, str(error)
    for kind, ending, hint in _known():
        if isinstance(error, kind):
            text = str(error).removeprefix(f"{type(error).__name__}: ").strip() or type(error).__name__
            return ending, f"{text.rstrip('.')}. {hint}" if hint else text
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return Ending.BAD_INPUT, f"{error.strerror or error}{where}"
    if isinstance(error, json.JSONDecodeError):
        return Ending.BAD_INPUT, f"not JSON: {error}"
    return Ending.ENDED_BADLY, f"unexpected {type(error).__name__}: {error}\nORCHESTRATOR_DEBUG=1 shows where."


def plain(text: str) -> str:
    """The message without the name of its class, which Temporal writes before it."""
    return _CLASS.sub("", text, count=1)


_CLASS = re.compile(r"^[A-Z][A-Za-z]+: ")


def _known() -> list[tuple[type[BaseException], Ending, str]]:
    """The errors that modules loaded so far can raise, the most specific first; nothing is imported for it."""
    wanted: list[tuple[str, str, Ending, str]] = [
        ("orchestrator.settings", "SettingsError", Ending.BAD_INPUT, ""),
        ("orchestrator.catalog", "PolicyError", Ending.BAD_INPUT, ""),
        ("orchestrator.services", "StackError", Ending.UNREACHABLE, ""),
        ("orchestrator.temporal", "TemporalUnreachable", Ending.UNREACHABLE, "`orchestrator doctor` tells more."),
        ("orchestrator.runs", "RunError", Ending.BAD_INPUT, ""),
        ("orchestrator.holding", "HoldError", Ending.BAD_INPUT, ""),
        ("activities.holds", "BadNote", Ending.BAD_INPUT, ""),
        ("orchestrator.applying", "ApplyError", Ending.BAD_INPUT, ""),
        ("orchestrator.tokens", "TokenError", Ending.BAD_INPUT, ""),
        ("orchestrator.applied", "NoWorker", Ending.UNREACHABLE, ""),
        ("orchestrator.versions", "VersionError", Ending.BAD_INPUT, ""),
        ("orchestrator.outcome_files", "NoOutcomes", Ending.BAD_INPUT, ""),
        ("activities.lists", "BadList", Ending.BAD_INPUT, ""),
        ("activities.selection", "UnknownAttributes", Ending.BAD_INPUT, ""),
        ("activities.ledger.records", "AuditUnavailable", Ending.UNREACHABLE, ""),
        ("activities.ledger.records", "AuditError", Ending.ENDED_BADLY, ""),
        ("temporalio.service", "RPCError", Ending.UNREACHABLE, "`orchestrator doctor` tells more."),
        ("activities.errors", "AuthError", Ending.UNREACHABLE, "Check ORCHESTRATOR_HUB_KEY or the user and password."),
        ("activities.errors", "Unreachable", Ending.UNREACHABLE, "`orchestrator doctor` shows what is reachable."),
        ("activities.errors", "Retryable", Ending.UNREACHABLE, "Try again in a while."),
        ("activities.errors", "OutcomeUnknown", Ending.UNREACHABLE, ""),
        ("activities.errors", "HubError", Ending.BAD_INPUT, ""),
        ("sqlalchemy.exc", "OperationalError", Ending.UNREACHABLE, ""),
    ]
    found: list[tuple[type[BaseException], Ending, str]] = []
    for module, name, ending, hint in wanted:
        kind: Any = getattr(sys.modules.get(module), name, None)
        if isinstance(kind, type) and issubclass(kind, BaseException):
            found.append((kind, ending, hint))
    return found
