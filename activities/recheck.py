"""Looks at a batch's files once more, just before they are sent: what is not as planned is left out."""

from activities.hub import files
from activities.hub.client import Hub
from activities.hub.files import FileRecord
from activities.manifests import Batch
from activities.settled import FileException
from workflows.policy import Policy


async def changed(hub: Hub, policy: Policy, batch: Batch) -> list[FileException]:
    """List the files that are gone or differ in an attribute that `run.recheck.compare` names.

    An attribute that the plan did not know cannot differ.
    """
    recheck = policy.run.recheck
    if recheck is None:
        return []
    now = await files.stat_many(hub, policy.site, batch.paths)
    found = []
    for index, path in enumerate(batch.paths):
        why = _difference(recheck.compare, now.get(path), batch.sizes[index], batch.modified_us[index])
        if why:
            found.append(FileException(batch.ordinals[index], "skipped", "changed", why))
    return found


def _difference(
    compare: tuple[str, ...], record: FileRecord | None, size: int | None, modified_us: int | None
) -> str | None:
    if record is None:
        return "gone since the plan"
    if "size" in compare and size is not None and record.size != size:
        return f"size was {size}, is {record.size}"
    if "modified" in compare and modified_us is not None and record.mtime != modified_us:
        return "modified since the plan"
    return None
