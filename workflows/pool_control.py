"""The rules of a watched pool: when a drain starts, how much its next run takes, when it ends and when it gives up.

Plain rules over plain values. Every decision carries the numbers that it was made of:
    lower_bytes = floor(lower x capacity / 100)
    need        = used - lower_bytes - in_flight - confirmed
    room        = floor(max_utilisation x destination_capacity / 100) - destination_used, null without such a bound
    tranche     = max(0, need), and at most `room`
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from workflows.pools import PREMIGRATE_EVERY, Block, Drain, Level, PoolBook, PoolState, Site, WatchEntry

LEAST_REST = timedelta(minutes=1)
MOST_REST = timedelta(hours=1)
"""A blocked pool is looked at again after its `hold_down`, or after these: each block in a row rests twice as long."""

CALLED_OFF_REST = timedelta(minutes=10)
"""A drain whose run somebody cancelled does not begin again before its `hold_down`, or this where that is shorter."""

MOST_FRUITLESS = 5
"""After so many runs in a row whose files could not be moved, a policy has had its turn."""

MOST_TRIED = 200
"""So many runs of a drain are remembered for the files that they could not move."""

SOON = timedelta(minutes=10)
"""After so long a copy that did not begin is wished for again."""


class Act(StrEnum):
    """What is done about a pool now."""

    REST = "rest"
    SETTLE = "settle"
    DRAIN = "drain"
    WAIT = "wait"
    PREMIGRATE = "premigrate"
    END = "end"
    BLOCK = "block"


@dataclass(frozen=True)
class Decision:
    """What is done, for which entry, with which numbers, and the book as it is from then on."""

    act: Act
    book: PoolBook
    why: str = ""
    entry: WatchEntry | None = None
    tranche: int = 0
    numbers: Mapping[str, object] = field(default_factory=dict)
    alerts: tuple[str, ...] = ()

    @property
    def room(self) -> int | None:
        """How many bytes may go to the destination; None without a bound."""
        found = self.numbers.get("room")
        return found if isinstance(found, int) else None


@dataclass(frozen=True)
class RunOfDrain:
    """How a run of a drain ended: bytes moved, files tried and not moved, and what kept it from trying."""

    run: str
    done: int
    tried: int
    why: str = ""


def watched(book: PoolBook, entries: Sequence[WatchEntry], level: Level) -> PoolBook:
    """Write into the book since when the level is at or above each entry's upper mark."""
    above = {
        entry.key: book.above.get(entry.key, level.at) for entry in entries if level.reaches(entry.threshold.upper)
    }
    return book if above == book.above else book.model_copy(update={"above": above})


def crossed(book: PoolBook, entries: Sequence[WatchEntry], level: Level) -> tuple[str, ...]:
    """Name the entries whose upper mark has been met for long enough; a critical level needs no `sustain`."""
    return tuple(
        entry.key
        for entry in entries
        if (since := book.above.get(entry.key)) is not None
        and (level.at - since >= entry.threshold.sustain or is_critical((entry,), level))
    )


def is_critical(entries: Sequence[WatchEntry], level: Level) -> bool:
    """Tell whether the level is at or above a critical mark."""
    return any(e.threshold.critical is not None and level.reaches(e.threshold.critical) for e in entries)


def wants_a_decision(book: PoolBook, entries: Sequence[WatchEntry], level: Level) -> bool:
    """Tell whether a measured level is more than a number to remember."""
    critical = is_critical(entries, level)
    if critical != book.critical:
        return True
    if book.drain is not None:
        return True
    if wants_a_drain(book, entries, level):
        return True
    return (book.blocked is not None and not book.above) or _premigrates(book, entries, level) is not None


def wants_a_drain(book: PoolBook, entries: Sequence[WatchEntry], level: Level) -> bool:
    """Tell whether a drain would begin at this level."""
    critical = is_critical(entries, level)
    return not _rests(book, level, critical=critical) and bool(crossed(book, entries, level))


def decide(
    book: PoolBook,
    entries: Sequence[WatchEntry],
    level: Level,
    destinations: Mapping[str, Level],
    site: Site | None = None,
) -> Decision:
    """Decide what is done about a pool; `destinations` are the pools that entries fill, as measured, by name."""
    site = site or Site()
    entries = sorted(entries, key=lambda one: one.order)
    critical = is_critical(entries, level)
    alerts = ("the pool is at its critical mark",) if critical and not book.critical else ()
    book = watched(book, entries, level).model_copy(update={"critical": critical})
    if not book.above and book.drain is None:
        book = book.model_copy(update={"blocks": 0})
    if book.drain is None:
        if book.blocked is not None and (not book.above or level.at >= book.blocked.until):
            book = book.model_copy(update={"blocked": None})
        ready = () if _rests(book, level, critical=critical) else crossed(book, entries, level)
        if not ready:
            return _quiet(book, entries, level, destinations, site, alerts)
        drain = Drain(since=level.at, entries=ready, lowest=level.used, progress_at=level.at, urgent=critical)
        book = book.model_copy(update={"drain": drain, "blocked": None, "hold_until": None})
    return _go_on_draining(book, entries, level, destinations, site, alerts)


def after_run(book: PoolBook, entry: WatchEntry, ended: RunOfDrain, *, before: Level, now: datetime) -> PoolBook:
    """Take the end of a drain's run into the book.

    One that had nothing to move, or could not begin, leaves its turn to the next policy. One whose files all failed
    does not: the next run leaves them out.
    """
    drain = book.drain
    if drain is None:
        return book
    changes: dict[str, object] = {}
    if ended.tried:
        changes |= {"tried_in": (*drain.tried_in, ended.run)[-MOST_TRIED:], "tried": drain.tried + ended.tried}
    if ended.done > 0:
        changes |= {
            "fruitless": 0,
            # What an earlier run freed and the level before this one did not show yet still counts.
            "confirmed": credit(drain, before) + ended.done,
            "before": before.used,
            "believed_until": now + settle_time(entry),
        }
    elif ended.tried and not ended.why and drain.fruitless + 1 < MOST_FRUITLESS:
        changes["fruitless"] = drain.fruitless + 1
    else:
        why = f"{MOST_FRUITLESS} runs of {entry.policy} in a row moved nothing, the last one {ended.run}"
        why = ended.why or (why if ended.tried else _nothing_left(entry, drain))
        changes |= {"fruitless": 0, "exhausted": (*drain.exhausted, entry.key)}
        changes["because"] = {**drain.because, entry.key: why}
    return book.model_copy(update={"drain": drain.model_copy(update=changes)})


def called_off(book: PoolBook, entry: WatchEntry, run: str, *, used: int, now: datetime) -> tuple[PoolBook, str]:
    """End a drain whose run somebody cancelled: nothing begins again at once, however much the pool grows."""
    until = now + max(entry.threshold.hold_down, CALLED_OFF_REST)
    why = f"run {run} was cancelled by somebody; `pause {entry.policy}` holds it back for longer"
    block = Block(why=why, since=now, until=until, used=used, firm=True)
    return book.model_copy(update={"drain": None, "blocked": block}), (
        f"{why}; no drain before {until:%Y-%m-%d %H:%M} UTC"
    )


def not_begun(book: PoolBook, entry: WatchEntry, now: datetime) -> PoolBook:
    """Let a copy that did not begin be wished for again soon."""
    soon = {**book.premigrated, entry.key: now - PREMIGRATE_EVERY + SOON}
    return book.model_copy(update={"premigrated": soon})


def stuck(drain: Drain, entry: WatchEntry, level: Level) -> bool:
    """Tell whether a drain has made no progress for `give_up_after`."""
    return level.used >= drain.lowest and level.at - drain.progress_at >= entry.threshold.give_up_after


def too_far(entry: WatchEntry, level: Level, tranche: int) -> bool:
    """Tell whether the level lies a whole batch below the lower mark, so that a run that goes on must end."""
    batch = min(entry.batch_bytes, tranche)
    return level.used < lower_bytes(entry, level) - batch


def is_full(entry: WatchEntry, destination: Level) -> bool:
    """Tell whether a destination is at its mark."""
    mark = entry.threshold.max_utilisation
    return mark is not None and destination.used >= share(mark, destination.capacity)


def state_of(book: PoolBook, level: Level | None) -> PoolState:
    """Name where a pool is."""
    if book.drain is not None:
        return PoolState.CRITICAL if book.critical else PoolState.DRAINING
    if book.critical:
        return PoolState.CRITICAL
    if book.blocked is not None:
        return PoolState.BLOCKED
    if book.hold_until is not None and (level is None or level.at < book.hold_until):
        return PoolState.HOLDING
    return PoolState.ABOVE if book.above else PoolState.NORMAL


def lower_bytes(entry: WatchEntry, level: Level) -> int:
    """Give the most bytes that may be used at the lower mark."""
    return share(entry.threshold.lower, level.capacity)


def share(percent: float, capacity: int) -> int:
    """Give a percentage of a capacity in whole bytes, rounded down, without the errors of binary fractions."""
    return int(Decimal(str(percent)) * capacity / 100)


def settle_time(entry: WatchEntry) -> timedelta:
    """Give how long the Hub's count of used space may lag behind what it said is done."""
    return 2 * min(entry.threshold.check_every, timedelta(minutes=5))


def credit(drain: Drain, level: Level) -> int:
    """Give the bytes that are done and that the measured level does not show yet."""
    if drain.believed_until is None or level.at >= drain.believed_until:
        return 0
    return max(0, drain.confirmed - max(0, drain.before - level.used))


# A drain that is under way.


def _go_on_draining(
    book: PoolBook,
    entries: Sequence[WatchEntry],
    level: Level,
    destinations: Mapping[str, Level],
    site: Site,
    alerts: tuple[str, ...],
) -> Decision:
    drain = book.drain
    assert drain is not None
    if level.used < drain.lowest:
        drain = drain.model_copy(update={"lowest": level.used, "progress_at": level.at})
    joined = [key for key in crossed(book, entries, level) if key not in drain.entries]
    drain = drain.model_copy(update={"entries": (*drain.entries, *joined), "urgent": book.critical})
    book = book.model_copy(update={"drain": drain})
    serving = [entry for entry in entries if entry.key in drain.entries]
    unserved = [entry for entry in serving if level.used > lower_bytes(entry, level)]
    if not unserved:
        return _ended(book, serving, level, alerts)
    confirmed = credit(drain, level)
    left = [entry for entry in unserved if entry.key not in drain.exhausted]
    held = [entry for entry in left if entry.policy in site.held]
    full: list[str] = []
    for entry in [entry for entry in left if entry not in held]:
        numbers = _numbers(entry, level, destinations, site.in_flight, confirmed)
        if stuck(drain, entry, level):
            why = f"no progress since {drain.progress_at:%Y-%m-%d %H:%M:%S} UTC (give_up_after)"
            return _blocked(book, entry, level, numbers, why, alerts)
        need, tranche = int(str(numbers["need"])), int(str(numbers["tranche"]))
        if need <= 0:
            why = "what is under way or done will reach the lower mark: the Hub's count is waited for"
            return Decision(Act.SETTLE, book, why, entry, 0, numbers, alerts)
        if tranche <= 0:
            full.append(_why_full(entry, destinations))
            continue
        if (busy := site.busy.get(entry.policy)) is not None:
            return Decision(Act.WAIT, book, busy, entry, 0, numbers, alerts)
        update = drain.model_copy(update={"tranches": drain.tranches + 1})
        why = f"{entry.policy} is next: {tranche} bytes to the lower mark"
        book = book.model_copy(update={"drain": update})
        return Decision(Act.DRAIN, book, why, entry, tranche, numbers, alerts)
    entry = held[0] if held else unserved[0]
    numbers = _numbers(entry, level, destinations, site.in_flight, confirmed)
    if held:  # they may have something left
        return _held(book, entry, level, numbers, site.held[entry.policy], alerts)
    reasons = "; ".join(dict.fromkeys([*full, *drain.because.values()]))
    why = f"the lower mark cannot be reached: {reasons or 'no policy has anything left that frees space'}"
    return _blocked(book, entry, level, numbers, why, alerts)


def _why_full(entry: WatchEntry, destinations: Mapping[str, Level]) -> str:
    name = entry.threshold.destination_pool
    if name not in destinations:
        return f"the Hub shows no pool {name}, or several, so that nothing is sent there"
    return f"{name} has no room below its max_utilisation"


def _held(
    book: PoolBook,
    entry: WatchEntry,
    level: Level,
    numbers: Mapping[str, object],
    why: str,
    alerts: tuple[str, ...],
) -> Decision:
    """Wait for as long as somebody holds back whoever could drain: that is no lack of progress."""
    assert book.drain is not None
    drain = book.drain.model_copy(update={"progress_at": level.at})
    return Decision(Act.WAIT, book.model_copy(update={"drain": drain}), why, entry, 0, numbers, alerts)


def _nothing_left(entry: WatchEntry, drain: Drain) -> str:
    fits = f" and fits below max_utilisation of {entry.threshold.destination_pool}"
    text = f"{entry.policy} has nothing left that frees space"
    text += fits if entry.threshold.max_utilisation is not None else ""
    return text + (f", {drain.tried:,} files that could not be moved left aside" if drain.tried else "")


def _ended(book: PoolBook, serving: Sequence[WatchEntry], level: Level, alerts: tuple[str, ...]) -> Decision:
    hold = max((entry.threshold.hold_down for entry in serving), default=timedelta(0))
    changes: dict[str, object] = {"drain": None, "hold_until": level.at + hold, "above": {}, "premigrated": {}}
    changes["blocks"] = 0
    entry = serving[0] if serving else None
    numbers: dict[str, object] = {"used": level.used, "capacity": level.capacity}
    if entry is not None:
        numbers |= {"lower": entry.threshold.lower, "lower_bytes": lower_bytes(entry, level)}
    return Decision(Act.END, book.model_copy(update=changes), "the lower mark is reached", entry, 0, numbers, alerts)


def _blocked(
    book: PoolBook,
    entry: WatchEntry,
    level: Level,
    numbers: Mapping[str, object],
    why: str,
    alerts: tuple[str, ...],
) -> Decision:
    rest = min(MOST_REST, LEAST_REST * 2 ** min(book.blocks, 10))
    until = level.at + max(entry.threshold.hold_down, rest)
    block = Block(why=why, since=level.at, until=until, used=level.used)
    book = book.model_copy(update={"drain": None, "blocked": block, "blocks": book.blocks + 1})
    return Decision(Act.BLOCK, book, why, entry, 0, numbers, (*alerts, why))


def _numbers(
    entry: WatchEntry, level: Level, destinations: Mapping[str, Level], in_flight: int, confirmed: int
) -> dict[str, object]:
    mark, target = entry.threshold, lower_bytes(entry, level)
    need = level.used - target - in_flight - confirmed
    room = _room(entry, destinations)
    tranche = max(0, need if room is None else min(need, room))
    numbers: dict[str, object] = {
        "used": level.used,
        "capacity": level.capacity,
        "upper": mark.upper,
        "lower": mark.lower,
        "lower_bytes": target,
        "in_flight": in_flight,
        "confirmed": confirmed,
        "need": need,
        "room": room,
        "tranche": tranche,
    }
    there = destinations.get(mark.destination_pool or "")
    if mark.max_utilisation is not None and there is not None:
        numbers |= {
            "destination_used": there.used,
            "destination_capacity": there.capacity,
            "max_utilisation": mark.max_utilisation,
        }
    return numbers


def _room(entry: WatchEntry, destinations: Mapping[str, Level]) -> int | None:
    mark = entry.threshold
    if mark.max_utilisation is None or mark.destination_pool is None:
        return None
    there = destinations.get(mark.destination_pool)
    # A destination that the Hub does not show cannot be kept below its mark.
    return 0 if there is None else share(mark.max_utilisation, there.capacity) - there.used


# No drain.


def _rests(book: PoolBook, level: Level, *, critical: bool) -> bool:
    if book.blocked is not None and level.at < book.blocked.until:
        # More files have come since: there may be something to move now.
        return book.blocked.firm or level.used <= book.blocked.used + level.capacity // 100
    return not critical and book.hold_until is not None and level.at < book.hold_until


def _quiet(
    book: PoolBook,
    entries: Sequence[WatchEntry],
    level: Level,
    destinations: Mapping[str, Level],
    site: Site,
    alerts: tuple[str, ...],
) -> Decision:
    entry = _premigrates(book, entries, level)
    if entry is None:
        return Decision(Act.REST, book, "", None, 0, {"used": level.used, "capacity": level.capacity}, alerts)
    name, mark = entry.policy, share(entry.threshold.premigrate or 0, level.capacity)
    room = _room(entry, destinations)
    numbers: dict[str, object] = {
        "used": level.used,
        "capacity": level.capacity,
        "premigrate": entry.threshold.premigrate,
        "premigrate_bytes": mark,
        "room": room,
        "tranche": level.used - mark,
    }
    if (why := site.held.get(name) or site.busy.get(name)) is not None:
        return Decision(Act.WAIT, book, why, entry, 0, numbers, alerts)
    book = book.model_copy(update={"premigrated": {**book.premigrated, entry.key: level.at}})
    if room is not None and room <= 0:
        return Decision(Act.REST, book, "", None, 0, numbers, alerts)
    why = "what lies above the premigrate mark is copied and kept"
    return Decision(Act.PREMIGRATE, book, why, entry, level.used - mark, numbers, alerts)


def _premigrates(book: PoolBook, entries: Sequence[WatchEntry], level: Level) -> WatchEntry | None:
    for entry in sorted(entries, key=lambda one: one.order):
        mark = entry.threshold.premigrate
        last = book.premigrated.get(entry.key)
        if mark is None or entry.key in book.above or book.blocked is not None:
            continue
        if level.used > share(mark, level.capacity) and (last is None or level.at - last >= PREMIGRATE_EVERY):
            return entry
    return None
