"""The keeper of the schedules: looks again and again whether their calendars reach far enough and what was missed."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import VersioningBehavior

with workflow.unsafe.imports_passed_through():
    from activities.schedule_keeper import Kept, ScheduleKeeper
    from workflows.options import KEEP
    from workflows.scheduled import Keep, KeeperStatus

EVERY = timedelta(minutes=5)


@workflow.defn(versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class KeepSchedules:
    """Runs for as long as anything is scheduled."""

    @workflow.init
    def __init__(self, keep: Keep) -> None:
        self._looked = keep.looked
        self._running_out: tuple[str, ...] = ()
        self._again = False

    @workflow.run
    async def run(self, keep: Keep) -> None:
        """Look, wait, look again."""
        while not workflow.info().is_continue_as_new_suggested():
            self._again = False
            kept: Kept = await workflow.execute_activity_method(
                ScheduleKeeper.keep_schedules, Keep(looked=self._looked), **KEEP
            )
            self._looked, self._running_out = kept.looked, kept.running_out
            try:
                await workflow.wait_condition(lambda: self._again, timeout=EVERY)
            except TimeoutError:
                continue
        workflow.continue_as_new(Keep(looked=self._looked))

    @workflow.signal
    def look(self) -> None:
        """Look now."""
        self._again = True

    @workflow.query
    def status(self) -> KeeperStatus:
        """Tell when it looked last."""
        return KeeperStatus(looked=self._looked, running_out=self._running_out)
