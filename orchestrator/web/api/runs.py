"""Runs: the list, where one stands or how it ended, its files and its report."""

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, PlainTextResponse
from pydantic import Field, JsonValue
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from orchestrator import reports
from orchestrator.outcome_files import COLUMNS, NoOutcomes, Wanted, count_files, read_files
from orchestrator.reporting.document import standing_document
from orchestrator.reporting.html import to_html
from orchestrator.reporting.markdown import to_markdown
from orchestrator.reporting.report import make_report
from orchestrator.reporting.standing import Standing
from orchestrator.run_pages import BadCursor, RunsWanted, known_run, page_of_runs
from orchestrator.runs import run_report
from orchestrator.web.access import READS, Guarded
from orchestrator.web.installation import engine, installation
from orchestrator.web.parameters import (
    Answer,
    Cursor,
    FilesLimit,
    Limit,
    Offset,
    OfPolicy,
    RunName,
    Since,
    Until,
    Word,
)
from orchestrator.web.problems import Problem, declared, unknown
from workflows.plan import OutcomeCounts
from workflows.run import RunReport, RunState, StageRecord

router = APIRouter(prefix="/runs", tags=["runs"], route_class=Guarded, dependencies=[READS])

Outcome = Literal["done", "skipped", "failed", "cancelled", "quarantined"]


class RunLine(Answer):
    """One run in the list; `state` of an open run is its last announced one."""

    run: str
    policy: str
    site: str | None
    state: RunState | Literal[""]
    actor: str
    reason: str
    started: datetime
    finished: datetime | None
    labels: dict[str, str]


class RunList(Answer):
    """A page of runs, the newest first; it may hold fewer than `limit` although `next` leads on."""

    runs: list[RunLine]
    next: str | None = Field(description="`cursor` of the next page; null at the end.")


class PlanLine(Answer):
    """The plan of a run, in numbers."""

    digest: str
    files: int
    bytes: int
    batches: int


class RunJob(Answer):
    """A job of the Hub that a run has sent; `state` is the Hub's word, null while it goes on."""

    id: int
    batch: int
    round: int
    state: str | None
    files: int


class Outcomes(Answer):
    """How many files ended in each way; skipped and failed ones by reason."""

    done: int
    skipped: dict[str, int]
    failed: dict[str, int]
    cancelled: int
    quarantined: int


class RunEnd(Answer):
    """How a run ended."""

    run: str
    policy: str
    version: int | None
    state: RunState
    plan: PlanLine | None
    passed_over: dict[str, int]
    outcomes: Outcomes
    bytes_done: int
    stages: list[StageRecord]
    jobs: int
    started: datetime
    finished: datetime
    trouble: str | None
    outcomes_digest: str | None


class RunDetail(Answer):
    """A run: of an open one `standing` says where it stands, of an ended one `end` how it ended."""

    run: str
    policy: str
    site: str | None
    actor: str
    reason: str
    started: datetime
    open: bool
    standing: dict[str, JsonValue] | None = Field(
        None, description="`orchestrator.standing/1`, docs/reports.md; null without a worker that can tell."
    )
    end: RunEnd | None = None


class JobList(Answer):
    """One page of a run's jobs: those that have ended in the order of their ends, then those that are open."""

    jobs: list[RunJob]
    next: int | None = Field(None, description="`offset` of the next page; null on the last one.")


class RunFile(Answer):
    """How one file ended; `path` is path text."""

    ordinal: int
    path: str
    size: int | None
    rule: str | None
    outcome: str
    reason: str | None
    message: str | None
    round: int | None
    job: int | None


class RunFiles(Answer):
    """A page of a run's files in the plan's order; `total` counts all that are wanted."""

    files: list[RunFile]
    total: int
    next: int | None = Field(description="`offset` of the next page; null at the end.")


@router.get("", summary="List runs", responses=declared(401, 403, 409, 422, 429, 500, 503))
async def list_runs(
    request: Request,
    policy: OfPolicy = None,
    is_open: Annotated[bool | None, Query(alias="open", description="Only open runs, or only ended ones.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> RunList:
    """List runs, the newest first, a page at a time."""
    there = await engine(request)
    wanted = RunsWanted(policy, is_open, since, until)
    try:
        page = await page_of_runs(there.client, there.settings.task_queue, wanted, limit=limit, cursor=cursor)
    except BadCursor as error:
        raise Problem(409, "conflict", f"{str(error).capitalize()}.") from None
    return RunList(runs=[RunLine.model_validate(one) for one in page.runs], next=page.following)


@router.get("/{run}", summary="Show a run", responses=declared(401, 403, 404, 422, 429, 500, 503))
async def show_run(request: Request, run: RunName) -> RunDetail:
    """Show where a run stands, or how it ended."""
    there = await engine(request)
    execution = await known_run(there.client, there.settings.task_queue, run)
    memo = await execution.memo()
    is_open = execution.close_time is None
    standing = await standing_of(request, run) if is_open else None
    return RunDetail(
        run=run,
        policy=str(memo.get("policy", "")),
        site=memo.get("site"),
        actor=str(memo.get("actor", "")),
        reason=str(memo.get("reason", "")),
        started=datetime.fromisoformat(memo["started"]) if "started" in memo else execution.start_time,
        open=is_open,
        standing=None if standing is None else standing_document(standing),
        end=None if is_open else _end(await run_report(there.client, run)),
    )


@router.get("/{run}/jobs", summary="List a run's jobs", responses=declared(401, 403, 404, 422, 429, 500, 503))
async def run_jobs(request: Request, run: RunName, limit: FilesLimit = 1000, offset: Offset = 0) -> JobList:
    """List the Hub jobs of a run, as the audit tells of them."""
    there = await engine(request)
    await known_run(there.client, there.settings.task_queue, run)

    def page() -> list[RunJob]:
        found = islice(reports.each_job(there.settings, run), offset, offset + limit + 1)
        return [RunJob.model_validate(one) for one in found]

    jobs = await asyncio.to_thread(page)
    return JobList(jobs=jobs[:limit], next=offset + limit if len(jobs) > limit else None)


@router.get("/{run}/files", summary="List a run's files", responses=declared(401, 403, 404, 422, 429, 500, 503))
async def run_files(
    request: Request,
    run: RunName,
    outcome: Annotated[Outcome | None, Query(description="Only those that ended so.")] = None,
    reason: Word = None,
    error: Word = None,
    limit: FilesLimit = 100,
    offset: Offset = 0,
) -> RunFiles:
    """List how each file of an ended run ended; `error` is a reason, or a part of a message."""
    there = await engine(request)
    execution = await known_run(there.client, there.settings.task_queue, run)
    wanted = Wanted(outcome, reason, error)
    try:
        return await asyncio.to_thread(_files, there.settings, run, wanted, limit, offset)
    except NoOutcomes:
        is_open = execution.close_time is None
        why = "it has not ended: they are listed when it has" if is_open else "it had no plan, or its table is gone"
        raise unknown(f"The files of run {run} cannot be listed: {why}.") from None


@router.get(
    "/{run}/report",
    summary="Report on a run",
    response_model=None,
    responses={
        200: {
            "description": "The report: docs/reports.md says what is in it.",
            "content": {
                "application/json": {"schema": {"type": "object", "title": "orchestrator.report/1"}},
                "text/markdown": {"schema": {"type": "string"}},
                "text/html": {"schema": {"type": "string"}},
            },
        },
        **declared(401, 403, 404, 422, 429, 500, 503),
    },
)
async def report_run(
    request: Request,
    run: RunName,
    form: Annotated[Literal["json", "md", "html"], Query(alias="format", description="How it is written.")] = "json",
) -> Response:
    """Report on a run, ended or open; made anew out of the audit and the storage."""
    there = await engine(request)
    execution = await known_run(there.client, there.settings.task_queue, run)
    standing = await standing_of(request, run) if execution.close_time is None else None
    made = await asyncio.to_thread(make_report, there.settings, run, standing)
    if form == "md":
        return PlainTextResponse(to_markdown(made), media_type="text/markdown")
    if form == "html":
        # The report is a page of its own, for keeping: its style is inside, and here it may not run anything at all.
        policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
        return HTMLResponse(to_html(made), headers={"Content-Security-Policy": policy})
    return JSONResponse(json.loads(json.dumps(made)))


async def standing_of(request: Request, run: str) -> Standing | None:
    """Say where an open run stands; None when nobody can tell now."""
    there = installation(request)
    return await there.board.look(await there.engine(), run)


def _end(report: RunReport) -> RunEnd:
    plan = report.plan
    return RunEnd(
        run=report.run,
        policy=report.policy,
        version=report.version,
        state=report.state,
        plan=None if plan is None else PlanLine.model_validate(plan),
        passed_over={} if plan is None else plan.passed_over,
        outcomes=_outcomes(report.outcomes),
        bytes_done=report.outcomes.bytes_done,
        stages=list(report.stages),
        jobs=report.jobs,
        started=report.started,
        finished=report.finished,
        trouble=report.trouble,
        outcomes_digest=report.outcomes_digest,
    )


def _outcomes(counts: OutcomeCounts) -> Outcomes:
    return Outcomes.model_validate(reports.outcomes(counts))


def _files(settings: Any, run: str, wanted: Wanted, limit: int, offset: int) -> RunFiles:
    total = count_files(settings, run, wanted)
    rows = islice(read_files(settings, run, wanted, limit=limit, offset=offset), limit)
    files = [RunFile.model_validate(_row(row)) for row in rows]
    following = offset + len(files)
    return RunFiles(files=files, total=total, next=following if files and following < total else None)


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {column: row[column] for column in COLUMNS}
