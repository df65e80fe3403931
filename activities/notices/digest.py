"""The digest: what ran, what waits, what failed, and how the pools stand, as text and as a small page."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import escape

from sqlalchemy import select, update

from activities.claims import now_us
from activities.fire_times import fire_times
from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from activities.ledger.records import Stored
from activities.notices.notice import Kind, Notice, Urgency
from activities.notices.outbox import Outbox, put
from activities.notices.tables import place, runs
from activities.notices.targets import Digest, Targets
from activities.notices.telling import moment_of, one_line, told
from activities.pool_samples import PoolSamples
from workflows.plan import OutcomeCounts

MOST_RECORDS = 10_000
MOST_LINES = 20
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


@dataclass
class Section:
    """A heading and its lines; an empty one says so."""

    heading: str
    lines: list[str] = field(default_factory=list)
    nothing: str = "nothing"


class Digests:
    """Puts the digest into the outbox when its time has come, once for each time."""

    def __init__(self, log: AuditLog, outbox: Outbox, targets: Targets, samples: PoolSamples) -> None:
        self._log = log
        self._outbox = outbox
        self._targets = targets
        self._samples = samples

    def look(self) -> None:
        """Make the digest that is due; of those that were missed only the last, over all the time since."""
        plan, at = self._targets.digest, self._outbox.place()
        if plan is None or at is None:
            return
        due = _due(plan, at.digest, datetime.now(UTC))
        if due is None:
            return
        since = min(at.digest, due - plan.covers) if at.digest > at.began else due - plan.covers
        notice = self.made(since, due)
        with self._outbox.holding() as connection:
            put(connection, notice, plan.to, now_us(connection))
            connection.execute(update(place).values(digest_us=round(due.timestamp() * 1_000_000)))

    def made(self, since: datetime, until: datetime) -> Notice:
        """Put the digest of a time into words."""
        sections = [*self._past(since, until), self._waiting(until), self._pools(since)]
        period = f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC"
        title = f"Tiering digest: {sections[0].heading.lower()}, {sections[1].heading.lower()}"
        return Notice(
            key=f"digest/{until.isoformat()}",
            kind=Kind.DIGEST,
            urgency=Urgency.INFO,
            group=Kind.DIGEST,
            title=title,
            text=_text(period, sections),
            html=_page(title, period, sections),
            at=until,
        )

    def _past(self, since: datetime, until: datetime) -> list[Section]:
        ended = [one for one in self._since(Event.RUN_ENDED, since) if moment_of(one) <= until]
        states = Counter(str(one.body.get("state")) for one in ended)
        counts = [OutcomeCounts.model_validate(one.body.get("outcomes") or {}) for one in ended]
        done, moved = sum(one.done for one in counts), sum(one.bytes_done for one in counts)
        of_policies: dict[str, list[Stored]] = {}
        for one in ended:
            of_policies.setdefault(str(one.body.get("policy")), []).append(one)
        ran = Section(f"{len(ended):,} runs ended", [", ".join(f"{n:,} {state}" for state, n in states.most_common())])
        ran.lines = [line for line in ran.lines if line]
        ran.lines += [f"{done:,} files done, {_size(moved)}"] if ended else []
        ran.lines += [_policy_line(name, found) for name, found in sorted(of_policies.items())]
        bad = [Event.RUN_REFUSED, Event.APPROVAL_EXPIRED, Event.START_MISSED, Event.POLICY_LATE, Event.POOL_ALERT]
        records = [one for one in ended if one.body.get("state") == "failed"]
        records += [one for event in bad for one in self._since(event, since) if moment_of(one) <= until]
        records.sort(key=lambda one: one.seq)
        wrong = [_wrong_line(one) for one in records]
        return [ran, Section(f"{len(wrong):,} went wrong", wrong, "nothing went wrong")]

    def _waiting(self, until: datetime) -> Section:
        with self._outbox.reading() as connection:
            found = connection.execute(select(runs).where(runs.c.ended_us.is_(None)).order_by(runs.c.since_us)).all()
        lines = []
        for run in found:
            waits = "" if run.expires_us is None else f", waits for approval until {_stamp(run.expires_us)}"
            lines.append(f"{run.run} of {run.policy} since {_stamp(run.since_us)}{waits}")
        return Section(f"{len(lines):,} runs are open", lines, "no run is open")

    def _pools(self, since: datetime) -> Section:
        lines = []
        for ref in self._samples.pools():
            levels = self._samples.read(ref, since)
            if levels and levels[-1].capacity:
                first, last = (100 * one.used / one.capacity for one in (levels[0], levels[-1]))
                lines.append(f"{ref.site}/{ref.pool}: {last:.1f}% ({last - first:+.1f})")
        return Section("Pools", sorted(lines), "no pool is watched")

    def _since(self, event: Event, since: datetime) -> Sequence[Stored]:
        return self._log.records(event=event, since=since, limit=MOST_RECORDS)


def _due(plan: Digest, last: datetime, now: datetime) -> datetime | None:
    found = None
    for one in fire_times(plan.schedule, max(last, now - timedelta(days=14)), now):
        found = one.at
    return found


def _policy_line(name: str, ended: Sequence[Stored]) -> str:
    states = Counter(str(one.body.get("state")) for one in ended)
    return f"{name}: " + ", ".join(f"{count:,} {state}" for state, count in states.most_common())


def _wrong_line(record: Stored) -> str:
    policy = record.body.get("policy") or record.run
    notice = told(record, None if policy is None else str(policy))
    said = record.event if notice is None else notice.title
    why = record.body.get("why") or record.body.get("trouble")
    return f"{moment_of(record):%m-%d %H:%M} {said}" + (f": {one_line(str(why), 200)}" if why else "")


def _text(period: str, sections: Sequence[Section]) -> str:
    parts = [period]
    for one in sections:
        parts += ["", one.heading, *(f"  {line}" for line in _shortened(one))]
    return "\n".join(parts)


def _page(title: str, period: str, sections: Sequence[Section]) -> str:
    body = "".join(
        f"<h3>{escape(one.heading)}</h3><ul>{''.join(f'<li>{escape(line)}</li>' for line in _shortened(one))}</ul>"
        for one in sections
    )
    return f"<h2>{escape(title)}</h2><p>{escape(period)}</p>{body}"


def _shortened(section: Section) -> list[str]:
    more = len(section.lines) - MOST_LINES
    shown = section.lines[:MOST_LINES] or [section.nothing]
    return [*shown, f"and {more:,} more"] if more > 0 else shown


def _size(count: int) -> str:
    value, unit = float(count), 0
    while value >= 1023.95 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def _stamp(us: int) -> str:
    return f"{datetime.fromtimestamp(us / 1_000_000, UTC):%Y-%m-%d %H:%M} UTC"
