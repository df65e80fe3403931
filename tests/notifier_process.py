"""A process that does nothing but send the notices of a state directory, to be killed by tests."""

import asyncio
from datetime import timedelta

from activities.audit import AuditLog
from activities.notices.notifier import Notifier
from activities.notices.outbox import Outbox
from activities.pool_samples import PoolSamples
from orchestrator.logs import configure_logs
from orchestrator.notify_file import load_targets
from orchestrator.settings import load_settings


def main() -> None:
    settings = load_settings()
    configure_logs(settings)
    outbox = Outbox(
        settings.notices.get_secret_value(), held_for=timedelta(seconds=1), sent_within=timedelta(seconds=2)
    )
    log, samples = AuditLog(settings.audit.get_secret_value()), PoolSamples(settings.samples.get_secret_value())
    asyncio.run(Notifier(log, outbox, load_targets(settings), samples).work())


if __name__ == "__main__":
    main()
