"""What a schedule of Temporal starts: it tells the desk of the site that the policy wants to run, and is over."""

from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import SearchAttributeKey, VersioningBehavior

with workflow.unsafe.imports_passed_through():
    from activities.audit import Audit
    from activities.starting import Starts, missed_start
    from workflows.options import RECORD
    from workflows.run import RunRequest
    from workflows.scheduled import ScheduledStart
    from workflows.starts import Cause, wish_for

SCHEDULED_FOR = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")
LATE = timedelta(minutes=1)


@workflow.defn(versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class Fire:
    """One fire time of one schedule trigger."""

    @workflow.run
    async def run(self, start: ScheduledStart) -> str:
        """Hand the wish in, and give its key."""
        now = workflow.now()
        meant = workflow.info().typed_search_attributes.get(SCHEDULED_FOR) or now
        if now - meant - start.jitter > start.schedule.catch_up + LATE:
            # The engine kept its catch-up window, but no worker was there to hear of it.
            # Another schedule of the policy may mean the same start and have more patience: then the keeper tells.
            if now - meant - start.jitter > start.patience + LATE:
                await workflow.execute_activity_method(Audit.record, missed_start(start, meant), **RECORD)
            return start.key_at(meant)
        text = start.text + _lateness(meant, now, start.jitter)
        request = RunRequest(run="", policy=start.policy, version=start.version, actor="schedule", reason=text)
        wish = wish_for(
            key=start.key_at(meant),
            request=request,
            cause=Cause(kind="schedule", text=text, scheduled=meant),
            overlap=start.overlap,
        )
        await workflow.execute_activity_method(Starts.hand_in, wish, **RECORD)
        return wish.key


def _lateness(meant: datetime, now: datetime, jitter: timedelta) -> str:
    late = now - meant - jitter
    if late < LATE:
        return ""
    minutes = round(late / timedelta(minutes=1))
    hours, minutes = divmod(minutes, 60)
    return f", caught up {hours} h {minutes} min late" if hours else f", caught up {minutes} min late"
