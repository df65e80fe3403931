"""Says how each file of a batch ended, from what the Hub reports about its job: no word is never a success."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from activities.errors import NotFound
from activities.hub import jobstats
from activities.hub.client import Hub
from activities.hub.jobstats import PathOutcome
from activities.manifests import Batch
from activities.settled import FileException
from activities.whereabouts import misplaced
from workflows.names import to_text
from workflows.order import JobOrder

REASONS = {
    "permission_denied": ("permission", "eacces", "eperm", "denied", "forbidden"),
    "no_such_file": ("no_such", "enoent", "not_found", "notfound", "missing"),
    "checksum": ("checksum", "corrupt", "digest"),
    "target_error": ("target", "remote", "bucket", "storage", "enospc", "quota"),
    "timeout": ("timeout", "timed_out", "etimedout"),
}
"""Words inside the Hub's code that tell the reason; a code without any of them is the Hub's own error."""

FAILED_WORDS = ("failed", "failure", "error")
BUSY = ("busy", "locked", "in_use")
READ_WHOLE = 300
"""Up to so many files every row is read; of more only the exceptions, when the Hub's counts account for the rest."""


@dataclass(frozen=True)
class Ending:
    """What happened to the job as a whole, for the paths of which the Hub says nothing final.

    A job that is not `over` may still work on its files.
    """

    outcome: str
    reason: str | None
    message: str
    succeeded: bool = False
    over: bool = True


async def exceptions(hub: Hub, job: int, batch: Batch, order: JobOrder, ending: Ending) -> list[FileException]:
    """List the files of a batch that did not end `done`."""
    if order.discovery is not None:
        return await _of_roots(hub, job, batch, ending)
    ordinals = dict(zip(batch.paths, batch.ordinals, strict=True))
    said = await _said(hub, job, ordinals)
    found = [_exception(ordinals[path], row, ending) for path, row in said.items() if not row.done]
    found += [
        FileException(ordinals[path], ending.outcome, ending.reason, ending.message)
        for path in batch.paths
        if path not in said
    ]
    if order.verify:
        settled = {one.ordinal for one in found}
        done = [path for path in batch.paths if ordinals[path] not in settled]
        found += [
            FileException(ordinals[path], "failed", "unknown", f"the Hub reported success, but the file is {place}")
            for path, place in (await misplaced(hub, order.site, order.workflow, done)).items()
        ]
    return sorted(found)


async def _said(hub: Hub, job: int, ordinals: Mapping[str, int]) -> dict[str, PathOutcome]:
    """What the Hub says of each path; those of a large job that were done are only counted where the sum is right."""
    if len(ordinals) > READ_WHOLE:
        some = {row.path: row async for row in jobstats.exceptions(hub, job) if row.path in ordinals}
        done = await jobstats.count(hub, job, jobstats.DONE_WORDS)
        if done is not None and done + len(some) == len(ordinals):
            return {path: some.get(path, PathOutcome(path, "processed", "", "")) for path in ordinals}
    try:
        return {row.path: row async for row in jobstats.everything(hub, job) if row.path in ordinals}
    except NotFound:
        return {}


def _exception(ordinal: int, row: PathOutcome, ending: Ending) -> FileException:
    code = to_text(row.code).lower()
    message = to_text(row.message or row.code or row.state)
    if row.state == "skipped":
        return FileException(ordinal, "skipped", "busy" if _has(code, BUSY) else "already_done", message)
    if row.state == "aborted":
        return FileException(ordinal, "failed", "aborted", message)
    if row.state in FAILED_WORDS:
        return FileException(ordinal, "failed", _reason(code), message)
    return FileException(ordinal, ending.outcome, ending.reason, ending.message)


def _reason(code: str) -> str:
    return next((reason for reason, words in REASONS.items() if _has(code, words)), "hub_error")


def _has(code: str, words: Iterable[str]) -> bool:
    return any(word in code for word in words)


async def _of_roots(hub: Hub, job: int, batch: Batch, ending: Ending) -> list[FileException]:
    """A root that the Hub discovers by itself is done when its job succeeded and no path below it failed."""
    roots = dict(zip(batch.paths, batch.ordinals, strict=True))
    named: dict[str, list[PathOutcome]] = {root: [] for root in roots}
    async for row in jobstats.everything(hub, job):
        root = _root_of(row.path, roots)
        if root is not None and not row.done and row.state != "skipped":
            named[root].append(row)
    found = []
    for root, ordinal in roots.items():
        if named[root]:
            first = _exception(ordinal, named[root][0], ending)
            message = f"{len(named[root]):,} paths below did not succeed, first: {first.message}"
            found.append(FileException(ordinal, first.outcome, first.reason, message))
        elif not ending.succeeded:
            found.append(FileException(ordinal, ending.outcome, ending.reason, ending.message))
    return found


def _root_of(path: str, roots: Mapping[str, int]) -> str | None:
    return next((root for root in roots if path == root or path.startswith(root.rstrip("/") + "/")), None)
