"""How long a plan would take, from what past runs of the policy did; without any, nobody knows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from activities.ledger.records import Stored
from activities.plan_checks import runs_of
from workflows.plan import Plan

LOOKED_AT = 10
"""So many of the last runs are a basis that is wide enough and still recent."""


@dataclass(frozen=True)
class Estimate:
    """Seconds that a plan would take at the rate of each of so many past runs: the median, and the range."""

    runs: int
    seconds: float
    shortest: float
    longest: float


@dataclass(frozen=True)
class Rate:
    """What one run did, a second."""

    files: float
    bytes: float


def estimate(plan: Plan, rates: Sequence[Rate]) -> Estimate | None:
    """Estimate the working time of a plan; None when no run did anything yet, or when there is nothing to do.

    Of each run's rates in files and in bytes the one that takes longer counts.
    """
    lengths = sorted(_seconds(plan, rate) for rate in rates)
    if not lengths or not plan.files:
        return None
    return Estimate(len(lengths), median(lengths), lengths[0], lengths[-1])


def past_rates(log: AuditLog, policy: str) -> list[Rate]:
    """Give the rates of the last runs that did something, from the first batch to the end.

    So the retries and the pauses of a run are in its rate; listing and waiting for approval are not.
    """
    return list(_rates(log, policy)) if log.is_there() else []


def _rates(log: AuditLog, policy: str) -> Iterator[Rate]:
    for end in runs_of(log, policy, LOOKED_AT):
        begun = log.records(run=end.run, event=Event.ROUND_STARTED, limit=1)
        seconds = _length(begun[0], end) if begun else 0
        done = end.body["outcomes"]["done"]
        if done and seconds > 0:
            yield Rate(done / seconds, int(end.body["outcomes"]["bytes_done"]) / seconds)


def _seconds(plan: Plan, rate: Rate) -> float:
    return max(plan.files / rate.files, plan.bytes / rate.bytes if rate.bytes else 0.0)


def _length(begun: Stored, end: Stored) -> float:
    return (datetime.fromisoformat(end.at) - datetime.fromisoformat(begun.at)).total_seconds()
