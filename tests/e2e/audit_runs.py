"""Whole runs as an audit and a storage keep them, written by the engine's own parts without a Hub."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from activities.audit import AuditLog, AuditRecord, Event, record_key
from activities.bulk import Bulk
from activities.ledger.records import Stored
from activities.manifests import read_batch
from activities.outcomes import (
    BatchOutcome,
    CloseRequest,
    FileException,
    NextRound,
    Unreached,
    close_outcomes,
    next_round,
    settle_batch,
)
from activities.storage import Storage
from tests.unit.selection_fixtures import made_plan, made_policy
from workflows.plan import OutcomeCounts, Plan
from workflows.run import RoundRecord

BATCH = 4


def new_key() -> str:
    """Make a private key as settings hold it."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@dataclass
class Keeper:
    """Writes runs one after the other; jobs are numbered through all of them."""

    log: AuditLog
    storage: Storage
    folder: Path
    job: int = 100

    def tell(self, run: str | None, event: str, *parts: object, actor: str = "engine", **body: Any) -> Stored:
        key = record_key(run, event, *parts)
        return self.log.append(AuditRecord(event=event, actor=actor, run=run, key=key, body=body))

    def apply(self, number: int, actor: str = "ann@host") -> Stored:
        """Apply a version of the policy."""
        policy = made_policy(BATCH)
        source, text = f"policies/{policy.name}/{number}.yaml", f"# version {number}\nname: p\n".encode()
        self.storage.put(source, text)
        said = {"policy": policy.name, "version": number, "policy_digest": policy.digest, "reason": "as agreed"}
        said |= {"source": source, "source_digest": hashlib.sha256(text).hexdigest()}
        return self.tell(None, Event.POLICY_APPLIED, policy.name, number, actor=actor, **said)

    def begin(self, run: str, paths: Sequence[str], actor: str = "schedule") -> Plan:
        """Begin a run: it starts and makes its plan."""
        policy = made_policy(BATCH)
        why = {"policy": policy.name, "policy_digest": policy.digest, "version": 1, "site": "london"}
        self.tell(run, Event.RUN_STARTED, actor=actor, reason="pool hot at 91.2 % of 80 %", **why)
        plan = made_plan(self.storage, self.folder, paths, BATCH)
        self.tell(run, Event.PLAN_MADE, policy=policy.name, **plan.model_dump(mode="json"))
        return plan

    def run(
        self, run: str, paths: Sequence[str], failing: Mapping[str, str] = {}, *, approver: str | None = None
    ) -> Stored:
        """Keep a run to its end: what is failing fails for this reason in the first round, and is done in the second.

        Reason `checksum` fails there, too; what has the reason `quarantined` was set aside.
        """
        plan = self.begin(run, paths)
        if approver is not None:
            self.tell(run, Event.PLAN_APPROVED, actor=approver, digest=plan.digest, reason="seen and agreed")
        first = self._round(run, 1, plan.manifest, plan.files, plan.batches, plan.head_sha256, failing)
        rounds = [first]
        bulk = Bulk(256 << 20, self.folder)
        policy = made_policy(BATCH)
        asked = NextRound(
            run=run, round=1, manifest=plan.manifest, batches=plan.batches, retry=policy.retry, batch=policy.run.batch
        )
        again = next_round(self.storage, bulk, asked)
        if again.files:
            lasting = {path: reason for path, reason in failing.items() if reason == "checksum"}
            second = (run, 2, again.manifest, again.files, again.batches, again.head_sha256, lasting)
            rounds.append(self._round(*second))
        closed = close_outcomes(
            self.storage,
            bulk,
            CloseRequest(
                run=run, plan=plan.manifest, rounds=tuple(rounds), unreached=Unreached(outcome="cancelled"), site=""
            ),
        )
        return self.tell(
            run,
            Event.RUN_ENDED,
            policy="p",
            version=1,
            state="failed" if closed.counts.failed else "succeeded",
            outcomes=closed.counts.model_dump(),
            outcomes_digest=closed.digest,
            jobs=plan.batches,
            trouble=None,
            started="2026-01-01T00:00:00Z",
            finished="2026-01-01T01:00:00Z",
        )

    def _round(
        self, run: str, number: int, manifest: str, files: int, batches: int, head: str, failing: Mapping[str, str]
    ) -> tuple[int, str, int]:
        record = RoundRecord(number=number, manifest=manifest, files=files, batches=batches, head_sha256=head)
        self.tell(run, Event.ROUND_STARTED, number, **record.model_dump(mode="json"))
        for place in range(batches):
            batch = read_batch(self.storage, manifest, place)
            self.job += 1
            where = {"site": "london", "job": self.job, "round": number, "batch": place}
            sent = {"workflow": "migrate", "batch_digest": batch.digest, "files": len(batch.paths), "bytes": 40}
            self.tell(run, Event.JOB_SUBMITTED, number, place, **where, **sent)
            ends = tuple(
                FileException(ordinal, _outcome(failing[path]), failing[path], f"the Hub said {failing[path]}")
                for ordinal, path in zip(batch.ordinals, batch.paths, strict=True)
                if path in failing
            )
            told = BatchOutcome(job=self.job, files=ends)
            counts: OutcomeCounts = settle_batch(self.storage, run, number, place, batch, told)
            state = "FAILURE" if ends else "SUCCESS"
            said = {"state": state, "files": len(batch.paths), "counts": counts.model_dump()}
            self.tell(run, Event.JOB_ENDED, number, place, **where, **said)
        return number, manifest, batches


def _outcome(reason: str) -> str:
    return "quarantined" if reason == "quarantined" else "failed"
