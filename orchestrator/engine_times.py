"""The engine's own fire times: what Temporal says that a Schedule of it will do."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from temporalio.api.workflowservice.v1 import ListScheduleMatchingTimesRequest
from temporalio.client import Client

__all__ = ["differences", "engine_fire_times"]

_MOST_TIMES = 1000  # The server's limit for one answer; it says nothing of the rest.


async def engine_fire_times(
    client: Client, schedule_id: str, after: datetime, until: datetime, limit: int | None = None
) -> list[datetime]:
    """List when a Schedule fires after `after` up to and with `until`, the first `limit` of them, in UTC.

    Raises RPCError: NOT_FOUND where there is no such Schedule. A Schedule's jitter is in them.
    """
    found: list[datetime] = []
    while limit is None or len(found) < limit:
        request = ListScheduleMatchingTimesRequest(namespace=client.namespace, schedule_id=schedule_id)
        request.start_time.FromDatetime(after)
        request.end_time.FromDatetime(until)
        answer = await client.workflow_service.list_schedule_matching_times(request)
        times = [stamp.ToDatetime(UTC) for stamp in answer.start_time]
        found += times
        if len(times) < _MOST_TIMES:
            break
        after = times[-1]
    return found[:limit]


def differences(
    ours: Sequence[datetime], engine: Sequence[datetime], jitter: timedelta = timedelta(0)
) -> Iterator[tuple[datetime | None, datetime | None]]:
    """Pair the fire times that we computed with the engine's, and give the pairs that do not match.

    Both are in order and of the same length of time; one that has no partner is paired with None.
    """
    mine, its = 0, 0
    while mine < len(ours) or its < len(engine):
        one = ours[mine] if mine < len(ours) else None
        other = engine[its] if its < len(engine) else None
        if one is not None and other is not None and one <= other <= one + jitter:
            mine, its = mine + 1, its + 1
        elif other is None or (one is not None and one < other):
            yield one, None
            mine += 1
        else:
            yield None, other
            its += 1
