"""Where a run stands: counts, speed, the range of its end, what it waits for, its most frequent errors."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from temporalio.client import Client

from activities.ledger.log import AuditLog
from activities.ledger.records import AuditUnavailable
from activities.manifests import ManifestDamaged, read_head
from activities.settled import OutcomesDamaged
from activities.storage import Missing, Storage, open_storage
from orchestrator.reporting.clock import Clock, clock_of
from orchestrator.reporting.errors import ErrorKind, bulk_in, errors_so_far, with_every_reason
from orchestrator.reporting.eta import Eta, Ladder, Rest, estimate
from orchestrator.reporting.history import JobHistory
from orchestrator.reporting.progress import run_progress
from orchestrator.settings import Settings
from workflows.control import ladder_wait, permanent_reasons
from workflows.payload import Payload
from workflows.policy import Policy
from workflows.progress import RunProgress
from workflows.run import Phase, RunState, RunStatus
from workflows.running import Rate, Window

_LOG = logging.getLogger(__name__)

LATELY = timedelta(minutes=5)
HORIZON = timedelta(days=400)
"""So far ahead windows are looked up."""
ANEW = 5.0
"""After so many seconds the end is estimated anew although no job has ended."""
ERRORS_ANEW = 15.0
CLOSING, CLOSING_A_FILE, VERIFYING_A_FILE = 3.0, 5e-6, 1e-4
"""Seconds that the account of every file may take at the end, and the last look where they are."""


class Pace(Payload):
    """Files and bytes a second over a stretch of time in seconds."""

    files_per_second: float
    bytes_per_second: float
    over_s: float


class EtaRange(Payload):
    """When the run may end; without a last moment nobody knows one. `note` says why there is none, or what it is of."""

    start: datetime | None = None
    likely: datetime | None = None
    end: datetime | None = None
    note: str | None = None


class Standing(Payload):
    """Where a run stands at one moment."""

    progress: RunProgress
    at: datetime
    lately: Pace | None = None
    overall: Pace | None = None
    eta: EtaRange = EtaRange()
    errors: tuple[ErrorKind, ...] = ()

    @property
    def files_left(self) -> int:
        """Files that have no outcome yet."""
        return max(0, self.progress.files - self.progress.counts.total)

    @property
    def bytes_left(self) -> int:
        """About how many bytes are still to be done: those of files that were skipped or failed count as left."""
        return max(0, self.progress.bytes - self.progress.counts.bytes_done) if self.files_left else 0


class Standings:
    """Looks at one run again and again; what does not change is read once."""

    def __init__(self, client: Client, settings: Settings, run: str) -> None:
        self._client = client
        self._run = run
        self._log = AuditLog(settings.audit.get_secret_value())
        self._storage: Storage = open_storage(settings.storage)
        self._bulk = bulk_in(settings.spill_dir, int(settings.selection_memory))
        self._history = JobHistory(self._log, run)
        self._policy: Policy | None = None
        self._clock: tuple[tuple[Window, ...], Clock, Clock] | None = None
        self._eta = EtaRange()
        self._eta_of: object = None
        self._eta_at = float("-inf")
        self._errors: tuple[ErrorKind, ...] = ()
        self._errors_of: tuple[tuple[int, int], ...] = ()
        self._errors_at = float("-inf")

    def close(self) -> None:
        """Let go of the audit."""
        self._log.close()

    async def look(self) -> Standing:
        """Say where the run stands now."""
        now = datetime.now(UTC)  # Before the question: the run may end while it is answered.
        progress = await run_progress(self._client, self._run)
        return await asyncio.to_thread(self._standing, progress, now)

    async def watch(self, *, every: float = 0.5) -> AsyncIterator[Standing]:
        """Give it again and again until the run has ended, the last one included."""
        while True:
            standing = await self.look()
            yield standing
            if standing.progress.state.final:
                return
            await asyncio.sleep(every)

    def _standing(self, progress: RunProgress, now: datetime) -> Standing:
        try:
            ended = self._history.refresh()
        except AuditUnavailable:
            ended = False  # What the run itself says is shown all the same.
        overall = None
        if progress.files_per_second is not None and progress.status.work_started is not None:
            worked = ((progress.status.finished or now) - progress.status.work_started).total_seconds()
            overall = Pace(
                files_per_second=progress.files_per_second,
                bytes_per_second=progress.bytes_per_second or 0.0,
                over_s=worked,
            )
        return Standing(
            progress=progress,
            at=now,
            lately=_lately(self._history, progress.status, now),
            overall=overall,
            eta=self._end_of(progress, now, ended),
            errors=self._errors_now(progress),
        )

    def _errors_now(self, progress: RunProgress) -> tuple[ErrorKind, ...]:
        if progress.state.final:
            return ()
        batches = self._history.failed
        if batches != self._errors_of and time.monotonic() - self._errors_at > ERRORS_ANEW:
            self._errors_at = time.monotonic()
            try:
                found = errors_so_far(self._storage, self._bulk, self._run, progress.status.rounds, batches)
                self._errors, self._errors_of = tuple(found), batches
            except (ManifestDamaged, OutcomesDamaged, Missing, OSError) as error:
                _LOG.warning("the errors of run %s cannot be read: %s", self._run, error)
        return tuple(with_every_reason(self._errors, progress.counts.failed))

    def _end_of(self, progress: RunProgress, now: datetime, ended: bool) -> EtaRange:
        status = progress.status
        state = (status.state, status.phase, status.concurrency, status.next_try, _limits(status), len(status.rounds))
        late = time.monotonic() - self._eta_at > ANEW
        if ended or late or state != self._eta_of:
            self._eta = self._estimated(progress, now)
            self._eta_of, self._eta_at = state, time.monotonic()
        return self._eta

    def _estimated(self, progress: RunProgress, now: datetime) -> EtaRange:
        status = progress.status
        if status.state.final or status.phase is not Phase.WORK or status.plan is None or not status.rounds:
            return EtaRange()
        if status.state is RunState.CANCELLING:
            return EtaRange(note="it ends as soon as the jobs in flight have")
        policy = self._policy_of(status)
        if policy is None:
            return EtaRange(note="unknown: the plan cannot be read")
        held = _held(status)
        if held is not None:
            return EtaRange(note=held)
        rest = rest_of(progress, policy, now, self._history)
        clock, was = self._clocks(status, policy, now)
        if status.state is RunState.PAUSED:
            clock = Clock()
        rounds = _rounds_of_the_stage(status)
        eta = estimate(
            [job for job in self._history.jobs if job.round in rounds], rest, clock, was.without(self._history.closed)
        )
        if eta is None:
            return EtaRange(note="unknown until a few jobs have ended")
        found = _range(eta)
        ahead = [stage for stage in status.stages if str(stage.state) == "ahead"]
        if ahead and found.note is None:
            found = found.model_copy(update={"note": f"this is the end of the stage; {len(ahead)} more to follow"})
        if status.state is not RunState.PAUSED:
            return found
        least, most = timedelta(seconds=eta.start - rest.now), timedelta(seconds=eta.end - rest.now)
        return EtaRange(note=f"unknown while it is paused, then {span(least)} to {span(most)} of work")

    def _policy_of(self, status: RunStatus) -> Policy | None:
        if self._policy is None and status.plan is not None:
            try:
                text = read_head(self._storage, status.plan.manifest).policy
            except (ManifestDamaged, Missing, OSError):
                return None
            self._policy = Policy.model_validate_json(text) if text else None
        return self._policy

    def _clocks(self, status: RunStatus, policy: Policy, now: datetime) -> tuple[Clock, Clock]:
        """The clock of what is to come, and that of what was; a person may have switched the windows off."""
        _, windows = _limits(status, policy)
        if self._clock is None or self._clock[0] != windows:
            began = status.work_started or status.started
            was = clock_of(policy.run.windows, began - timedelta(days=1), now + HORIZON)
            self._clock = (windows, was if windows else Clock(), was)
        return self._clock[1], self._clock[2]


def rest_of(progress: RunProgress, policy: Policy, now: datetime, history: JobHistory) -> Rest:
    """Say what is left of a run, for the estimate of its end."""
    status, plan, record = progress.status, progress.status.plan, progress.status.rounds[-1]
    assert plan is not None
    rate, windows = _limits(status, policy)
    failed = _retryable(progress, policy)
    batch_files = max(1, plan.files // max(1, plan.batches))
    waits = _waits(policy, len(_rounds_of_the_stage(status)))
    settled = progress.counts.total - (plan.files - record.files)
    share = failed / settled if settled > 0 else 0.0
    over = not status.open_segments and settled >= record.files
    batches, starts = 0 if over else max(0, record.batches - progress.begun), 0.0
    expected = failed + share * max(0, record.files - settled)
    if status.next_try is not None:
        batches, starts = -(-failed // batch_files), status.next_try.timestamp()
        waits, expected = waits[1:], float(failed)
    begun_at = [flight.since.timestamp() for flight in progress.in_flight]
    limit = policy.run.deadline
    deadline = status.started + limit + timedelta(seconds=history.waited_for_approval) if limit is not None else None
    verifying = VERIFYING_A_FILE if policy.run.verify == "status" else 0.0
    return Rest(
        now=now.timestamp(),
        slots=max(1, status.concurrency),
        in_flight=tuple(max(0.0, now.timestamp() - at) for at in begun_at),
        batches=batches,
        ladder=Ladder(round(expected), batch_files, waits) if expected and waits else None,
        spacing=_spacing(rate, batch_files, plan.bytes / max(1, plan.batches)),
        starts=starts,
        goes_on=policy.run.outside_windows == "finish_batch" or not windows,
        closing=CLOSING + plan.files * (CLOSING_A_FILE + verifying),
        deadline=None if deadline is None else deadline.timestamp(),
    )


def _rounds_of_the_stage(status: RunStatus) -> set[int]:
    """Name the rounds of the stage that is on; a run without stages has one."""
    stage = status.rounds[-1].stage
    return {record.number for record in status.rounds if record.stage == stage}


def _held(status: RunStatus) -> str | None:
    """Say why no end can be told: a stage that waits before it begins, or a breaker that lets nothing through."""
    waiting = next((stage for stage in status.stages if str(stage.state) == "waiting"), None)
    if waiting is not None:
        return f"unknown while stage {waiting.number} ({waiting.what}) waits"
    breaker = status.breaker
    if breaker is not None and str(breaker.stand) in ("open", "probing"):
        return "unknown until the breaker is closed again"
    return None


def _limits(status: RunStatus, policy: Policy | None = None) -> tuple[Rate | None, tuple[Window, ...]]:
    """The rate and the windows that hold now: the policy's, or what a person has set since."""
    rate, opening = status.rate, status.opening
    windows = policy.run.windows if policy else ()
    if opening.open_until is None and opening.closed_until is None:
        windows = ()
    return rate, windows


def _spacing(rate: Rate | None, batch_files: int, batch_bytes: float) -> float:
    if rate is None:
        return 0.0
    waits = [0.0]
    if rate.jobs_per_minute:
        waits.append(60 / rate.jobs_per_minute)
    if rate.files_per_minute:
        waits.append(60 * batch_files / rate.files_per_minute)
    if rate.bytes_per_minute:
        waits.append(60 * batch_bytes / int(rate.bytes_per_minute))
    return max(waits)


def _retryable(progress: RunProgress, policy: Policy) -> int:
    permanent = permanent_reasons(policy.retry)
    return sum(files for reason, files in progress.counts.failed.items() if reason not in permanent)


def _waits(policy: Policy, tries: int) -> tuple[float, ...]:
    found = []
    while (wait := ladder_wait(policy.retry.failed_files, tries)) is not None:
        found.append(wait.total_seconds())
        tries += 1
    return tuple(found)


def _lately(history: JobHistory, status: RunStatus, now: datetime) -> Pace | None:
    """The speed over the last minutes, by the jobs that ended in them; none before one has ended."""
    jobs = [job for job in history.jobs if job.ended > (now - LATELY).timestamp()]
    if not history.jobs or status.work_started is None or status.state.final:
        return None
    since = max(now - LATELY, status.work_started).timestamp()
    if len(jobs) == history.jobs.maxlen:
        since = max(since, jobs[0].ended)
    over = max(now.timestamp() - since, 1e-3)
    files, done = sum(job.files for job in jobs), sum(job.bytes for job in jobs)
    return Pace(files_per_second=files / over, bytes_per_second=done / over, over_s=over)


def _range(eta: Eta) -> EtaRange:
    moments = (eta.start, eta.likely, eta.end)
    start, likely, end = (None if at > _END_OF_TIME else datetime.fromtimestamp(at, UTC) for at in moments)
    note = None if end is not None else f"no last moment is known: the windows of {HORIZON.days} days are too few"
    return EtaRange(start=start, likely=likely, end=end, note=note)


_END_OF_TIME = datetime(9000, 1, 1, tzinfo=UTC).timestamp()


def span(length: timedelta) -> str:
    """Write a length of time in its two greatest units."""
    seconds = round(length.total_seconds())
    parts = [f"{value} {unit}" for value, unit in zip(_split(seconds), ("d", "h", "min", "s"), strict=True) if value]
    return " ".join(parts[:2]) or "0 s"


def _split(seconds: int) -> tuple[int, int, int, int]:
    return seconds // 86_400, seconds % 86_400 // 3600, seconds % 3600 // 60, seconds % 60
