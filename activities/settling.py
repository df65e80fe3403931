"""Says how each file of a batch ended, from what the Hub reports about its job: no word is never a success."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from activities.errors import NotFound
from activities.hub import files, jobstats
from activities.hub.client import Hub
from activities.hub.jobstats import PathOutcome
from activities.manifests import Batch
from activities.outcomes import FileException
from workflows.names import to_text
from workflows.policy import Policy

REASONS = {
    "permission_denied": ("permission", "eacces", "eperm", "denied", "forbidden"),
    "no_such_file": ("no_such", "enoent", "not_found", "notfound", "missing"),
    "checksum": ("checksum", "corrupt", "digest"),
    "target_error": ("target", "remote", "bucket", "storage", "enospc", "quota"),
    "timeout": ("timeout", "timed_out", "etimedout"),
}
"""Words inside the Hub's code that tell the reason; a code without any of them is the Hub's own error."""

BUSY = ("busy", "locked", "in_use")
EXPECTED = {"migrate": {"migrated"}, "premigrate": {"premigrated", "migrated"}, "recall": {"resident", "premigrated"}}
"""Where a file may be after a hub workflow; others cannot be verified by status."""


@dataclass(frozen=True)
class Ending:
    """What happened to the job as a whole, for the paths of which the Hub says nothing final."""

    outcome: str
    reason: str | None
    message: str


async def exceptions(hub: Hub, job: int, batch: Batch, policy: Policy, ending: Ending) -> list[FileException]:
    """List the files of a batch that did not end `done`."""
    if policy.select.source.discovery is not None:
        return await _of_roots(hub, job, batch, ending)
    ordinals = dict(zip(batch.paths, batch.ordinals, strict=True))
    rows = {row.path: row async for row in jobstats.exceptions(hub, job) if row.path in ordinals}
    found = [_exception(ordinals[path], row, ending) for path, row in rows.items()]
    if await _successes(hub, job) != len(ordinals) - len(rows):
        said = {path async for path in _paths(hub, job)}
        silent = [path for path in batch.paths if path not in said]
        found += [FileException(ordinals[path], ending.outcome, ending.reason, ending.message) for path in silent]
    if policy.run.verify == "status":
        settled = {one.ordinal for one in found}
        done = [path for path in batch.paths if ordinals[path] not in settled]
        found += await _not_where_expected(hub, policy, done, ordinals)
    return sorted(found)


async def _successes(hub: Hub, job: int) -> int:
    try:
        return await jobstats.successes(hub, job)
    except NotFound:
        return -1


async def _paths(hub: Hub, job: int):
    try:
        async for row in jobstats.all_rows(hub, job):
            yield row.path
    except NotFound:
        return


def _exception(ordinal: int, row: PathOutcome, ending: Ending) -> FileException:
    code = to_text(row.code or "").lower()
    message = to_text(row.message or row.code or row.state or "")
    state = row.state.upper()
    if state == "SKIPPED":
        return FileException(ordinal, "skipped", "busy" if _has(code, BUSY) else "already_done", message)
    if state in ("CANCELLED", "REVOKED"):
        return FileException(ordinal, ending.outcome, ending.reason, ending.message)
    if state == "ABORTED":
        return FileException(ordinal, "failed", "aborted", message)
    if state in jobstats.FAILED:
        return FileException(ordinal, "failed", _reason(code), message)
    return FileException(ordinal, ending.outcome, ending.reason, ending.message)


def _reason(code: str) -> str:
    return next((reason for reason, words in REASONS.items() if _has(code, words)), "hub_error")


def _has(code: str, words: Iterable[str]) -> bool:
    return any(word in code for word in words)


async def _of_roots(hub: Hub, job: int, batch: Batch, ending: Ending) -> list[FileException]:
    """A root that the Hub discovered by itself is done when nothing below it failed."""
    worst: dict[int, list[PathOutcome]] = {}
    roots = dict(zip(batch.paths, batch.ordinals, strict=True))
    async for row in jobstats.exceptions(hub, job):
        root = _root_of(row.path, roots)
        if root is not None and row.state.upper() != "SKIPPED":
            worst.setdefault(roots[root], []).append(row)
    if await _successes(hub, job) < 0:
        return [FileException(ordinal, ending.outcome, ending.reason, ending.message) for ordinal in batch.ordinals]
    found = []
    for ordinal, rows in worst.items():
        first = _exception(ordinal, rows[0], ending)
        message = f"{len(rows):,} paths below did not succeed, first: {first.message}"
        found.append(FileException(ordinal, first.outcome, first.reason, message))
    return sorted(found)


def _root_of(path: str, roots: Mapping[str, int]) -> str | None:
    return next((root for root in roots if path == root or path.startswith(root.rstrip("/") + "/")), None)


async def _not_where_expected(
    hub: Hub, policy: Policy, done: list[str], ordinals: Mapping[str, int]
) -> list[FileException]:
    expected = EXPECTED.get(policy.run.workflow)
    if expected is None or not done:
        return []
    found = []
    for path, record in (await files.stat_many(hub, policy.site, done)).items():
        status = record.status if record is not None else "gone"
        if status not in expected:
            message = f"the Hub reported success, but the file is {status or 'in an unknown state'}"
            found.append(FileException(ordinals[path], "failed", "unknown", message))
    return found
