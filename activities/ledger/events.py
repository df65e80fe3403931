"""The events that an audit record may tell of, and what the body of each holds."""

from enum import StrEnum


class Event(StrEnum):
    """What happened; the fields of the body of each are in `BODY`."""

    RUN_STARTED = "run.started"
    RUN_PREFLIGHT = "run.preflight"
    PLAN_MADE = "plan.made"
    PLAN_REFUSED = "plan.refused"
    ROUND_STARTED = "round.started"
    ROUND_ENDED = "round.ended"
    FILES_SKIPPED = "files.skipped"
    JOB_SUBMITTED = "job.submitted"
    JOB_ADOPTED = "job.adopted"
    JOB_CANCELLED = "job.cancelled"
    JOB_ENDED = "job.ended"
    RUN_PAUSED = "run.paused"
    RUN_RESUMED = "run.resumed"
    RUN_CANCELLED = "run.cancelled"
    RUN_ENDED = "run.ended"


BODY: dict[Event, dict[str, str]] = {
    Event.RUN_STARTED: {
        "policy": "name of the policy",
        "policy_digest": "SHA-256 of the policy's canonical form",
        "trigger": "manual, schedule, threshold, event or after",
        "reason": "why it started, in words, with the measured numbers when a trigger measured some",
    },
    Event.RUN_PREFLIGHT: {
        "ok": "whether everything that the run needs answered",
        "checks": "what was looked at: name -> finding",
    },
    Event.PLAN_MADE: {
        "digest": "the plan's digest",
        "policy_digest": "the policy that made it",
        "files": "number of files",
        "bytes": "their size",
        "batches": "number of batches",
        "rules": "rule -> {files, bytes}",
        "passed_over": "why other entries are not in it: reason -> number",
        "scope_files": "files looked at",
        "scope_bytes": "their size",
    },
    Event.PLAN_REFUSED: {
        "digest": "the plan's digest",
        "guard": "the guard that refused it",
        "limit": "what the guard allows",
        "found": "what the plan holds",
    },
    Event.ROUND_STARTED: {
        "round": "number, from 1",
        "files": "files to do in it",
        "bytes": "their size",
        "batches": "batches to send",
        "manifest": "the list of them in the storage",
    },
    Event.ROUND_ENDED: {
        "round": "number, from 1",
        "done": "files done in it",
        "failed": "files that failed in it",
        "next_wait_s": "seconds until the next round, null when there is none",
    },
    Event.FILES_SKIPPED: {
        "round": "number of the round",
        "batch": "number of the batch",
        "reasons": "reason -> number of files that the re-check left out",
    },
    Event.JOB_SUBMITTED: {
        "site": "site of the Hub",
        "job": "the Hub's id of the job",
        "workflow": "the Hub workflow",
        "round": "number of the round",
        "batch": "number of the batch",
        "batch_digest": "SHA-256 over the batch's paths",
        "files": "paths in it",
        "bytes": "their size",
    },
    Event.JOB_ADOPTED: {
        "site": "site of the Hub",
        "job": "the Hub's id of the job that was found instead of sending the batch again",
        "round": "number of the round",
        "batch": "number of the batch",
        "batch_digest": "SHA-256 over the batch's paths",
        "files": "paths in it",
    },
    Event.JOB_CANCELLED: {
        "site": "site of the Hub",
        "job": "the Hub's id of the job",
        "reason": "why it was cancelled",
    },
    Event.JOB_ENDED: {
        "site": "site of the Hub",
        "job": "the Hub's id of the job",
        "round": "number of the round",
        "batch": "number of the batch",
        "state": "the Hub's word for how it ended",
        "counts": "outcome -> number of files",
    },
    Event.RUN_PAUSED: {"reason": "why, in the actor's words"},
    Event.RUN_RESUMED: {"reason": "why, in the actor's words"},
    Event.RUN_CANCELLED: {"reason": "why, in the actor's words"},
    Event.RUN_ENDED: {
        "state": "how the run ended",
        "plan": "the plan's digest, null when it never had one",
        "outcomes": "outcome -> number of files",
        "bytes_done": "size of the files done",
        "reason": "why it ended so, null when it did its plan",
    },
}
