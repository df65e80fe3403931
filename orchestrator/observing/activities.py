"""What is known of an activity, in each line that it logs and in the counters: its run, policy, batch and job."""

import re
import time
from typing import Any

import structlog
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.metrics import ACTIVITY_FAILURES, ACTIVITY_RETRIES, SUBMITS

_SUBMIT = "submit_batch"
_RUN = re.compile(r"(?P<policy>[a-z0-9][a-z0-9-]{0,62})-\d{8}T\d{6}Z-[0-9a-f]{8}")
_NAMES = ("policy", "site", "round", "batch", "job")


class Observed(Interceptor):
    """Binds and counts in every activity of a worker."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Put ours before the activity."""
        return _Bound(next)


class _Bound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        if info.attempt > 1:
            ACTIVITY_RETRIES.labels(info.activity_type).inc()
        known = {"run": info.workflow_id, "activity": info.activity_type, "attempt": info.attempt, **named(input.args)}
        if "policy" not in known and (policy := policy_of(str(known["run"]))) is not None:
            known["policy"] = policy
        with structlog.contextvars.bound_contextvars(**known):
            try:
                answer = await super().execute_activity(input)
            except Exception:
                ACTIVITY_FAILURES.labels(info.activity_type).inc()
                raise
        if info.activity_type == _SUBMIT:
            SUBMITS.observe(max(0.0, time.time() - info.scheduled_time.timestamp()))
        return answer


def named(arguments: Any) -> dict[str, Any]:
    """Give what an activity's one argument says of itself: small words and numbers only."""
    found: dict[str, Any] = {}
    for value in arguments[:1]:
        for name in _NAMES:
            one = getattr(value, name, None)
            one = getattr(one, "name", one)  # A whole policy is known by its name.
            if isinstance(one, str | int) and not isinstance(one, bool):
                found[name] = one
        run = getattr(value, "run", None)
        if isinstance(run, str) and run:
            found["run"] = run
    return found


def policy_of(run: str) -> str | None:
    """Give the policy in a run's name, which `new_run_name` makes; None for what is no run."""
    match = _RUN.match(run)
    return None if match is None else match["policy"]
