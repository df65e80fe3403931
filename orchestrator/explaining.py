"""Why a policy takes a file or not: the explanation with its lines of YAML, and when the answer would change."""

from dataclasses import dataclass
from typing import Any

from activities.hub.files import FileRecord
from orchestrator.documents import Document, Place
from workflows.matching import Explanation, FileFacts, Reason, Verdict, explain
from workflows.names import to_text
from workflows.policy import Policy
from workflows.selecting import inside
from workflows.turning import NewDecision, NewTruth, next_decision, next_truth


@dataclass(frozen=True)
class Line:
    """A line of the policy's file."""

    number: int
    text: str


@dataclass(frozen=True)
class Part:
    """An exclude or a rule, with its line, its truth for the file, and when that turns if the file stays as it is."""

    title: str
    line: Line
    reason: Reason
    decides: bool
    turns: NewTruth | None


@dataclass(frozen=True)
class Explained:
    """A decision, the parts behind it, what decided it, and when another one would hold."""

    explanation: Explanation
    excludes: tuple[Part, ...]
    rules: tuple[Part, ...]
    file: str
    decided_by: Line
    changes: NewDecision | None
    never_seen: str | None

    @property
    def parts(self) -> tuple[Part, ...]:
        """Every exclude and every rule, in the policy's order."""
        return (*self.excludes, *self.rules)


def explain_file(policy: Policy, document: Document, record: FileRecord, as_of_us: int) -> Explained:
    """Explain what the policy decides about a file, as of a moment in microseconds since the epoch."""
    select, facts = policy.select, _facts(record)
    found = explain(select, facts, as_of_us)
    decisive = _decisive(found)
    excludes = [("exclude", index, select.exclude[index], reason) for index, reason in enumerate(found.exclude)]
    rules = [("rules", index, select.rules[index].match, rule.reason) for index, rule in enumerate(found.rules)]

    def part(kind: str, index: int, condition: Any, reason: Reason) -> Part:
        where: Place = ("select", kind, index)
        rule = found.rules[index] if kind == "rules" else None
        title = "exclude" if rule is None else f"rule {rule.rule}{' (keep)' if rule.keep else ''}"
        turns = next_truth(condition, select.classes, facts, as_of_us)
        return Part(title, Line(*document.line(where)), reason, where == decisive, turns)

    return Explained(
        explanation=found,
        excludes=tuple(part(*each) for each in excludes),
        rules=tuple(part(*each) for each in rules),
        file=document.name,
        decided_by=Line(*document.line(decisive)),
        changes=next_decision(select, facts, as_of_us),
        never_seen=_never_seen(policy, facts.path),
    )


def _decisive(found: Explanation) -> Place:
    """The place of the part that decides: the first exclude that holds, the rule, or what the answer hangs on."""
    decision = found.decision
    excluded = [reason.truth for reason in found.exclude]
    if decision.verdict is Verdict.EXCLUDED:
        return ("select", "exclude", excluded.index(True))
    for index, rule in enumerate(found.rules):
        if rule.decides:
            return ("select", "rules", index)
    if decision.verdict is Verdict.UNKNOWN:
        for index, rule in enumerate(found.rules):
            if rule.truth is None:
                return ("select", "rules", index)
            if rule.truth:
                break
        return ("select", "exclude", excluded.index(None))
    return ("select", "rules") if found.rules else ("select",)


def _never_seen(policy: Policy, path: str) -> str | None:
    """Say why no run of the policy looks at the file at all; None when it does."""
    folders = policy.select.folders
    if folders and not any(inside(path, folder) for folder in folders):
        return f"It lies outside of the policy's paths ({', '.join(folders)}), so no run ever sees it."
    return None


def _facts(record: FileRecord) -> FileFacts:
    return FileFacts(
        path=to_text(record.path),
        size=record.size,
        disk_usage=record.disk_usage,
        accessed=record.atime,
        modified=record.mtime,
        changed=record.ctime,
        status=record.status,
        owner=None if record.owner is None else to_text(record.owner),
        group=None if record.group is None else to_text(record.group),
        metadata=record.metadata and {to_text(key): to_text(value) for key, value in record.metadata.items()},
    )
