"""What the commands of `audit` share: the opened log, and how times and records are named."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestrator.cli.endings import Ending, Refusal

if TYPE_CHECKING:
    from activities.ledger.log import AuditLog
    from orchestrator.settings import Settings


@contextmanager
def opened_log() -> "Iterator[tuple[AuditLog, Settings]]":
    """Open the audit of this installation; raises Refusal where nobody wrote one yet, or it cannot be read."""
    from activities.ledger.log import AuditLog
    from activities.ledger.records import AuditError, AuditUnavailable
    from orchestrator.settings import load_settings

    settings = load_settings()
    try:
        log = AuditLog(settings.audit.get_secret_value())
        if not log.is_there():
            raise Refusal(
                "There is no audit yet: no run has written one. ORCHESTRATOR_STATE_DIR and _AUDIT_URL say where."
            )
        try:
            yield log, settings
        finally:
            log.close()
    except AuditUnavailable as error:
        raise Refusal(f"{error}", Ending.UNREACHABLE) from error
    except AuditError as error:
        raise Refusal(f"{error}") from error


def moment_of(option: str, text: str | None) -> datetime | None:
    """Read a time or an age; raises Refusal."""
    from workflows.units import parse_duration

    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            return datetime.now(UTC) - parse_duration(text)
        except (ValueError, OverflowError):
            raise Refusal(f"{option} {text}: expected a time such as 2026-05-01T10:00Z or an age such as 2h") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
