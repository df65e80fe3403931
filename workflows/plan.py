"""What a run will do, and how it ended: the numbers that a person approves and a report must match."""

from datetime import UTC, datetime

from pydantic import Field

from workflows.payload import Payload


class RuleCount(Payload):
    """Files and bytes that one rule of the policy put into the plan."""

    name: str
    files: int
    bytes: int


class Plan(Payload):
    """An exact, content-addressed, ordered list of files; the list itself is the manifest in the storage."""

    digest: str
    manifest: str
    policy_digest: str
    as_of_us: int
    files: int
    bytes: int
    batches: int
    rules: tuple[RuleCount, ...] = ()
    passed_over: dict[str, int] = Field(default_factory=dict)
    scope_files: int = 0
    scope_bytes: int = 0
    inventory: str = ""
    inventory_taken_us: int = 0
    truncated_by_guard: bool = False
    head_sha256: str = ""

    @property
    def as_of(self) -> datetime:
        """The moment from which ages are measured."""
        return datetime.fromtimestamp(self.as_of_us / 1_000_000, UTC)


class UsualPlan(Payload):
    """What the last runs of a policy planned: how many of them were looked at, and the medians."""

    runs: int = 0
    files: int = 0
    bytes: int = 0


class OutcomeCounts(Payload):
    """How many files ended in each outcome; adds up to the plan's files when a run is over."""

    done: int = 0
    skipped: dict[str, int] = Field(default_factory=dict)
    failed: dict[str, int] = Field(default_factory=dict)
    cancelled: int = 0
    quarantined: int = 0
    bytes_done: int = 0

    @property
    def total(self) -> int:
        """Every file that has an outcome."""
        return self.done + sum(self.skipped.values()) + sum(self.failed.values()) + self.cancelled + self.quarantined

    def plus(self, other: "OutcomeCounts") -> "OutcomeCounts":
        """Add the counts of two disjoint sets of files."""
        return OutcomeCounts(
            done=self.done + other.done,
            skipped=_added(self.skipped, other.skipped),
            failed=_added(self.failed, other.failed),
            cancelled=self.cancelled + other.cancelled,
            quarantined=self.quarantined + other.quarantined,
            bytes_done=self.bytes_done + other.bytes_done,
        )


def _added(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
    return {reason: left.get(reason, 0) + right.get(reason, 0) for reason in sorted({*left, *right})}
