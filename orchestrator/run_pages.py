"""The list of runs a page at a time: Temporal's own pages, so that ten thousand runs cost what one page costs."""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from temporalio.client import Client, WorkflowExecution
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.runs import LATEST_RUNS, NoSuchRun, RunSummary, of_queue, quoted, summary_of

_MARK = 9


class BadCursor(ValueError):
    """A cursor is none that a page gave: begin at the first page again."""


@dataclass(frozen=True)
class RunsWanted:
    """Which runs: of a policy, open or ended ones, begun in a stretch of time."""

    policy: str | None = None
    is_open: bool | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class RunPage:
    """Some runs, the newest first; `following` leads to the next ones, None at the end.

    A page may hold fewer runs than were asked for although others follow.
    """

    runs: list[RunSummary]
    following: str | None


async def page_of_runs(
    client: Client, queue: str, wanted: RunsWanted, *, limit: int, cursor: str | None = None
) -> RunPage:
    """Give a page of the runs of the installation with this task queue. Raises BadCursor."""
    query = _query(queue, wanted)
    found = client.list_workflows(query, page_size=limit, next_page_token=_token(cursor, query))
    try:
        await found.fetch_next_page()
    except RPCError as error:
        if cursor is not None and error.status in (RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.UNKNOWN):
            raise BadCursor("this cursor is none of this list: begin at the first page again") from error
        raise
    page = [one for one in found.current_page or () if one.task_queue == queue]
    runs = [await summary_of(one) for one in page]
    return RunPage(
        [one for one in runs if wanted.policy in (None, one.policy)],
        _cursor(found.next_page_token, query) if found.next_page_token else None,
    )


async def count_of_runs(client: Client, queue: str, wanted: RunsWanted) -> int:
    """Count the wanted runs as Temporal does; it follows a second or so behind."""
    return (await client.count_workflows(_query(queue, wanted))).count


async def known_run(client: Client, queue: str, run: str) -> WorkflowExecution:
    """Give a run of this installation; raises NoSuchRun for whatever else has this name in Temporal."""
    try:
        found = await client.get_workflow_handle(run).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        found = None
    if found is None or found.workflow_type != "RunPolicy" or found.task_queue != queue:
        raise NoSuchRun(f"There is no run {run}.")
    return found


def _query(queue: str, wanted: RunsWanted) -> str:
    words = [LATEST_RUNS, of_queue(queue)]
    if wanted.policy is not None:
        words.append(f"WorkflowId STARTS_WITH {quoted(wanted.policy + '-')}")
    if wanted.is_open is not None:
        words.append(f"ExecutionStatus {'=' if wanted.is_open else '!='} 'Running'")
    if wanted.since is not None:
        words.append(f"StartTime >= '{_moment(wanted.since)}'")
    if wanted.until is not None:
        words.append(f"StartTime < '{_moment(wanted.until)}'")
    return " AND ".join(words)


def _moment(when: datetime) -> str:
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _cursor(token: bytes, query: str) -> str:
    return base64.urlsafe_b64encode(_mark(token, query) + token).decode().rstrip("=")


def _token(cursor: str | None, query: str) -> bytes | None:
    """Give Temporal's own token; one that is not of this very list would be tried again and again there."""
    if cursor is None:
        return None
    try:
        content = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        content = b""
    mark, token = content[:_MARK], content[_MARK:]
    if not token or mark != _mark(token, query):
        raise BadCursor("this cursor is none of this list: begin at the first page again")
    return token


def _mark(token: bytes, query: str) -> bytes:
    return hashlib.sha256(query.encode() + b"\0" + token).digest()[:_MARK]
