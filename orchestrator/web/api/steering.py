"""Steering an open run: pause, resume, cancel, new limits, skipping a stage; and approving or rejecting its plan."""

import functools
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import ConfigDict, Field, model_validator
from starlette.requests import Request

from orchestrator import runs
from orchestrator.engine import Engine
from orchestrator.holding import resume_run
from orchestrator.retrying import try_again
from orchestrator.run_pages import known_run
from orchestrator.web.access import APPROVES, STEERS, Guarded, Who
from orchestrator.web.installation import answered, engine
from orchestrator.web.parameters import (
    Answer,
    Body,
    DigestWord,
    Maybe,
    Moment,
    NeededReason,
    Reason,
    RunName,
    needs_one_of,
)
from orchestrator.web.problems import Problem, declared
from orchestrator.web.repeats import once
from workflows.run import NewLimits, Phase, RunState, RunStatus
from workflows.running import Rate

router = APIRouter(prefix="/runs/{run}", tags=["steering"], route_class=Guarded)
_ANSWERS = declared(400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 503)
_MOST = 2**53 - 1
_RATES = ("files_per_minute", "bytes_per_minute", "jobs_per_minute")
_LIMITS = ("concurrency", "rate", "window")


class Pauser(Answer):
    """Who pauses a run: a person, or a freeze by its number."""

    actor: str
    reason: str
    since: datetime
    freeze: int | None
    until: datetime | None


class RunLimits(Answer):
    """How fast a run may go now; a rate that is null does not hold."""

    concurrency: int
    files_per_minute: int | None
    bytes_per_minute: int | None
    jobs_per_minute: int | None


class Steered(Answer):
    """Where a run stands after a word of a person."""

    run: str
    state: RunState
    phase: Phase
    waits_for: str | None
    pausers: list[Pauser]
    limits: RunLimits
    trouble: str | None


class Why(Body):
    """Why something is done."""

    reason: Reason = ""


class Pausing(Why):
    """A pause, until somebody resumes or a moment comes."""

    until: Annotated[Maybe[Moment], Field(description="Go on by itself then.")] = None


class Cancelling(Why):
    """The end of a run; with `keep_jobs` the Hub's jobs in flight go on to their own end."""

    keep_jobs: bool = False


class Skipping(Why):
    """A stage to leave out; default: the one that waits now."""

    stage: Maybe[Annotated[int, Field(ge=1, le=20)]] = None


class Retrying(Why):
    """Which failed files: those with an error, which is a reason or a part of a message, or all."""

    error: Maybe[Annotated[str, Field(min_length=1, max_length=500)]] = None


class Retried(Answer):
    """What is tried again, by the reason of its failure, and in which run; `aside` are in quarantine."""

    run: str
    is_open: bool
    files: dict[str, int]
    aside: int
    begun: str | None


class NewRate(Body):
    """How fast a run may go; the strictest of those given holds."""

    model_config = ConfigDict(json_schema_extra=needs_one_of(*_RATES))

    files_per_minute: Maybe[Annotated[int, Field(ge=1, le=_MOST)]] = None
    bytes_per_minute: Maybe[Annotated[int, Field(ge=1, le=_MOST)]] = None
    jobs_per_minute: Maybe[Annotated[int, Field(ge=1, le=_MOST)]] = None

    @model_validator(mode="after")
    def _says_something(self) -> "NewRate":
        if not self.model_fields_set:
            raise ValueError(f"name at least one of {', '.join(_RATES)}")
        return self


class Setting(Why):
    """New limits of a run from its next batch on; what is not named stays as it is."""

    model_config = ConfigDict(json_schema_extra=needs_one_of(*_LIMITS))

    concurrency: Maybe[Annotated[int, Field(ge=1, le=1000, description="Jobs in flight at a time.")]] = None
    rate: Annotated[Maybe[NewRate | Literal["off"]], Field(description="`off`: no rate holds any more.")] = None
    window: Annotated[Maybe[bool], Field(description="Whether the run keeps to its windows.")] = None

    @model_validator(mode="after")
    def _says_something(self) -> "Setting":
        if not self.model_fields_set & set(_LIMITS):
            raise ValueError(f"name at least one of {', '.join(_LIMITS)}")
        return self


class Approving(Body):
    """A word on exactly the plan with this digest."""

    digest: DigestWord
    reason: Reason = ""


class Rejecting(Body):
    """A word against exactly the plan with this digest, and why."""

    digest: DigestWord
    reason: NeededReason


@router.post("/pause", summary="Pause a run", dependencies=[STEERS], responses=_ANSWERS)
async def pause(request: Request, who: Who, run: RunName, wanted: Pausing) -> Steered:
    """Begin nothing more in a run until it is resumed, or until a time; jobs in flight end."""
    if wanted.until is not None and wanted.until <= datetime.now(UTC):
        raise Problem(409, "conflict", "`until` is over: name a time to come.")
    there = await _known(request, run)
    return _steered(
        await answered(lambda: runs.pause(there.client, run, actor=who.actor, reason=wanted.reason, until=wanted.until))
    )


@router.post("/resume", summary="Resume a run", dependencies=[STEERS], responses=_ANSWERS)
async def resume(request: Request, who: Who, run: RunName, why: Why) -> Steered:
    """Let a run go on that somebody has paused, or that an open breaker keeps; a freeze that stands keeps its pause."""
    there = await _known(request, run)
    return _steered(
        await answered(lambda: resume_run(there.client, there.holds, run, actor=who.actor, reason=why.reason))
    )


@router.post("/cancel", summary="Cancel a run", dependencies=[STEERS], responses=_ANSWERS)
async def cancel(request: Request, who: Who, run: RunName, wanted: Cancelling) -> Steered:
    """End a run: nothing more begins, its Hub jobs are cancelled, every file is accounted for."""
    there = await _known(request, run)
    return _steered(
        await answered(
            lambda: runs.cancel(there.client, run, actor=who.actor, reason=wanted.reason, keep_jobs=wanted.keep_jobs)
        )
    )


@router.post("/skip-stage", summary="Skip a stage", dependencies=[STEERS], responses=_ANSWERS)
async def skip_stage(request: Request, who: Who, run: RunName, wanted: Skipping) -> Steered:
    """Leave a stage of a campaign out: end a wait or the wait for an approval, or drop a later stage."""
    there = await _known(request, run)
    return _steered(
        await answered(
            lambda: runs.skip_stage(there.client, run, actor=who.actor, reason=wanted.reason, number=wanted.stage)
        )
    )


@router.post("/limits", summary="Set a run's limits", dependencies=[STEERS], responses=_ANSWERS)
async def set_limits(request: Request, who: Who, run: RunName, wanted: Setting) -> Steered:
    """Change how fast an open run goes, from its next batch on."""
    there = await _known(request, run)
    limits = NewLimits(
        actor=who.actor,
        reason=wanted.reason,
        concurrency=wanted.concurrency,
        rate=Rate.model_construct(**dict(wanted.rate)) if isinstance(wanted.rate, NewRate) else None,
        rate_off=wanted.rate == "off",
        window=wanted.window,
    )
    return _steered(await answered(lambda: runs.set_limits(there.client, run, limits)))


@router.post(
    "/retry-failed", summary="Try failed files again", status_code=202, dependencies=[STEERS], responses=_ANSWERS
)
async def retry_failed(request: Request, who: Who, run: RunName, wanted: Retrying) -> Retried:
    """Try the failed files again: of an open run in a further round of its stage, of an ended one in a new run."""
    there = await _known(request, run)
    again = functools.partial(
        try_again,
        there.client,
        there.settings,
        run,
        actor=who.actor,
        reason=wanted.reason,
        error=wanted.error or "",
        once=once(request),
    )
    return Retried.model_validate(await answered(again))


@router.post("/approve", summary="Approve a plan", dependencies=[APPROVES], responses=_ANSWERS)
async def approve(request: Request, who: Who, run: RunName, word: Approving) -> Steered:
    """Approve the plan that a run waits with; it does exactly this plan, or nothing."""
    return await _decide(request, who, run, word.digest, word.reason, approved=True)


@router.post("/reject", summary="Reject a plan", dependencies=[APPROVES], responses=_ANSWERS)
async def reject(request: Request, who: Who, run: RunName, word: Rejecting) -> Steered:
    """Reject the plan that a run waits with."""
    return await _decide(request, who, run, word.digest, word.reason, approved=False)


async def _decide(request: Request, who: Who, run: str, digest: str, reason: str, *, approved: bool) -> Steered:
    there = await _known(request, run)
    return _steered(
        await answered(
            lambda: runs.decide(there.client, run, actor=who.actor, reason=reason, digest=digest, approved=approved)
        )
    )


async def _known(request: Request, run: str) -> Engine:
    there = await engine(request)
    await known_run(there.client, there.settings.task_queue, run)
    return there


def _steered(status: RunStatus) -> Steered:
    rate = status.rate
    return Steered(
        run=status.run,
        state=status.state,
        phase=status.phase,
        waits_for=status.waits_for,
        pausers=[Pauser.model_validate(one) for one in status.pausers],
        limits=RunLimits(
            concurrency=status.concurrency,
            files_per_minute=None if rate is None else rate.files_per_minute,
            bytes_per_minute=None if rate is None or rate.bytes_per_minute is None else int(rate.bytes_per_minute),
            jobs_per_minute=None if rate is None else rate.jobs_per_minute,
        ),
        trouble=status.trouble,
    )
