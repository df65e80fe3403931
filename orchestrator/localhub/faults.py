"""The fault model: rules that say when the Hub misbehaves, and how."""

import fnmatch
import hashlib
import json
import os
import random
import re
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from orchestrator.localhub.names import text_of
from orchestrator.localhub.outcome import Outcome, PathState
from orchestrator.localhub.store import Store

ANSWER_KINDS = {"drop_before", "drop_after", "status", "delay", "malformed", "truncated"}
ANSWER_KINDS |= {"token_expired", "outage", "progress_back"}
_MATCH = {"method", "path", "workflow", "file", "percent"}
_SCHEDULE = {"every", "first", "after", "probability", "limit"}
_ACTION = {
    "drop_before": set(),
    "drop_after": set(),
    "status": {"status", "when", "retry_after"},
    "delay": {"seconds", "when"},
    "malformed": {"when"},
    "truncated": set(),
    "token_expired": {"refresh"},
    "outage": {"seconds", "status"},
    "progress_back": {"by"},
    "stuck": set(),
    "path_fail": {"code", "message", "times", "state"},
    "slow": {"seconds"},
    "crash": {"point"},
}


class BadFaults(ValueError):
    """The rules are not in the form that docs/local-hub.md describes."""


@dataclass
class Rule:
    """One rule: what it matches, what it does, and how often; counters live as long as the process."""

    name: str
    kind: str
    match: dict[str, Any]
    action: dict[str, Any]
    schedule: dict[str, Any]
    seen: int = 0
    fired: int = 0

    def meets(self, **what: str) -> bool:
        """Say whether every condition that speaks of one of these things holds; `method` without regard to case."""
        for key, value in what.items():
            wanted = self.match.get(key)
            if wanted is None:
                continue
            if key == "method":
                if value.upper() != str(wanted).upper():
                    return False
            elif not _glob(str(wanted)).fullmatch(value):
                return False
        return True


@dataclass
class Faults:
    """The rules in force; safe to ask from any thread."""

    store: Store
    rules: list[Rule] = field(default_factory=list)
    document: dict[str, Any] = field(default_factory=dict)
    outage_until: float = 0.0
    outage_status: int | None = None

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(0)
        self._hits: dict[tuple[str, bytes], int] = {}

    def load(self) -> None:
        """Take the rules from the state, as they were set last."""
        row = self.store.read().execute("SELECT value FROM meta WHERE key = 'faults'").fetchone()
        if row:
            self._use(json.loads(row["value"]))

    def set(self, document: dict[str, Any]) -> None:
        """Put new rules in force and keep them over a restart; raise BadFaults for what is not in the form."""
        _parse(document)
        with self.store.write() as database:
            database.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('faults', ?)", (json.dumps(document),))
            database.execute("DELETE FROM fault_hits")
        self._use(document)

    def answer(self, method: str, path: str, workflow: str) -> list[Rule]:
        """Give the rules that bear on the answer to this request, and count them as fired."""
        return [
            rule
            for rule in self.rules
            if rule.kind in ANSWER_KINDS
            and rule.meets(method=method, path=path, workflow=workflow)
            and self._fires(rule)
        ]

    def sticks(self, workflow: str) -> bool:
        """Say whether a new job of this workflow never moves."""
        return any(rule.kind == "stuck" and rule.meets(workflow=workflow) and self._fires(rule) for rule in self.rules)

    def path_failure(self, workflow: str, path: bytes) -> Outcome | None:
        """Give the outcome that a rule forces on a path now."""
        for rule in self.rules:
            if rule.kind != "path_fail" or not self._meets_path(rule, workflow, path):
                continue
            with self._lock:
                hits = self._hits.get((rule.name, path), 0)
                if hits >= float(rule.action.get("times", "inf")):
                    continue
                self._hits[rule.name, path] = hits + 1
            if not self._fires(rule):
                continue
            action = rule.action
            state = PathState(action.get("state", "failed"))
            message = str(action.get("message", "a rehearsed failure"))
            return Outcome(state, str(action.get("code", "target_error")), message, fault=rule.name)
        return None

    def file_delay(self, workflow: str, path: bytes) -> float:
        """Give the seconds that rules add to the work on a path."""
        return sum(
            float(rule.action.get("seconds", 1.0))
            for rule in self.rules
            if rule.kind == "slow" and self._meets_path(rule, workflow, path) and self._fires(rule)
        )

    def crash_point(self, workflow: str, point: str) -> None:
        """End this process here and now, as by `kill -9`, when a rule says so."""
        for rule in self.rules:
            if (
                rule.kind == "crash"
                and rule.action.get("point") == point
                and rule.meets(workflow=workflow)
                and self._fires(rule)
            ):
                os.kill(os.getpid(), signal.SIGKILL)

    def begin_outage(self, seconds: float, status: int | None) -> None:
        """Be away for some time: connections are dropped, or answered with one status."""
        self.outage_until, self.outage_status = time.monotonic() + seconds, status

    @property
    def away(self) -> bool:
        """Say whether an outage is on."""
        return time.monotonic() < self.outage_until

    def counters(self) -> list[dict[str, Any]]:
        """Give how often each rule was met and fired."""
        return [{"name": rule.name, "kind": rule.kind, "met": rule.seen, "fired": rule.fired} for rule in self.rules]

    def _use(self, document: dict[str, Any]) -> None:
        rules = _parse(document)
        hits = {
            (row["rule"], row["path"]): row["hits"] for row in self.store.read().execute("SELECT * FROM fault_hits")
        }
        with self._lock:
            self._random = random.Random(document.get("seed", 0))
            self._hits, self.document, self.rules = hits, document, rules
        self.outage_until = 0.0

    def _meets_path(self, rule: Rule, workflow: str, path: bytes) -> bool:
        if not rule.meets(workflow=workflow, file=text_of(path)):
            return False
        percent = rule.match.get("percent")
        if percent is None:
            return True
        seed = f"{self.document.get('seed', 0)}/{rule.name}/".encode()
        share = int.from_bytes(hashlib.blake2b(seed + path, digest_size=8).digest(), "big") / 2**64
        return share * 100 < float(percent)

    def _fires(self, rule: Rule) -> bool:
        schedule = rule.schedule
        with self._lock:
            rule.seen += 1
            number = rule.seen - int(schedule.get("after", 0))
            fires = (
                number > 0
                and number % int(schedule.get("every", 1)) == 0
                and number <= float(schedule.get("first", "inf"))
                and rule.fired < float(schedule.get("limit", "inf"))
                and ("probability" not in schedule or self._random.random() < float(schedule["probability"]))
            )
            rule.fired += fires
        return fires


def _parse(document: Any) -> list[Rule]:
    if (
        not isinstance(document, dict)
        or set(document) - {"seed", "rules"}
        or not isinstance(document.get("rules", []), list)
    ):
        raise BadFaults("faults are an object with `rules` (a list) and, if wanted, `seed`")
    return [_rule(number, entry) for number, entry in enumerate(document.get("rules", []), start=1)]


def _rule(number: int, entry: Any) -> Rule:
    if not isinstance(entry, dict) or set(entry) - {"name", "match", "action", "schedule"}:
        raise BadFaults(f"rule {number}: expected an object with name, match, action, schedule")
    action = entry.get("action")
    action = {"kind": action} if isinstance(action, str) else action
    kind = action.get("kind") if isinstance(action, dict) else None
    if kind not in _ACTION or not isinstance(action, dict):
        raise BadFaults(f"rule {number}: the action's kind is one of {', '.join(_ACTION)}")
    match, schedule = entry.get("match") or {}, entry.get("schedule") or {}
    parts = (("match", match, _MATCH), ("schedule", schedule, _SCHEDULE), ("action", action, _ACTION[kind] | {"kind"}))
    for what, given, known in parts:
        if not isinstance(given, dict) or set(given) - known:
            raise BadFaults(f"rule {number}: {what} knows {', '.join(sorted(known)) or 'nothing'}")
    return Rule(str(entry.get("name", f"rule-{number}")), kind, match, action, schedule)


def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern), re.DOTALL)
