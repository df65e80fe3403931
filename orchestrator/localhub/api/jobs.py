"""Jobs: their list, their progress, and the hand on them."""

import sqlite3
from typing import Any

from orchestrator.localhub.call import Call, Problem, Reply, envelope
from orchestrator.localhub.clock import now_us
from orchestrator.localhub.jobs import FINAL, NewJob, body_of
from orchestrator.localhub.names import bytes_of, text_of

_COUNTED = ("processed", "skipped", "failed", "aborted", "cancelled")
_RECENT = 5
_DAY_US = 86_400_000_000
_PERIODS = {"day": 1, "week": 7, "month": 31, "year": 366}


def list_jobs(call: Call) -> Reply:
    """Answer `GET /jobs/`."""
    where, values = job_filter(call)
    page, database = call.page(), call.hub.store.read()
    count = database.execute(f"SELECT count(*) FROM jobs WHERE {where}", values).fetchone()[0]
    rows = database.execute(
        f"SELECT * FROM jobs WHERE {where} ORDER BY id DESC LIMIT ? OFFSET ?",
        (*values, -1 if page.size is None else page.size, page.offset),
    ).fetchall()
    answer = envelope(call, page, count, [job_shape(call, row, in_list=True) for row in rows])
    return Reply(answer | {"stats": _stats(call, where, values)})


def job_stats(call: Call) -> Reply:
    """Answer `GET /jobs/stats/`."""
    return Reply(_stats(call, *job_filter(call)))


def recent_jobs(call: Call) -> Reply:
    """Answer `GET /jobs/recent/`."""
    rows = call.hub.store.read().execute("SELECT * FROM jobs ORDER BY id DESC LIMIT ?", (_RECENT,)).fetchall()
    shapes = [job_shape(call, row, in_list=True) for row in rows]
    return Reply(shapes if call.hub.dialect.bare_lists else envelope(call, call.page(), len(shapes), shapes))


def job_types(call: Call) -> Reply:
    """Answer `GET /jobs/jobtype_choices/`."""
    return Reply([{"value": workflow["name"], "label": workflow["label"]} for workflow in call.hub.workflows.all()])


def get_job(call: Call) -> Reply:
    """Answer `GET /jobs/{id}/`, which the reference does not document."""
    if not call.hub.dialect.job_detail:
        raise Problem(405, 'Method "GET" not allowed.')
    return Reply(job_shape(call, job_of(call), in_list=False))


def delete_job(call: Call) -> Reply:
    """Answer `DELETE /jobs/{id}/`: the files in hand are finished, the rest is not touched."""
    number = job_of(call)["id"]
    call.hub.runner.drop(number)
    call.hub.jobs.delete(number)
    return Reply(status=204)


def cancel_job(call: Call) -> Reply:
    """Answer `POST /jobs/{id}/cancel/`."""
    call.hub.runner.cancel(job_of(call)["id"])
    return _control(call)


def pause_job(call: Call) -> Reply:
    """Answer `POST /jobs/{id}/pause/`."""
    call.hub.runner.pause(job_of(call)["id"])
    return _control(call)


def resume_job(call: Call) -> Reply:
    """Answer `POST /jobs/{id}/resume/`."""
    call.hub.runner.resume(job_of(call)["id"])
    return _control(call)


def resubmit_job(call: Call) -> Reply:
    """Answer `POST /jobs/{id}/resubmit/`: under the same number, or, in the other dialect, as a new job."""
    job, hub = job_of(call), call.hub
    if job["state"] not in FINAL:
        return Reply({})
    if not hub.dialect.resubmit_makes_job:
        if hub.jobs.resubmit(job["id"]):
            hub.take_up(job["id"])
        return Reply({"job": job["id"]})
    again = hub.store.read().execute(
        "SELECT path FROM paths WHERE job = ? AND state IN ('failed', 'aborted', 'cancelled') ORDER BY id", (job["id"],)
    )
    body = body_of(job)
    new = hub.jobs.make(
        NewJob(
            workflow=job["workflow"],
            site=job["site"],
            queue=job["queue"],
            paths=[row["path"] for row in again],
            discovery=job["discovery"],
            fields=body["fields"],
            owner=job["owner"],
            clientkey=job["clientkey"],
            stuck=hub.faults.sticks(job["workflow"]),
        )
    )
    hub.take_up(new)
    return Reply(hub.dialect.submitted(new, call.url(f"/jobs/{new}/")), hub.dialect.submitted_status)


def progress_of_job(call: Call) -> Reply:
    """Answer `GET /jobs/{id}/progress/`."""
    return Reply(call.hub.dialect.progress(percent(job_of(call))))


def statistics_of_job(call: Call) -> Reply:
    """Answer `GET /jobs/{id}/statistics/`."""
    job = job_of(call)
    return Reply(counts(call, job) | {"bytes": call.hub.dialect.number(job["bytes"])})


def files_of_job(call: Call) -> Reply:
    """Answer `GET /jobs/{id}/files/`."""
    if not call.hub.dialect.job_files:
        raise Problem(404, "Not found.")
    job, page, database = job_of(call), call.page(), call.hub.store.read()
    where, values = "job = ? AND state != 'discovered'", list[Any]([job["id"]])
    if category := call.text("category"):
        where, values = f"{where} AND state = ?", [*values, category]
    count = database.execute(f"SELECT count(*) FROM paths WHERE {where}", values).fetchone()[0]
    rows = database.execute(
        f"SELECT * FROM paths WHERE {where} ORDER BY id LIMIT ? OFFSET ?",
        (*values, -1 if page.size is None else page.size, page.offset),
    )
    shapes = [
        {
            "path": text_of(row["path"]),
            "state": row["state"],
            "code": row["code"] or "",
            "message": row["message"] or "",
            "size": row["bytes"],
        }
        for row in rows
    ]
    return Reply(envelope(call, page, count, shapes))


def job_of(call: Call) -> sqlite3.Row:
    """Give the job in the path; raise Problem when there is none."""
    row = call.hub.jobs.get(call.id)
    if row is None:
        raise Problem(404, "Not found.")
    return row


def percent(job: sqlite3.Row) -> float:
    """Say how far a job is: 100 when nothing is left to do."""
    if job["state"] in FINAL:
        return 100.0
    done = sum(job[name] for name in _COUNTED)
    return min(round(100 * done / job["total"], 1), 99.9) if job["total"] else 0.0


def counts(call: Call, job: sqlite3.Row) -> dict[str, Any]:
    """Count a job's paths by how they ended."""
    return {name: call.hub.dialect.number(job[name]) for name in ("total", *_COUNTED)}


def job_shape(call: Call, job: sqlite3.Row, *, in_list: bool) -> dict[str, Any]:
    """Write one job."""
    dialect = call.hub.dialect
    shape = {
        "id": dialect.number(job["id"]),
        "url": call.url(f"/jobs/{job['id']}/"),
        "workflow": job["workflow"],
        "site": job["site"],
        "queue": job["queue"],
        "discovery": job["discovery"],
        "state": job["state"],
        "created": dialect.time(job["created"]),
        "started": dialect.time(job["started"]),
        "completed": dialect.time(job["completed"]),
        "progress": dialect.number(int(percent(job))),
        "counts": counts(call, job),
        "owner": job["owner"],
        "clientkey": job["clientkey"],
        "schedule": job["schedule"],
    }
    if in_list and not dialect.job_state_in_list:
        del shape["state"]
    if not in_list:
        shape["fields"] = body_of(job)["fields"]
    return shape


def job_filter(call: Call) -> tuple[str, list[Any]]:
    """Turn the filters of a request into SQL."""
    terms, values = ["1"], list[Any]()

    def add(term: str, *given: Any) -> None:
        terms.append(term)
        values.extend(given)

    def add_any(column: str, given: list[Any]) -> None:
        if given:
            add(f"{column} IN ({','.join('?' * len(given))})", *given)

    created_from, created_to = call.time("created_time_from"), call.time("created_time_to")
    if (period := call.text("created")) not in (None, "null"):
        if period not in _PERIODS:
            raise Problem(400, f"created: expected one of {', '.join(_PERIODS)}")
        created_from, created_to = now_us() - _PERIODS[period] * _DAY_US, None
    for column, sign, value in (
        ("created", ">=", created_from),
        ("created", "<=", created_to),
        ("completed", ">=", call.time("completed_time_from")),
        ("completed", "<=", call.time("completed_time_to")),
    ):
        if value is not None:
            add(f"{column} {sign} ?", value)
    add_any("workflow", call.words("workflow"))
    add_any("state", [word.upper() for word in call.words("state")])
    add_any("site", call.words("site"))
    add_any("queue", call.words("queue"))
    add_any("clientkey", call.words("clientkey_ids"))
    add_any("schedule", call.words("schedule_ids"))
    if (owners := call.words("owner_ids")) and "1" not in owners:
        add("owner IS NULL")
    if call.whole("site_id") not in (None, 1):
        add("0")
    if (queue := call.whole("queue_id")) is not None:
        add_any("queue", call.hub.queue_names()[queue - 1 : queue] or ["-"])
    if prefix := call.text("input_paths_prefix"):
        raw = bytes_of(prefix)
        add("EXISTS (SELECT 1 FROM paths WHERE job = jobs.id AND input AND substr(path, 1, ?) = ?)", len(raw), raw)
    if keyword := call.text("search_keyword"):
        add("(instr(workflow, ?) OR instr(state, ?) OR id = ?)", keyword, keyword.upper(), keyword)
    if call.truth("hide_noop"):
        add("NOT (state IN ('SUCCESS', 'SKIPPED') AND processed = 0)")
    return " AND ".join(terms), values


def _stats(call: Call, where: str, values: list[Any]) -> dict[str, int]:
    rows = call.hub.store.read().execute(f"SELECT state, count(*) FROM jobs WHERE {where} GROUP BY state", values)
    return {row[0]: row[1] for row in rows}


def _control(call: Call) -> Reply:
    return Reply({"job": call.id, "state": job_of(call)["state"]})
