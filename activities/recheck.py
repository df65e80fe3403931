"""Looks at a batch's files once more, just before they are sent: what is not as planned is left out."""

from activities.errors import Forbidden, Permanent
from activities.hub.client import Hub
from activities.hub.files import FileRecord
from activities.manifests import Batch
from activities.settled import Ended, FileException
from activities.whereabouts import look
from workflows.names import to_text
from workflows.order import THERE_ALREADY, JobOrder


async def changed(hub: Hub, order: JobOrder, batch: Batch) -> list[FileException]:
    """List the files that are not to be sent: gone, no files any more, changed, there already, or refused by the Hub.

    An attribute that the plan did not know cannot differ; one that the plan knew and the Hub does not tell any more
    may have changed, so the file stays. A path that only a list named is no file that went away: it fails.
    """
    now = await look(hub, order.site, batch.paths)
    found = []
    for index, path in enumerate(batch.paths):
        end = _end(order, now[path], batch.sizes[index], batch.modified_us[index])
        if end is not None:
            found.append(FileException(batch.ordinals[index], end.outcome, end.reason, end.message))
    return found


def _end(
    order: JobOrder, now: FileRecord | Permanent | None, size: int | None, modified_us: int | None
) -> Ended | None:
    if isinstance(now, Permanent):
        reason = "permission_denied" if isinstance(now, Forbidden) else "hub_error"
        return Ended(outcome="failed", reason=reason, message=f"the Hub does not show it: {now}")
    if now is None:
        return (
            _no_such_file("the Hub knows no such file") if order.listed else _skipped("changed", "gone since the plan")
        )
    if now.type not in (None, "file"):
        kind = to_text(now.type or "")
        return (
            _no_such_file(f"is no file: {kind}")
            if order.listed
            else _skipped("changed", f"is no file any more: {kind}")
        )
    planned = {"size": size, "modified": modified_us}
    there = {"size": now.size, "modified": now.mtime}
    known = [word for word in order.compare if planned[word] is not None]
    for word in known:
        if there[word] is not None and there[word] != planned[word]:
            return _skipped("changed", f"size was {size}, is {now.size}" if word == "size" else _MODIFIED)
    for word in known:
        if there[word] is None:
            return _skipped("unknown_attribute", f"the Hub does not tell its {_NAMES[word]} any more")
    if now.status is not None and now.status in THERE_ALREADY.get(order.workflow, ()):
        return _skipped("already_done", f"is {now.status} already")
    return None


_MODIFIED = "modified since the plan"
_NAMES = {"size": "size", "modified": "time of modification"}


def _no_such_file(message: str) -> Ended:
    return Ended(outcome="failed", reason="no_such_file", message=message)


def _skipped(reason: str, message: str) -> Ended:
    return Ended(outcome="skipped", reason=reason, message=message)
