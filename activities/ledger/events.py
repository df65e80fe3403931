"""The events that an audit record may tell of, and what the body of each holds."""

from enum import StrEnum


class Event(StrEnum):
    """What happened; the fields of the body of each are in `BODY`."""

    RUN_STARTED = "run.started"
    RUN_PREFLIGHT = "run.preflight"
    PLAN_MADE = "plan.made"
    APPROVAL_WANTED = "approval.wanted"
    APPROVAL_EXPIRED = "approval.expired"
    PLAN_APPROVED = "plan.approved"
    PLAN_REJECTED = "plan.rejected"
    RUN_REFUSED = "run.refused"
    ROUND_STARTED = "round.started"
    STAGE_STARTED = "stage.started"
    STAGE_ENDED = "stage.ended"
    STAGE_SKIPPED = "stage.skipped"
    FILES_SKIPPED = "files.skipped"
    FILES_VERIFIED = "files.verified"
    JOB_SUBMITTED = "job.submitted"
    JOB_ADOPTED = "job.adopted"
    JOB_CANCELLED = "job.cancelled"
    JOB_PAUSED = "job.paused"
    JOB_RESUMED = "job.resumed"
    JOB_CANCEL_REFUSED = "job.cancel_refused"
    JOB_ENDED = "job.ended"
    RUN_PAUSED = "run.paused"
    RUN_RESUMED = "run.resumed"
    RUN_RETRY_ASKED = "run.retry_asked"
    RUN_ADAPTED = "run.adapted"
    RUN_LIMITS_SET = "run.limits_set"
    WINDOW_OPENED = "window.opened"
    WINDOW_CLOSED = "window.closed"
    BREAKER_CHANGED = "breaker.changed"
    HUB_UNWELL = "run.hub_unwell"
    HUB_WELL = "run.hub_well"
    RUN_STOPPED = "run.stopped"
    RUN_ENDED = "run.ended"
    START_WISHED = "start.wished"
    START_BEGUN = "start.begun"
    START_QUEUED = "start.queued"
    START_SKIPPED = "start.skipped"
    START_MISSED = "start.missed"
    LIMIT_SET = "limit.set"
    HOLD_SET = "hold.set"
    HOLD_LIFTED = "hold.lifted"
    POLICY_APPLIED = "policy.applied"
    POLICY_REMOVED = "policy.removed"
    POLICY_LATE = "policy.late"
    NOTICES_GIVEN_UP = "notices.given_up"
    EVENT_RECEIVED = "event.received"
    SCHEDULES_RENEWED = "schedules.renewed"
    SCHEDULES_RUNNING_OUT = "schedules.running_out"
    QUARANTINE_SET = "quarantine.set"
    QUARANTINE_RELEASED = "quarantine.released"
    POOL_DECIDED = "pool.decided"
    POOL_RUN_ENDED = "pool.run_ended"
    POOL_ALERT = "pool.alert"
    TOKEN_CREATED = "token.created"
    TOKEN_REVOKED = "token.revoked"
    HUB_CALLED = "hub.called"


_CLAIM = {
    "site": "site of the Hub",
    "workflow": "the hub workflow",
    "job": "the Hub's id of the job",
    "round": "number of the round",
    "batch": "number of the batch",
    "batch_digest": "SHA-256 over the batch's paths",
    "files": "paths in it",
    "bytes": "their size",
}

_HELD = {
    "site": "site of the Hub",
    "job": "the Hub's id of the job",
    "reason": "why",
    "refusal": "what the Hub said when it did not, null when it did",
}

_WINDOW = {
    "until": "when it closes or opens again",
    "kept": "whether the run keeps to its windows; an urgent one, or a person's word, does not",
    "then": "what is done with the jobs in flight when it closes",
}

_START = {
    "policy": "name of the policy",
    "site": "site of the Hub",
    "kind": "which kind of trigger, or manual",
    "text": "the trigger in words",
    "scheduled": "the time that the schedule meant, null for other triggers",
}

_POOL = {
    "site": "site of the Hub",
    "pool": "name of the pool",
    "filesystem": "its file system, null where the policies name none",
}

BODY: dict[Event, dict[str, str]] = {
    Event.RUN_STARTED: {
        "policy": "name of the policy",
        "policy_digest": "SHA-256 of the policy's canonical form",
        "version": "number of the applied version, null when it was not applied",
        "site": "site of the Hub",
        "reason": "why it started, in words, with the measured numbers when something measured them",
        "retries": "the run whose failed files it tries again, absent for any other",
        "notify": "who hears of what, as the policy says; absent when it says nothing",
    },
    Event.RUN_PREFLIGHT: {
        "ok": "whether everything that the run needs is there and well",
        "checks": "what was looked at -> what was found",
    },
    Event.PLAN_MADE: {
        "policy": "name of the policy",
        "digest": "the plan's digest",
        "manifest": "the list of its files in the storage",
        "as_of_us": "moment from which ages are measured, microseconds since the epoch",
        "files": "number of files",
        "bytes": "their size",
        "batches": "number of batches",
        "rules": "name, files and bytes of each rule",
        "passed_over": "why other entries are not in it -> number",
        "scope_files": "files looked at",
        "scope_bytes": "their size",
        "inventory": "the inventory that it was made from",
        "inventory_taken_us": "when that was taken",
        "truncated_by_guard": "whether a guard cut it",
        "head_sha256": "SHA-256 of the manifest's head, which names the digest of every one of its files",
    },
    Event.APPROVAL_WANTED: {
        "digest": "the plan's digest",
        "files": "number of files",
        "bytes": "their size",
        "why": "why a person must agree",
        "since": "when the wait began",
        "expires": "until when",
        "not_by": "who may not approve it, null when anybody may",
    },
    Event.APPROVAL_EXPIRED: {"digest": "the plan's digest", "why": "until when nobody had approved it"},
    Event.PLAN_APPROVED: {"digest": "the plan's digest", "reason": "why, in the actor's words"},
    Event.PLAN_REJECTED: {"digest": "the plan's digest", "reason": "why, in the actor's words"},
    Event.RUN_REFUSED: {"why": "the guard that the plan breaks, what it allows and what was found"},
    Event.ROUND_STARTED: {
        "number": "number of the round, from 1",
        "manifest": "the list of its files in the storage",
        "files": "files to do in it",
        "batches": "batches to send",
        "stage": "number of the stage that it belongs to, from 1",
        "head_sha256": "SHA-256 of the manifest's head, which names the digest of every one of its files",
        "asked": "who wanted failed files tried again, null for a round of the retry ladder",
    },
    Event.STAGE_STARTED: {
        "stage": "number of the stage, from 1",
        "what": "the hub workflow, or how long it waits",
        "files": "files that the stage before did, absent for a wait",
        "bytes": "their size, absent for a wait",
        "until": "when a wait ends, absent for a hub workflow",
    },
    Event.STAGE_ENDED: {
        "stage": "number of the stage, from 1",
        "what": "the hub workflow, or how long it waited",
        "outcomes": "outcome -> number of its files, absent for a wait; those that were done go on",
    },
    Event.STAGE_SKIPPED: {"stage": "number of the stage that is left out", "reason": "why, in the actor's words"},
    Event.FILES_SKIPPED: {
        "round": "number of the round",
        "batch": "number of the batch",
        "reasons": "reason -> number of files that were not sent",
    },
    Event.FILES_VERIFIED: {
        "looked": "files that were done, for which the Hub was asked where they are at the end of the run",
        "misplaced": "how many of them are not where the hub workflow puts files",
    },
    Event.JOB_SUBMITTED: _CLAIM,
    Event.JOB_ADOPTED: _CLAIM,
    Event.JOB_CANCELLED: {
        "site": "site of the Hub",
        "job": "the Hub's id of the job",
        "reason": "why it was cancelled",
    },
    Event.JOB_CANCEL_REFUSED: {
        "site": "site of the Hub",
        "job": "the Hub's id of the job, which goes on",
        "reason": "why it was to be cancelled",
        "refusal": "what the Hub said",
    },
    Event.JOB_PAUSED: _HELD,
    Event.JOB_RESUMED: _HELD,
    Event.JOB_ENDED: {
        "site": "site of the Hub",
        "job": "the Hub's id of the job",
        "round": "number of the round",
        "batch": "number of the batch",
        "state": "the Hub's word for how it ended",
        "files": "paths that were sent",
        "counts": "outcome -> number of files",
    },
    Event.RUN_PAUSED: {
        "reason": "why, in the actor's words",
        "freeze": "number of the freeze that pauses it, null when a person does",
        "until": "when it goes on by itself, null when somebody must say so",
    },
    Event.RUN_RESUMED: {
        "reason": "why, in the actor's words",
        "lifted": "whose pauses this lifts",
        "still": "who pauses it still, null when it goes on",
    },
    Event.RUN_RETRY_ASKED: {
        "stage": "number of the stage whose failed files are tried again, from 1",
        "error": "the reason, or the part of a message, of the failures that are meant, null for all",
        "reason": "why, in the actor's words",
    },
    Event.RUN_ADAPTED: {
        "at": "when",
        "before": "jobs in flight at a time until then",
        "slots": "jobs in flight at a time from then on",
        "why": "why, with the number that decided",
        "kept": "whether the run keeps to it: not while a number holds that a person set",
    },
    Event.RUN_LIMITS_SET: {
        "before": "concurrency, rate, and whether the windows hold (null: it has none), as they were",
        "after": "the same, as they are now",
        "reason": "why, in the actor's words",
    },
    Event.WINDOW_OPENED: _WINDOW,
    Event.WINDOW_CLOSED: _WINDOW,
    Event.BREAKER_CHANGED: {
        "stand": "closed, open, probing (one batch is tried) or ramping (more and more at a time)",
        "at": "when",
        "since": "when it was opened",
        "why": "why, with the share or the number that decided",
        "files": "files that were looked at",
        "failed": "how many of them failed",
        "jobs": "jobs in a row that failed altogether",
        "probe_at": "when one batch is tried by itself, null for when somebody resumes the run",
    },
    Event.HUB_UNWELL: {
        "site": "site of the Hub",
        "why": "what the run needs of it and does not find, so that it begins nothing more",
    },
    Event.HUB_WELL: {"site": "site of the Hub", "why": "nothing: all that the run needs is there again"},
    Event.RUN_STOPPED: {
        "why": "what stopped the run: a person, the deadline or an error",
        "reason": "why, in the actor's words",
    },
    Event.RUN_ENDED: {
        "policy": "name of the policy",
        "version": "number of the applied version, null when it was not applied",
        "state": "how the run ended",
        "outcomes": "outcome -> number of files",
        "outcomes_digest": "SHA-256 of the list of every file's outcome",
        "jobs": "number of jobs",
        "trouble": "why it ended badly, null when it did not",
        "started": "when it began",
        "finished": "when it ended",
    },
    Event.START_WISHED: {
        **_START,
        "version": "number of the applied version, null when it was not applied",
        "overlap": "what is done while an earlier run of the policy is open",
    },
    Event.START_BEGUN: {**_START, "run": "the run", "waited_s": "seconds that it waited for its turn"},
    Event.START_QUEUED: {**_START, "why": "what it waits for"},
    Event.START_SKIPPED: {**_START, "why": "why it does not run"},
    Event.START_MISSED: {**_START, "why": "why it did not run at its time and does not run later"},
    Event.LIMIT_SET: {
        "site": "the site, empty for any",
        "queue": "the queue of the site, empty for any",
        "target": "where the files go, empty for any",
        "jobs": "how many jobs all runs together may have in flight there, null for no limit",
        "reason": "why, in the actor's words",
    },
    Event.HOLD_SET: {
        "kind": "pause of one policy, or freeze",
        "policy": "the policy that is held, null for any",
        "site": "the site that is held, null for any",
        "label": "name and value of the label of the policies that are held, null for any",
        "reason": "why, in the actor's words",
    },
    Event.HOLD_LIFTED: {
        "hold": "the record that set it",
        "kind": "pause or freeze",
        "scope": "what it covered",
        "reason": "why, in the actor's words",
    },
    Event.POLICY_APPLIED: {
        "policy": "name of the policy",
        "version": "number of the version, from 1",
        "policy_digest": "SHA-256 of the policy's canonical form",
        "source": "the document as it was written, in the storage",
        "source_digest": "SHA-256 of the document",
        "reason": "why, in the actor's words",
        "notify": "who hears of what, as the policy says; absent when it says nothing",
        "slo": "what the policy promises; absent when it promises nothing or is disabled",
        "sites": "where it promises that; absent without a promise",
    },
    Event.POLICY_REMOVED: {
        "policy": "name of the policy",
        "version": "number of the change",
        "reason": "why, in the actor's words",
    },
    Event.POLICY_LATE: {
        "policy": "name of the policy",
        "site": "site of the Hub",
        "level": "warn or page",
        "mark": "how old the last success may be",
        "last_success": "when it succeeded last, null when it did not since it was promised",
        "since": "from when the time is counted: the last success, or the promise",
    },
    Event.NOTICES_GIVEN_UP: {
        "target": "name of the target, which holds no secret",
        "notices": "how many notices were not sent",
        "kinds": "kind -> number",
        "oldest": "when the first of them was made",
        "error": "what the last try came to, without addresses",
        "about_notices": "whether all of them told of other notices that were given up",
    },
    Event.SCHEDULES_RUNNING_OUT: {
        "schedules": "which ones could not be renewed",
        "ends": "the last time that is known to the engine",
        "error": "why",
    },
    Event.EVENT_RECEIVED: {
        "id": "the event's id, which its source gave it",
        "source": "who told of it",
        "type": "what kind of event",
        "subject": "what it is about, null when it does not say",
        "time": "when it happened by its sender's clock, null when it does not say",
        "attributes": "its further attributes",
        "data": "what it says",
        "matched": "policy, trigger, version and digest of each route that wants it; none: it started nothing",
        "token": "tells this telling from another of the same event",
    },
    Event.SCHEDULES_RENEWED: {"schedules": "which ones", "until": "the last time that is known to the engine now"},
    Event.QUARANTINE_SET: {
        "site": "site of the Hub",
        "round": "number of the round after which they were set aside",
        "batch": "number of the batch",
        "files": "how many of its files keep failing and are left alone from now on",
        "reasons": "reason of the last failure -> number of files",
        "digest": "SHA-256 over their paths",
        "until": "when they are planned again by themselves",
    },
    Event.QUARANTINE_RELEASED: {
        "site": "site of the Hub",
        "files": "how many files are planned again",
        "digest": "SHA-256 over their paths",
        "paths": "their path texts, when a person released a few; absent for many",
        "why": "a person released them, or a run did them all the same",
        "reason": "why, in the actor's words",
    },
    Event.POOL_DECIDED: {
        **_POOL,
        "act": "what is done: drain, premigrate, settle, end, block",
        "why": "why, in words",
        "policy": "the policy whose turn it is, null for none",
        "numbers": "bytes and percent that it was decided by; they add up as workflows/pool_control.py says",
        "measured": "when the pool was measured",
    },
    Event.POOL_RUN_ENDED: {
        **_POOL,
        "policy": "name of the policy",
        "state": "how the run ended, or what kept it from beginning",
        "why": "why, in words",
        "planned": "bytes of its plan",
        "done": "bytes that the Hub confirmed",
    },
    Event.POOL_ALERT: {
        **_POOL,
        "why": "what somebody should see to",
        "policies": "the policies that watch it",
        "used": "bytes used when it was noticed",
        "capacity": "bytes that it holds",
    },
    Event.TOKEN_CREATED: {
        "token": "id of the token, never the token itself",
        "person": "who is to use it",
        "role": "what it allows",
        "expires": "until when it is good",
        "reason": "why, in the actor's words",
    },
    Event.TOKEN_REVOKED: {
        "token": "id of the token",
        "person": "who used it",
        "reason": "why, in the actor's words",
    },
    Event.HUB_CALLED: {
        "method": "POST, PUT, PATCH or DELETE",
        "path": "the operation's path at the Hub",
        "fields": "names of what was sent along, without the values",
        "reason": "why, in the actor's words",
    },
}
