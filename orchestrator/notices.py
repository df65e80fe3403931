"""What people ask of the notices: how the targets do, what waits, and one notice to see that a target works."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from activities.notices.notice import Kind, Notice, Urgency
from activities.notices.outbox import Outbox, TargetHealth
from activities.notices.sending import NoService, send
from activities.notices.targets import Targets
from activities.notices.wording import worded
from orchestrator.settings import Settings


@contextmanager
def outbox_of(settings: Settings) -> Iterator[Outbox]:
    """Open the outbox beside the audit."""
    outbox = Outbox(settings.notices.get_secret_value())
    try:
        yield outbox
    finally:
        outbox.close()


def tried(targets: Targets, name: str, actor: str) -> str | None:
    """Send one notice to a target at once, past the outbox; gives why it did not arrive, or None."""
    notice = Notice(
        key="test",
        kind=Kind.TEST,
        urgency=Urgency.INFO,
        group=Kind.TEST,
        title=f"A test of {name}",
        text=f"{actor} looks whether notices of the orchestrator arrive here. They do.",
        at=datetime.now(UTC),
    )
    try:
        return send(targets.targets[name].url.get_secret_value(), worded([notice]))
    except NoService as error:
        return str(error)


def how_targets_do(targets: Targets, outbox: Outbox) -> dict[str, TargetHealth]:
    """Tell how each target does: those of the settings, and those for which something waits although they are not."""
    known = outbox.health()
    names = [*targets.targets, *(name for name, how in known.items() if how.waiting and name not in targets.targets)]
    return {name: known.get(name, TargetHealth(name)) for name in names}
