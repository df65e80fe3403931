"""What one plan holds that another does not: added, removed and the same, in files and bytes.

Paths are compared by their MD5, which is a quarter of their length: nothing here is a defence against an enemy.
"""

from activities.bulk import Bulk, reading
from activities.manifests import open_manifest, part_paths
from activities.plan_report import Amount
from activities.storage import Storage
from workflows.payload import Payload

EXAMPLES = 3
"""So many paths of each kind are named, the first ones of the plan."""


class Share(Amount):
    """A part of two plans together, and the path texts of a few of its files."""

    examples: tuple[str, ...] = ()


class PlanDiff(Payload):
    """Two plans side by side; of the files that are in both, the size is the newer plan's."""

    added: Share = Share()
    removed: Share = Share()
    same: Share = Share()
    resized: int = 0


def diff_plans(storage: Storage, bulk: Bulk, new: str, old: str) -> PlanDiff:
    """Compare two manifests of plans; raises ManifestDamaged when one of them is not whole."""
    if new == old:
        return _unchanged(storage, new)
    with bulk.folder() as folder, bulk.database(folder) as database:
        bulk.go_on("comparing with the other plan")
        for name, manifest in (("new", new), ("old", old)):
            into = folder / name
            into.mkdir()
            parts = part_paths(storage, manifest, into)
            source = reading(parts) if parts else "(SELECT 0::BIGINT AS ordinal, '' AS path, 0::BIGINT AS size LIMIT 0)"
            database.execute(f"CREATE VIEW {name}_plan AS SELECT ordinal, path, size FROM {source}")
        rows = database.execute(f"""
            SELECT new.key IS NOT NULL AS is_new, old.key IS NOT NULL AS was_there, count(*),
                   coalesce(sum(coalesce(new.size, IF(new.key IS NULL, old.size, NULL))), 0),
                   count(*) FILTER (new.size IS DISTINCT FROM old.size),
                   min(coalesce(new.ordinal, old.ordinal), {EXAMPLES})
            FROM (SELECT md5_number(path) AS key, size, ordinal FROM new_plan) AS new
            FULL JOIN (SELECT md5_number(path) AS key, size, ordinal FROM old_plan) AS old ON new.key = old.key
            GROUP BY ALL
        """).fetchall()
        found: dict[str, Share] = {}
        resized = 0
        for is_new, was_there, files, size, sizes_differ, ordinals in rows:
            kind = "same" if is_new and was_there else "added" if is_new else "removed"
            listed = ", ".join(map(str, ordinals))
            examples = database.execute(
                f"SELECT path FROM {'new' if is_new else 'old'}_plan WHERE ordinal IN ({listed}) ORDER BY ordinal"
            ).fetchall()
            found[kind] = Share(files=files, bytes=size, examples=tuple(path for (path,) in examples))
            resized += sizes_differ if kind == "same" else 0
        return PlanDiff(resized=resized, **found)


def _unchanged(storage: Storage, manifest: str) -> PlanDiff:
    head = open_manifest(storage, manifest).head
    return PlanDiff(same=Share(files=head.files, bytes=head.bytes))
