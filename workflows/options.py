"""Every timeout and retry of the product, by the name of what it is for."""

from datetime import timedelta
from typing import TypedDict

from temporalio.common import RetryPolicy, WorkflowIDReusePolicy
from temporalio.workflow import ActivityCancellationType, ParentClosePolicy

from activities.errors import PERMANENT


class ActivityOptions(TypedDict, total=False):
    """What is spread at the call of an activity."""

    schedule_to_close_timeout: timedelta
    start_to_close_timeout: timedelta
    heartbeat_timeout: timedelta
    retry_policy: RetryPolicy
    cancellation_type: ActivityCancellationType


class LocalOptions(TypedDict, total=False):
    """What is spread at the call of a local activity."""

    schedule_to_close_timeout: timedelta
    start_to_close_timeout: timedelta
    retry_policy: RetryPolicy


class ChildOptions(TypedDict, total=False):
    """What is spread at the start of a child workflow."""

    parent_close_policy: ParentClosePolicy
    id_reuse_policy: WorkflowIDReusePolicy


DAMAGED = ("Missing", "OutcomesDamaged")
"""Errors of our own storage that no further try can mend."""

PATIENT = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2,
    maximum_interval=timedelta(seconds=30),
    non_retryable_error_types=[*PERMANENT, *DAMAGED],
)
"""A service that is away comes back: try until somebody stops the run, at most 30 s apart."""

RECORD: ActivityOptions = {"start_to_close_timeout": timedelta(seconds=20), "retry_policy": PATIENT}
PREFLIGHT: ActivityOptions = {
    "start_to_close_timeout": timedelta(minutes=2),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(seconds=1),
        maximum_interval=timedelta(seconds=30),
        non_retryable_error_types=[*PERMANENT, *DAMAGED],
    ),
}
CHECK: ActivityOptions = {"start_to_close_timeout": timedelta(minutes=5), "retry_policy": PATIENT}
"""A look at the audit and the storage."""

LONG_READ: ActivityOptions = {
    "start_to_close_timeout": timedelta(days=7),
    "heartbeat_timeout": timedelta(seconds=20),
    "retry_policy": PATIENT,
    "cancellation_type": ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
}
"""Inventory, plan, next round, outcomes: minutes to hours, and a dead worker costs half a minute."""

SUBMIT: ActivityOptions = {
    "start_to_close_timeout": timedelta(days=7),
    "heartbeat_timeout": timedelta(seconds=20),
    "retry_policy": PATIENT,
    "cancellation_type": ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
}
"""Waits inside for a Hub that is away, so that only a lost worker makes a second attempt."""

CANCEL_JOBS: ActivityOptions = {
    "start_to_close_timeout": timedelta(hours=1),
    "heartbeat_timeout": timedelta(seconds=30),
    "retry_policy": PATIENT,
}

AT_ONCE_OR_LATER: LocalOptions = {
    "start_to_close_timeout": timedelta(seconds=20),
    "schedule_to_close_timeout": timedelta(seconds=5),
    "retry_policy": PATIENT,
}
"""A few milliseconds with the audit, in the worker that has the workflow: a third of the way of an activity.

Given up soon: retries of a local activity make the history longer, those of another do not.
"""

CANCEL_RUN: ActivityOptions = {
    "start_to_close_timeout": timedelta(seconds=30),
    "schedule_to_close_timeout": timedelta(minutes=10),
    "retry_policy": PATIENT,
}

FOLLOW: ActivityOptions = {
    "start_to_close_timeout": timedelta(days=3650),
    "heartbeat_timeout": timedelta(seconds=20),
    "retry_policy": PATIENT,
}
"""Wait for the end of a run: campaigns last for weeks, and the wait costs one call in a while."""

WATCH: ActivityOptions = {
    "start_to_close_timeout": timedelta(days=3650),
    "heartbeat_timeout": timedelta(seconds=90),
    "retry_policy": PATIENT,
    "cancellation_type": ActivityCancellationType.TRY_CANCEL,
}
"""A quiet pool: the beats are rare, and nobody waits for the watch to hear that it is over."""

MEASURE: ActivityOptions = {
    "start_to_close_timeout": timedelta(minutes=5),
    "retry_policy": RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1)),
}
"""For as long as the pool is watched: also a key that the Hub refuses is set right one day."""

KEEP: ActivityOptions = {
    "start_to_close_timeout": timedelta(hours=1),
    "heartbeat_timeout": timedelta(seconds=30),
    "retry_policy": PATIENT,
}

RUN: ChildOptions = {
    "parent_close_policy": ParentClosePolicy.ABANDON,
    "id_reuse_policy": WorkflowIDReusePolicy.REJECT_DUPLICATE,
}
"""A run goes on whatever becomes of the desk that began it, and its name is never another run's."""

SEGMENT: ChildOptions = {"parent_close_policy": ParentClosePolicy.TERMINATE}

SEGMENT_BATCHES = 500
"""Batches in one segment: at no more than 12 events a batch, 17 with a rate, its history stays below 10,000."""

SEGMENT_EVENTS, RUN_EVENTS = 8_000, 6_000
"""With histories longer than that a segment begins nothing more, and a run lets its segments end, to go on with fresh
ones: a breaker that tries again and again for weeks takes 35 events of a segment and 32 of its run each time."""

HANDOVERS = 8
"""In how many steps a segment that drains hands its slots to the next; each costs the run a few events."""

WATCH_MARGIN = timedelta(hours=2)
"""What a watch may last beyond the job's own limit: cancelling a late job, and an outage of the Hub at its end."""


def watching(job_timeout: timedelta, *, pauses: bool = False) -> ActivityOptions:
    """Follow one job to its end; the job's own limit is kept inside, where the job can be cancelled.

    The time for which a window's end pauses a job does not count, so that only the inside can tell when it is late.
    """
    return {
        "start_to_close_timeout": timedelta(days=3650) if pauses else job_timeout + WATCH_MARGIN,
        "heartbeat_timeout": timedelta(seconds=20),
        "retry_policy": PATIENT,
    }
