"""What watching a pool is about: the pool, its marks, its levels, and where its drains stand."""

from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

import rfc8785
from pydantic import Field

from workflows.payload import Payload
from workflows.policy import Policy
from workflows.triggers import Threshold


class PoolState(StrEnum):
    """Where a pool is, between its marks and its drains."""

    NORMAL = "normal"
    ABOVE = "above"
    DRAINING = "draining"
    HOLDING = "holding"
    BLOCKED = "blocked"
    CRITICAL = "critical"


class PoolRef(Payload):
    """A pool of a site, by the names that policies use."""

    site: str
    pool: str
    filesystem: str | None = None

    def __str__(self) -> str:
        where = f"{self.site}/{self.filesystem}" if self.filesystem else self.site
        return f"{where}/{self.pool}"


class Level(Payload):
    """A pool as it was measured, in bytes; utilisation is used space by capacity."""

    at: datetime
    used: int
    capacity: int

    def reaches(self, percent: float) -> bool:
        """Tell whether the level is at or above a mark."""
        return self.used * 100 >= percent * self.capacity

    @property
    def percent(self) -> float:
        """The level in percent of the capacity."""
        return 100 * self.used / self.capacity


class WatchEntry(Payload):
    """One threshold of one policy at one site, by what the rules need; the policy lies in the storage."""

    policy: str
    policy_digest: str
    version: int
    trigger: int
    site: str
    labels: dict[str, str]
    priority: int
    batch_bytes: int
    threshold: Threshold

    @property
    def key(self) -> str:
        """Tell it from the other entries of its pool."""
        return f"{self.policy}/{self.trigger}"

    @property
    def ref(self) -> PoolRef:
        """The pool that it watches."""
        mark = self.threshold
        return PoolRef(site=self.site, pool=mark.pool, filesystem=mark.filesystem)

    @property
    def digest(self) -> str:
        """Tell whether two entries would do the same."""
        return sha256(rfc8785.dumps([self.policy_digest, self.site, self.version, self.trigger])).hexdigest()

    @property
    def order(self) -> tuple[int, str, int]:
        """Its turn among the entries of its pool: by priority, then by name."""
        return (self.priority, self.policy, self.trigger)


def watch_entries(policy: Policy, version: int) -> list[WatchEntry]:
    """Give one entry for each threshold of a policy at each of its sites."""
    return [
        WatchEntry(
            policy=policy.name,
            policy_digest=policy.digest,
            version=version,
            trigger=number,
            site=site,
            labels=policy.labels,
            priority=policy.run.priority,
            batch_bytes=policy.run.batch.bytes,
            threshold=trigger.threshold,
        )
        for site in policy.all_sites
        for number, trigger in enumerate(policy.triggers)
        if trigger.threshold is not None
    ]


class Drain(Payload):
    """A drain from its first tranche to its last: whose marks it serves, and what it has come to.

    `confirmed` are bytes that the Hub said are done, counted from the level before them (`before`) and believed until
    `believed_until`, whatever the Hub's own count of used space says until then. `exhausted` entries have had their
    turn, `because` of what; `tried_in` are the runs that left files which cannot be moved, `tried` of them, and
    `fruitless` counts the last runs in a row that moved none.
    """

    since: datetime
    entries: tuple[str, ...]
    exhausted: tuple[str, ...] = ()
    because: dict[str, str] = Field(default_factory=dict)
    tried_in: tuple[str, ...] = ()
    tried: int = 0
    fruitless: int = 0
    lowest: int
    progress_at: datetime
    tranches: int = 0
    confirmed: int = 0
    before: int = 0
    believed_until: datetime | None = None
    urgent: bool = False


class Block(Payload):
    """Why a pool that is too full is left alone, and when it is looked at again; a firm one lasts though it grows."""

    why: str
    since: datetime
    until: datetime
    used: int
    firm: bool = False


class PoolBook(Payload):
    """All that is remembered of a pool between two decisions; `blocks` counts those since the last good end."""

    above: dict[str, datetime] = Field(default_factory=dict)
    drain: Drain | None = None
    hold_until: datetime | None = None
    blocked: Block | None = None
    blocks: int = 0
    critical: bool = False
    premigrated: dict[str, datetime] = Field(default_factory=dict)


class Site(Payload):
    """What holds for the policies of a pool at this moment.

    `in_flight` are the bytes that open runs of theirs still have to move; by policy, `held` says who holds it back and
    `busy` which run of it is open.
    """

    in_flight: int = 0
    held: dict[str, str] = Field(default_factory=dict)
    busy: dict[str, str] = Field(default_factory=dict)


class WatchState(Payload):
    """What a watcher hands to itself when it goes on with a fresh history."""

    ref: PoolRef
    entries: tuple[WatchEntry, ...] = ()
    book: PoolBook = PoolBook()
    runs: int = 0
    decisions: int = 0
    missing: bool = False


class WatchStatus(Payload):
    """The answer of a watcher: its entries in their turn, its book, the level that it last decided on."""

    ref: PoolRef
    state: PoolState
    entries: tuple[WatchEntry, ...]
    book: PoolBook
    level: Level | None = None
    run: str | None = None
    waits_for: str | None = None
    next_policy: str | None = None


PREMIGRATE_EVERY = timedelta(hours=6)
"""How often files between the marks are looked for while nothing is drained."""
