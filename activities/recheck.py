"""Looks at a batch's files once more, just before they are sent: what is not as planned is left out."""

from activities.errors import ServerFault
from activities.hub import files, sites
from activities.hub.client import Hub
from activities.hub.files import FileRecord
from activities.manifests import Batch
from activities.settled import FileException
from workflows.order import JobOrder


async def changed(hub: Hub, order: JobOrder, batch: Batch) -> list[FileException]:
    """List the files that are gone or differ in an attribute that the order compares.

    An attribute that the plan did not know cannot differ.
    """
    now = await files.stat_many(hub, order.site, batch.paths)
    if not all(now.get(path) for path in batch.paths) and not await sites.answers(hub, order.site):
        raise ServerFault("the Hub finds neither the files nor its own site: a proxy may speak for it")
    found = []
    for index, path in enumerate(batch.paths):
        why = _difference(order.compare, now.get(path), batch.sizes[index], batch.modified_us[index])
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
